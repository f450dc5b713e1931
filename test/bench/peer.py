"""PyTorch + PEFT's side of the bench: one job in one process, driven over stdin and stdout (child.ts says how).

The setting is transformers' and PEFT's without compiling: scaled-dot-product attention, fused AdamW, base weights in the dtype asked
for, adapters in f32 as PEFT makes them; bf16 runs under autocast, so that the adapters' products are in bf16 as well, as ours are.
"""

import json
import os
import sys
import time

job = json.loads(sys.argv[1])
os.environ["OMP_NUM_THREADS"] = str(job["threads"])
os.environ["HF_HUB_OFFLINE"] = "1"

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def memory(field):
    """Bytes of this process from the system's own count: VmRSS now, VmHWM the most ever."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))
    except FileNotFoundError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def say(answer):
    print(json.dumps(answer), flush=True)


def build():
    config = transformers.LlamaConfig(
        **job["model"]["shape"],
        rms_norm_eps=1e-5,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="sdpa",
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[job["dtype"]])
    model = transformers.LlamaForCausalLM(config)
    torch.set_default_dtype(before)
    return model


def trainer(model):
    """One call is one update on one batch: forward, backward, clipping, AdamW."""
    size = (job["model"]["batch"], job["model"]["seq"])
    lora = peft.LoraConfig(
        r=job["rank"], lora_alpha=job["alpha"], lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = peft.get_peft_model(model, lora)
    model.train()
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    assert all(tensor.dtype == torch.float32 for tensor in trained)
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=True)
    ids = torch.randint(0, model.config.vocab_size, size)
    mixed = torch.autocast("cpu", dtype=torch.bfloat16, enabled=job["dtype"] == "bf16")

    def step():
        with mixed:
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return {"loss": loss.item(), "trained": sum(tensor.numel() for tensor in trained)}

    return step


def decoder(model):
    """One call reads the prompt, then times the greedy tokens after the first; a plain loop, which is faster than generate()."""
    model.eval()
    ids = torch.randint(0, model.config.vocab_size, (1, job["prompt"]))

    @torch.inference_mode()
    def step():
        out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
        token = out.logits[:, -1].argmax(-1, keepdim=True)
        began = time.perf_counter()
        for _ in range(job["newTokens"] - 1):
            out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True)
            token = out.logits[:, -1].argmax(-1, keepdim=True)
        return {"seconds": time.perf_counter() - began, "last": int(token)}

    return step


torch.manual_seed(42)
torch.set_num_threads(job["threads"])
start = memory("VmRSS")
model = build()
step = trainer(model) if job["work"] == "train" else decoder(model)
say(
    {
        "versions": {
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
        },
        "threads": torch.get_num_threads(),
        "parameters": sum(tensor.numel() for tensor in model.parameters()),
    }
)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["do"] == "report":
        say({"startBytes": start, "peakBytes": memory("VmHWM")})
        continue
    seconds = 0.0
    for _ in range(asked["times"]):
        began = time.perf_counter()
        answer = step()
        seconds += answer.get("seconds", time.perf_counter() - began)
    say({**answer, "seconds": seconds / asked["times"]})
