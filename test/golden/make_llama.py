"""Makes llama.json: logits, loss and LoRA gradients of tiny random models, by transformers and PEFT in f64.

    .venv-golden/bin/python test/golden/make_llama.py          (versions and venv: requirements.txt)

Weights come from formula.py, so the file holds only what came out.
"""

import json
from pathlib import Path

import numpy as np
import torch
from formula import bits_at, named
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

BASE = {
    "model_type": "llama",
    "vocab_size": 24,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

CASES = {
    "grouped queries, tied head": {},
    "as many key heads as heads, untied head, another theta": {
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
        "rope_theta": 500000.0,
    },
    "heads wider than hidden / heads": {"head_dim": 6, "num_key_value_heads": 1},
    "biases on every projection": {"attention_bias": True, "mlp_bias": True},
    "Qwen2, biases on queries, keys and values": {"model_type": "qwen2", "tie_word_embeddings": False},
    "rotary frequencies stretched as Llama 3 does": {
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        }
    },
}

ROWS = [7, 5]  # tokens of each row
RANK, ALPHA = 2, 6


def row(case, at, length):
    """Ids of a row, and the label of each position: the next id, or -100 where nothing is to be predicted."""
    ids = (bits_at(0x90, case, at, np.arange(length)) % np.uint64(21)).astype(int) + 3
    labels = [int(ids[t + 1]) if t + 1 < length and t != 1 else -100 for t in range(length)]
    return [int(i) for i in ids], labels


def build(fields):
    torch.set_default_dtype(torch.float64)
    config = AutoConfig.for_model(**fields)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(named(name, tuple(parameter.shape)).astype(np.float64)))
    return model


def rounded(values):
    return [float(f"{value:.8g}") for value in np.asarray(values).reshape(-1)]


def run(case, fields):
    model = build(fields)
    rows = [row(case, at, length) for at, length in enumerate(ROWS)]
    with torch.no_grad():
        base = [model(torch.tensor([ids])).logits[0].numpy() for ids, _ in rows]
    lora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", lora_dropout=0.0, bias="none", task_type="CAUSAL_LM")
    tuned = get_peft_model(model, lora)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if parameter.requires_grad:
                plain = name.replace("base_model.model.", "").replace(".default", "")
                parameter.copy_(torch.from_numpy(named(plain, tuple(parameter.shape)).astype(np.float64)))
    logits = [tuned(torch.tensor([ids])).logits[0] for ids, _ in rows]
    total = sum(
        torch.nn.functional.cross_entropy(scores, torch.tensor(labels), ignore_index=-100, reduction="sum")
        for scores, (_, labels) in zip(logits, rows)
    )
    count = sum(label != -100 for _, labels in rows for label in labels)
    (total / count).backward()
    gradients = {
        name.replace("base_model.model.", "").replace(".default", ""): rounded(parameter.grad)
        for name, parameter in tuned.named_parameters()
        if parameter.requires_grad
    }
    return {
        "config": fields,
        "rank": RANK,
        "alpha": ALPHA,
        "rows": [{"ids": ids, "labels": labels} for ids, labels in rows],
        "baseLogits": [rounded(scores) for scores in base],
        "logits": [rounded(scores.detach()) for scores in logits],
        "loss": float((total / count).detach()),
        "gradients": gradients,
    }


if __name__ == "__main__":
    cases = {name: run(at, {**BASE, **changes}) for at, (name, changes) in enumerate(CASES.items())}
    target = Path(__file__).with_name("llama.json")
    target.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    print(target.name, target.stat().st_size, {name: round(case["loss"], 4) for name, case in cases.items()})
