"""Makes consolidated.json: a tiny random Llama as Meta publishes one, and its logits by Meta's formulas in f64.

    .venv-golden/bin/python test/golden/make_consolidated.py                    (versions and venv: requirements.txt)

The forward turns neighbouring pairs as complex numbers, as Meta's does. transformers, given the same weights with the published
permutation of q and k, must say the same; the script checks that.
"""

import base64
import io
import json
from pathlib import Path

import numpy as np
import torch
from formula import named
from transformers import LlamaConfig, LlamaForCausalLM

PARAMS = {"dim": 16, "multiple_of": 8, "n_heads": 4, "n_kv_heads": 2, "n_layers": 2, "norm_eps": 1e-5, "vocab_size": -1}
VOCAB, INNER, IDS = 24, 24, [1, 5, 9, 3, 14, 20]


def tensors():
    dim, rows = PARAMS["dim"], PARAMS["dim"] // PARAMS["n_heads"] * PARAMS["n_kv_heads"]
    shapes = {"tok_embeddings.weight": (VOCAB, dim), "norm.weight": (dim,), "output.weight": (VOCAB, dim)}
    for layer in range(PARAMS["n_layers"]):
        at = f"layers.{layer}"
        shapes |= {f"{at}.attention.{name}.weight": (rows if name in ("wk", "wv") else dim, dim) for name in ("wq", "wk", "wv", "wo")}
        shapes |= {f"{at}.feed_forward.w{i}.weight": (dim, INNER) if i == 2 else (INNER, dim) for i in (1, 2, 3)}
        shapes |= {f"{at}.attention_norm.weight": (dim,), f"{at}.ffn_norm.weight": (dim,)}
    made = {name: torch.from_numpy(named(name, shape)).half() for name, shape in shapes.items()}
    return made | {"rope.freqs": torch.ones(dim // PARAMS["n_heads"] // 2)}


def norm(x, weight):
    return x * (x.square().mean(-1, keepdim=True) + PARAMS["norm_eps"]).rsqrt() * weight


def turned(x):
    """Neighbouring numbers of a head are one complex number, turned by position * frequency."""
    seq, _, dims = x.shape
    frequencies = 10000.0 ** -(torch.arange(0, dims, 2).double() / dims)
    angles = torch.outer(torch.arange(seq).double(), frequencies)
    pairs = torch.view_as_complex(x.reshape(seq, -1, dims // 2, 2)) * torch.polar(torch.ones_like(angles), angles)[:, None]
    return torch.view_as_real(pairs).reshape(x.shape)


def forward(weights):
    heads, kv = PARAMS["n_heads"], PARAMS["n_kv_heads"]
    seq, dims = len(IDS), PARAMS["dim"] // heads
    x = weights["tok_embeddings.weight"][IDS]
    blocked = torch.ones(seq, seq).triu(1).bool()
    for layer in range(PARAMS["n_layers"]):
        w = {name.split(".")[-2]: value for name, value in weights.items() if name.startswith(f"layers.{layer}.")}
        a = norm(x, w["attention_norm"])
        q = turned((a @ w["wq"].T).view(seq, heads, dims))
        k = turned((a @ w["wk"].T).view(seq, kv, dims)).repeat_interleave(heads // kv, 1)
        v = (a @ w["wv"].T).view(seq, kv, dims).repeat_interleave(heads // kv, 1)
        scores = torch.einsum("qhd,khd->hqk", q, k) / dims**0.5
        o = torch.einsum("hqk,khd->qhd", scores.masked_fill(blocked, -torch.inf).softmax(-1), v)
        x = x + o.reshape(seq, -1) @ w["wo"].T
        m = norm(x, w["ffn_norm"])
        x = x + (torch.nn.functional.silu(m @ w["w1"].T) * (m @ w["w3"].T)) @ w["w2"].T
    return norm(x, weights["norm.weight"]) @ weights["output.weight"].T


def by_transformers(weights):
    def permute(w, heads):
        rows, columns = w.shape
        return w.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)

    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=PARAMS["dim"],
        intermediate_size=INNER,
        num_hidden_layers=PARAMS["n_layers"],
        num_attention_heads=PARAMS["n_heads"],
        num_key_value_heads=PARAMS["n_kv_heads"],
        rms_norm_eps=PARAMS["norm_eps"],
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).double().eval()
    own = {"model.embed_tokens": "tok_embeddings", "model.norm": "norm", "lm_head": "output"}
    for layer in range(PARAMS["n_layers"]):
        ours, theirs = f"layers.{layer}", f"model.layers.{layer}"
        own |= {f"{theirs}.self_attn.{x}_proj": f"{ours}.attention.w{x}" for x in "qkvo"}
        own |= {f"{theirs}.mlp.{y}_proj": f"{ours}.feed_forward.{x}" for x, y in (("w1", "gate"), ("w2", "down"), ("w3", "up"))}
        own |= {f"{theirs}.input_layernorm": f"{ours}.attention_norm", f"{theirs}.post_attention_layernorm": f"{ours}.ffn_norm"}
    state = {f"{theirs}.weight": weights[f"{ours}.weight"] for theirs, ours in own.items()}
    for name in state:
        heads = PARAMS["n_heads"] if "q_proj" in name else PARAMS["n_kv_heads"] if "k_proj" in name else 0
        state[name] = permute(state[name], heads) if heads else state[name]
    model.load_state_dict(state)
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0]


def main():
    stored = tensors()
    weights = {name: value.double() for name, value in stored.items()}
    logits = forward(weights)
    worst = (logits - by_transformers(weights)).abs().max().item()
    assert worst < 1e-5, f"Meta's formulas and transformers differ by {worst}"
    file = io.BytesIO()
    torch.save(stored, file)
    out = {
        "torch": torch.__version__,
        "params": PARAMS,
        "file": base64.b64encode(file.getvalue()).decode(),
        "ids": IDS,
        "logits": [float(f"{value:.8g}") for value in logits.reshape(-1).numpy()],
    }
    Path(__file__).with_name("consolidated.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")
    print("transformers is met within", worst)


if __name__ == "__main__":
    main()
