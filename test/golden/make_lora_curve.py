"""Makes lora_curve.json: a LoRA run of 50 updates; lora_adapter.json: logits with adapters from a formula; and adapter_by_peft/, one of
those adapters as PEFT saves it. By transformers and PEFT.

    .venv-golden/bin/python test/golden/make_lora_curve.py       (versions and venv: requirements.txt)

Model and rows lie outside the repository (stories.py); committed are numbers only.
The f32 curve is made in f64, so that the whole tolerance belongs to whom it judges. In the bf16 curve frozen weights and activations
are bf16, what trains and its moments f32.
"""

import json
from pathlib import Path

import numpy as np
import torch
from formula import named, permutation
from peft import LoraConfig, get_peft_model
from stories import attach, load_model, prompt_of, rows, tokenizer
from transformers import get_scheduler

torch.set_num_threads(1)  # a sum then has one order, and cores in use by others cost nothing

UPDATES, BATCH, MAX_TOKENS, SEED = 50, 4, 256, 42
LEARNING_RATE, WARMUP = 3e-3, 5


def encode(row, sp):
    """BOS, prompt, answer, EOS, cut at its end; labels only on answer and EOS."""
    prompt = [sp.bos_id()] + sp.encode(prompt_of(row))
    ids = [sp.bos_id()] + sp.encode(prompt_of(row) + row["output"]) + [sp.eos_id()]
    ids = ids[:MAX_TOKENS]
    return ids, [-100 if at < len(prompt) else token for at, token in enumerate(ids)]


def choose():
    """The first rows whose answer begins within MAX_TOKENS, as many as the run needs; and how many rows that took."""
    sp, kept = tokenizer(), []
    for count, row in enumerate(rows(), start=1):
        encoded = encode(row, sp)
        if any(label != -100 for label in encoded[1]):
            kept.append(encoded)
        if len(kept) == UPDATES * BATCH:
            return kept, count
    raise SystemExit("not enough rows")


def batch_of(picked):
    longest = max(len(ids) for ids, _ in picked)
    pad = lambda values, filler: values + [filler] * (longest - len(values))  # noqa: E731
    return {
        "input_ids": torch.tensor([pad(ids, 0) for ids, _ in picked]),
        "attention_mask": torch.tensor([pad([1] * len(ids), 0) for ids, _ in picked]),
        "labels": torch.tensor([pad(labels, -100) for _, labels in picked]),
    }


def run(dtype, kept, order):
    torch.manual_seed(0)
    model = load_model(dtype)
    tuned = attach(model)
    tuned.train()
    trained = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    schedule = get_scheduler("linear", optimizer, num_warmup_steps=WARMUP, num_training_steps=UPDATES)
    losses, norms, counts = [], [], []
    for update in range(UPDATES):
        batch = batch_of([kept[at] for at in order[update * BATCH : (update + 1) * BATCH]])
        logits = tuned(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
        labels = batch["labels"][:, 1:].reshape(-1)
        scores = logits.reshape(-1, logits.shape[-1]).to(torch.float32 if dtype == torch.bfloat16 else dtype)
        loss = torch.nn.functional.cross_entropy(scores, labels, ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(trained, 1.0)))
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        counts.append(int((labels != -100).sum()))
    return losses, norms, counts


def fixed_adapter(rank, alpha, targets, folder=None):
    """Logits after the first ids of a text, with every A and B from the formula (B a tenth of it), and the adapter saved in `folder`."""
    model = load_model(torch.float64)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, lora_dropout=0.05, bias="none", task_type="CAUSAL_LM")
    tuned = get_peft_model(model, config, autocast_adapter_dtype=False)
    tuned.eval()
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if parameter.requires_grad:
                plain = name.replace("base_model.model.", "").replace(".default", "")
                factor = np.float32(0.1 if "lora_B" in plain else 1.0)
                parameter.copy_(torch.from_numpy(named(plain, tuple(parameter.shape)) * factor))
    ids = [1] + [3 + (37 * at + 11) % 500 for at in range(11)]
    with torch.no_grad():
        logits = tuned(torch.tensor([ids])).logits[0]
        with tuned.disable_adapter():
            base = tuned(torch.tensor([ids])).logits[0]
    if folder:
        tuned.float().peft_config["default"].base_model_name_or_path = "stories260k"
        tuned.save_pretrained(folder)
        (folder / "README.md").unlink()
    picked = [0, 5, 11]
    return {
        "rank": rank,
        "alpha": alpha,
        "ids": ids,
        "positions": picked,
        "base": [[round(float(x), 6) for x in base[at]] for at in picked],
        "tuned": [[round(float(x), 6) for x in logits[at]] for at in picked],
    }


if __name__ == "__main__":
    here = Path(__file__).parent
    adapters = {
        "formula": fixed_adapter(4, 8, "all-linear"),
        "byPeft": fixed_adapter(2, 3, ["q_proj", "v_proj"], here / "adapter_by_peft"),
    }
    (here / "lora_adapter.json").write_text(json.dumps(adapters, separators=(",", ":")) + "\n")
    kept, read = choose()
    order = permutation(len(kept), SEED, 0)
    exact, norms, counts = run(torch.float64, kept, order)
    half, _, _ = run(torch.bfloat16, kept, order)
    curve = {
        "rowsRead": read,
        "rowsKept": len(kept),
        "order": order,
        "lengths": [len(ids) for ids, _ in kept],
        "trainedTokens": counts,
        "f32": [round(loss, 7) for loss in exact],
        "gradientNorm": [round(norm, 6) for norm in norms],
        "bf16": [round(loss, 5) for loss in half],
    }
    (here / "lora_curve.json").write_text(json.dumps(curve, separators=(",", ":")) + "\n")
    print(exact[0], exact[-1], half[0], half[-1], max(abs(a / b - 1) for a, b in zip(half, exact)))
