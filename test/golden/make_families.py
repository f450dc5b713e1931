"""Makes chatglm.json and t5.json: logits, loss, gradients, a curve of 20 LoRA updates and greedy answers of tiny random models, in f64.

    .venv-golden/bin/python test/golden/make_families.py [GLM_FIXTURE]          (versions and venv: requirements.txt)

Weights come from formula.py, so the files hold only what came out. T5 is transformers' with PEFT. ChatGLM-6B's first generation is in
transformers no more: below it is written from its published formulas in plain PyTorch. Given the path of a safetensors file with one
layer's weights and the hidden states that the authors' own code made of it, the script checks itself against it first.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from formula import bits_at, named
from torch import nn
from torch.nn.functional import cross_entropy, gelu, layer_norm, linear

torch.set_default_dtype(torch.float64)
RANK, ALPHA, UPDATES, RATE = 2, 2, 20, 1e-2
HERE = Path(__file__).parent


def rounded(values):
    return [float(f"{value:.8g}") for value in np.asarray(values).reshape(-1)]


def ids_of(case, row, length, low, high):
    return [int(i) for i in (bits_at(0x90, case, row, np.arange(length)) % np.uint64(high - low)).astype(int) + low]


# ChatGLM-6B, first generation.

GLM = {
    "model_type": "chatglm",
    "vocab_size": 24,
    "hidden_size": 16,
    "inner_hidden_size": 24,
    "num_layers": 2,
    "num_attention_heads": 2,
    "layernorm_epsilon": 1e-5,
    "max_sequence_length": 32,
    "position_encoding_2d": True,
    "mask_token_id": 16,
    "gmask_token_id": 17,
    "bos_token_id": 20,
    "eos_token_id": 21,
    "pad_token_id": 3,
}


def glm_shapes(config):
    hidden, inner, vocab = config["hidden_size"], config["inner_hidden_size"], config["vocab_size"]
    shapes = {"transformer.word_embeddings.weight": (vocab, hidden)}
    for layer in range(config["num_layers"]):
        at = f"transformer.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes |= {f"{at}.{norm}.weight": (hidden,), f"{at}.{norm}.bias": (hidden,)}
        for site, outputs, inputs in (
            ("attention.query_key_value", 3 * hidden, hidden),
            ("attention.dense", hidden, hidden),
            ("mlp.dense_h_to_4h", inner, hidden),
            ("mlp.dense_4h_to_h", hidden, inner),
        ):
            shapes |= {f"{at}.{site}.weight": (outputs, inputs), f"{at}.{site}.bias": (outputs,)}
    shapes |= {"transformer.final_layernorm.weight": (hidden,), "transformer.final_layernorm.bias": (hidden,)}
    return shapes | {"lm_head.weight": (vocab, hidden)}


def glm_positions(ids, config):
    """Place in the text and place in the blank, and the length of the context."""
    context = ids.index(config["bos_token_id"])
    mask = config["gmask_token_id"] if config["gmask_token_id"] in ids else config["mask_token_id"]
    first = list(range(context)) + [ids.index(mask)] * (len(ids) - context)
    second = [0] * context + list(range(1, len(ids) - context + 1))
    return torch.tensor([first, second]), context


def turn(x, positions, frequencies):
    """Rotate-half of [seq, heads, dims] by positions [seq]."""
    angles = positions[:, None].double() * frequencies
    angles = torch.cat([angles, angles], -1)[:, None, :]
    first, second = x.chunk(2, -1)
    return x * angles.cos() + torch.cat([-second, first], -1) * angles.sin()


def glm_hidden(weights, config, ids, positions, seen, project):
    """`project(name, x)` is a linear layer; `seen` [seq, seq] says which key each query sees."""
    heads, eps = config["num_attention_heads"], config["layernorm_epsilon"]
    dims = config["hidden_size"] // heads
    alpha = math.sqrt(2 * 28)  # the published block has 28 layers in it, however many there are
    frequencies = (1.0 / 10000 ** (torch.arange(0, dims // 2, 2).float() / (dims // 2))).half().double()

    def norm(name, x):
        return layer_norm(x, (x.shape[-1],), weights[f"{name}.weight"], weights[f"{name}.bias"], eps)

    h = weights["transformer.word_embeddings.weight"][ids]
    for layer in range(config["num_layers"]):
        at = f"transformer.layers.{layer}"
        a = norm(f"{at}.input_layernorm", h)
        mixed = project(f"{at}.attention.query_key_value", a).view(len(ids), heads, 3 * dims)
        q, k, v = mixed.chunk(3, -1)
        q, k = (
            torch.cat([turn(part, places, frequencies) for part, places in zip(x.chunk(2, -1), positions)], -1) for x in (q, k)
        )
        scores = torch.einsum("qhd,khd->hqk", q, k) / (math.sqrt(dims) * (layer + 1))
        scores = scores.masked_fill(~seen, -10000.0) * (layer + 1)
        o = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(len(ids), -1)
        h = a * alpha + project(f"{at}.attention.dense", o)
        m = norm(f"{at}.post_attention_layernorm", h)
        inner = gelu(project(f"{at}.mlp.dense_h_to_4h", m), approximate="tanh")
        h = m * alpha + project(f"{at}.mlp.dense_4h_to_h", inner)
    return norm("transformer.final_layernorm", h)


def glm_logits(weights, adapters, config, ids):
    positions, context = glm_positions(ids, config)
    places = torch.arange(len(ids))
    seen = (places[None, :] <= places[:, None]) | (places[None, :] < context)

    def project(name, x):
        y = linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
        if not adapters:
            return y
        a, b = adapters[f"{name}.lora_A.weight"], adapters[f"{name}.lora_B.weight"]
        return y + ALPHA / RANK * linear(linear(x, a), b)

    return linear(glm_hidden(weights, config, torch.tensor(ids), positions, seen, project), weights["lm_head.weight"])


def glm_rows():
    """Rows of context, [gMASK], <sop>, answer, <eop>; one with [MASK] within the context instead."""
    end = GLM["eos_token_id"]
    rows = []
    for at, (asked, answered) in enumerate([(3, 4), (5, 2)]):
        context = ids_of(1, at, asked, 4, 15) + [GLM["gmask_token_id"]]
        rows.append(context + [GLM["bos_token_id"]] + ids_of(2, at, answered, 4, 15) + [end])
    blank = ids_of(3, 0, 4, 4, 15)
    blank[1] = GLM["mask_token_id"]
    rows.append(blank + [GLM["bos_token_id"]] + ids_of(4, 0, 3, 4, 15) + [end])
    return [
        {"ids": ids, "labels": [ids[t + 1] if ids.index(GLM["bos_token_id"]) <= t + 1 < len(ids) else -100 for t in range(len(ids))]}
        for ids in rows
    ]


def check_glm(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        config = json.loads(file.metadata()["config"])
    weights = {f"transformer.{name}": tensor.double() for name, tensor in tensors.items() if not name.startswith("ref.")}
    # The reference is read in three pieces with a cache; the last rows of the whole text are the same numbers.
    ids = torch.cat([tensors["ref.x1"], tensors["ref.x2"], tensors["ref.x3"]]).long()
    positions = torch.tensor([[0, 1, 1, 1, 1], [0, 0, 1, 2, 3]])
    places = torch.arange(5)
    seen = (places[None, :] <= places[:, None]) | (places[None, :] < 2)
    project = lambda name, x: linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
    y = glm_hidden(weights, config, ids, positions, seen, project)
    wanted = torch.cat([tensors[f"ref.y{i}"] for i in (1, 2, 3)]).double()
    worst = (y - wanted).abs().max().item()
    assert worst < 1e-4, f"the formulas and the authors' code differ by {worst}"
    print("the authors' layer is met within", worst)


# What both families are asked.


def train(parameters, loss):
    """Losses of full batches under AdamW without decay, from the adapters' start: A from the formula, B zero."""
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0)
    losses = []
    for _ in range(UPDATES):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        losses.append(value.item())
        optimizer.step()
    return losses


def mean_loss(logits, labels):
    total = sum(cross_entropy(l, torch.tensor(want), ignore_index=-100, reduction="sum") for l, want in zip(logits, labels))
    return total / sum(label != -100 for want in labels for label in want)


def glm_case():
    shapes = glm_shapes(GLM)
    weights = {name: torch.from_numpy(named(name, shape).astype(np.float64)) for name, shape in shapes.items()}
    rows = glm_rows()
    labels = [row["labels"] for row in rows]
    sites = [name[: -len(".weight")] for name in shapes if "attention." in name or "mlp." in name]
    sites = [name for name in sites if f"{name}.weight" in shapes and not name.endswith(".bias")]

    def adapters(start):
        made = {}
        for site in sites:
            outputs, inputs = shapes[f"{site}.weight"]
            for name, shape in ((f"{site}.lora_A.weight", (RANK, inputs)), (f"{site}.lora_B.weight", (outputs, RANK))):
                values = named(name, shape).astype(np.float64)
                made[name] = torch.from_numpy(values * 0 if start and "lora_B" in name else values).requires_grad_()
        return made

    def loss(tuned, base=weights):
        return mean_loss([glm_logits(base, tuned, GLM, row["ids"]) for row in rows], labels)

    tuned = adapters(False)
    value = loss(tuned)
    value.backward()
    everything = {name: tensor.clone().requires_grad_() for name, tensor in weights.items()}
    full = loss(None, everything)
    full.backward()
    start = adapters(True)
    answers = []
    for row in rows[:2]:
        prompt = row["ids"][: row["ids"].index(GLM["bos_token_id"]) + 1]
        ids = list(prompt)
        for _ in range(8):
            ids.append(int(glm_logits(weights, tuned, GLM, ids)[-1].argmax()))
            if ids[-1] == GLM["eos_token_id"]:
                break
        answers.append({"prompt": prompt, "answer": ids[len(prompt) :]})
    return {
        "config": GLM,
        "rank": RANK,
        "alpha": ALPHA,
        "rows": rows,
        "baseLogits": [rounded(glm_logits(weights, None, GLM, row["ids"])) for row in rows],
        "logits": [rounded(glm_logits(weights, tuned, GLM, row["ids"]).detach()) for row in rows],
        "loss": value.item(),
        "gradients": {name: rounded(tensor.grad) for name, tensor in tuned.items()},
        "fullLoss": full.item(),
        "fullGradients": {name: rounded(tensor.grad) for name, tensor in everything.items()},
        "learningRate": RATE,
        "losses": train(list(start.values()), lambda: loss(start)),
        "answers": answers,
    }


T5 = {
    "model_type": "t5",
    "vocab_size": 24,
    "d_model": 8,
    "d_kv": 6,
    "d_ff": 12,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
}
T5_CASES = {
    "v1.1, gated gelu and a head of its own": {},
    "1.0, relu, a tied and scaled head, fewer decoder blocks": {
        "feed_forward_proj": "relu",
        "tie_word_embeddings": True,
        "num_decoder_layers": 1,
    },
}


def t5_model(fields):
    from transformers import T5Config, T5ForConditionalGeneration

    given = {name: value for name, value in fields.items() if name != "model_type"}
    config = T5Config(**given, dropout_rate=0.0, use_cache=False)
    model = T5ForConditionalGeneration(config).double().eval()
    if not fields["tie_word_embeddings"]:
        model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(named(name, tuple(parameter.shape)).astype(np.float64)))
    return model


def t5_case(case, fields):
    from peft import LoraConfig, get_peft_model

    rows = []
    for at, (asked, answered) in enumerate([(19, 4), (5, 17)]):
        source = ids_of(10 + case, at, asked, 2, 24) + [1]
        target = ids_of(20 + case, at, answered, 2, 24) + [1]
        rows.append({"source": source, "ids": [0] + target, "labels": target + [-100]})
    labels = [row["labels"] for row in rows]

    def logits(model):
        return [model(input_ids=torch.tensor([r["source"]]), decoder_input_ids=torch.tensor([r["ids"]])).logits[0] for r in rows]

    model = t5_model(fields)
    with torch.no_grad():
        base = logits(model)
    full = mean_loss(logits(model), labels)
    full.backward()
    full_gradients = {name: rounded(p.grad) for name, p in model.named_parameters()}

    def tuned(start):
        targets = ["q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo"]
        lora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, lora_dropout=0.0, bias="none", task_type="SEQ_2_SEQ_LM")
        made = get_peft_model(t5_model(fields), lora)
        plain = {}
        with torch.no_grad():
            for name, p in made.named_parameters():
                if p.requires_grad:
                    short = name.replace("base_model.model.", "").replace(".default", "")
                    values = named(short, tuple(p.shape)).astype(np.float64)
                    p.copy_(torch.from_numpy(values * 0 if start and "lora_B" in short else values))
                    plain[short] = p
        return made.double(), plain

    model, adapters = tuned(False)
    value = mean_loss(logits(model), labels)
    value.backward()
    answers = []
    for row in rows:
        ids = [0]
        for _ in range(8):
            scores = model(input_ids=torch.tensor([row["source"]]), decoder_input_ids=torch.tensor([ids])).logits[0, -1]
            ids.append(int(scores.argmax()))
            if ids[-1] == 1:
                break
        answers.append({"prompt": row["source"], "answer": ids[1:]})
    fresh, fresh_adapters = tuned(True)
    return {
        "config": fields,
        "rank": RANK,
        "alpha": ALPHA,
        "rows": rows,
        "baseLogits": [rounded(scores) for scores in base],
        "logits": [rounded(scores.detach()) for scores in logits(model)],
        "loss": value.item(),
        "gradients": {name: rounded(p.grad) for name, p in adapters.items()},
        "fullLoss": full.item(),
        "fullGradients": full_gradients,
        "learningRate": RATE,
        "losses": train(list(fresh_adapters.values()), lambda: mean_loss(logits(fresh), labels)),
        "answers": answers,
    }


def write(name, cases):
    target = HERE / name
    target.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    print(name, target.stat().st_size, {case: [round(l, 4) for l in made["losses"][::19]] for case, made in cases.items()})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        check_glm(sys.argv[1])
    write("chatglm.json", {"two layers, rows with [gMASK] and one with [MASK]": glm_case()})
    write("t5.json", {name: t5_case(at, {**T5, **changes}) for at, (name, changes) in enumerate(T5_CASES.items())})
