"""The small real model and the rows that make_lora_curve.py and peft_answers.py use, which stay outside the repository."""

import json
import os
from pathlib import Path

import numpy as np
import torch
from formula import uniform_at
from peft import LoraConfig, get_peft_model
from sentencepiece import SentencePieceProcessor
from transformers import LlamaForCausalLM

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("TUNEBOOK_SHARED", ROOT.parent / "shared"))
MODEL = SHARED / "assets/models/stories260k"
ROWS = SHARED / "assets/datasets/alpaca_en_demo.json"

PREAMBLE = {
    True: "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.",
    False: "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
}


def prompt_of(row):
    """The alpaca template, as tloen/alpaca-lora words it."""
    given = f"### Input:\n{row['input']}\n\n" if row.get("input") else ""
    return f"{PREAMBLE[bool(given)]}\n\n### Instruction:\n{row['instruction']}\n\n{given}### Response:\n"


def load_model(dtype):
    return LlamaForCausalLM.from_pretrained(MODEL, dtype=dtype, attn_implementation="eager")


def tokenizer():
    return SentencePieceProcessor(model_file=str(MODEL / "tokenizer.model"))


def rows():
    return json.loads(ROWS.read_text())


def all_linear(rank, alpha):
    return LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", lora_dropout=0.0, bias="none", task_type="CAUSAL_LM")


SITES = [f"self_attn.{x}_proj" for x in "qkvo"] + [f"mlp.{x}_proj" for x in ("gate", "up", "down")]


def attach(model, rank=8, alpha=16, seed=42):
    """PEFT's LoRA on every linear layer, A started as attachLora starts it: uniform in +-1/sqrt(in), counted by site and element."""
    tuned = get_peft_model(model, all_linear(rank, alpha))
    parameters = dict(tuned.named_parameters())
    layers = model.config.num_hidden_layers
    names = [f"model.layers.{layer}.{site}" for layer in range(layers) for site in SITES]
    with torch.no_grad():
        for index, name in enumerate(names):
            a = parameters[f"base_model.model.{name}.lora_A.default.weight"]
            u = 2 * uniform_at(seed, 0x4C6F5241, index, np.arange(a.numel())) - 1
            values = (u / np.sqrt(a.shape[1])).astype(np.float32).reshape(a.shape)
            a.copy_(torch.from_numpy(values))
    return tuned
