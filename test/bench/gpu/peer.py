"""PyTorch's numbers for the same work, printed as lines: matrix products, attention, and, where peft is there, the LoRA step."""

import sys
import time

import torch

torch.manual_seed(42)
gpu = torch.device("cuda")
print(f"torch {torch.__version__} on {torch.cuda.get_device_name()}", flush=True)


def seconds(work, times=20):
    for _ in range(3):
        work()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(times):
        work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3 / times


def say(title, flops, spent):
    print(f"torch {title:32} {spent * 1e3:9.3f} ms {flops / spent / 1e12:8.1f} TFLOP/s", flush=True)


for tokens in (512, 4096):
    x = torch.randn(tokens, 4096, device=gpu, dtype=torch.bfloat16)
    for name, outer in (("h to h", 4096), ("h to i", 14336)):
        w = torch.randn(outer, 4096, device=gpu, dtype=torch.bfloat16)
        say(f"T={tokens} linear {name}", 2 * tokens * 4096 * outer, seconds(lambda: x @ w.T))
    q = torch.randn(1, 32, tokens, 128, device=gpu, dtype=torch.bfloat16, requires_grad=True)
    k = torch.randn(1, 32, tokens, 128, device=gpu, dtype=torch.bfloat16, requires_grad=True)
    v = torch.randn(1, 32, tokens, 128, device=gpu, dtype=torch.bfloat16, requires_grad=True)
    seen = tokens * (tokens + 1) / 2
    sdpa = torch.nn.functional.scaled_dot_product_attention
    say(f"T={tokens} attention", 4 * seen * 4096, seconds(lambda: sdpa(q, k, v, is_causal=True)))
    out = sdpa(q, k, v, is_causal=True)
    slope = torch.randn_like(out)
    say(
        f"T={tokens} attentionBackward",
        10 * seen * 4096,
        seconds(lambda: torch.autograd.grad(out, (q, k, v), slope, retain_graph=True)),
    )
    del q, k, v, out, slope

try:
    import peft
    import transformers
except ImportError as missing:
    print(f"torch LoRA step: not measured, {missing}")
    sys.exit(0)

torch.set_default_dtype(torch.bfloat16)
with torch.device(gpu):
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            hidden_size=4096,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=8,
            intermediate_size=14336,
            vocab_size=128256,
            max_position_embeddings=4096,
            attn_implementation="sdpa",
        )
    )
torch.set_default_dtype(torch.float32)
lora = peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
model = peft.get_peft_model(model, lora)
model.train()
trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=True)
for tokens in (512, 4096):
    ids = torch.randint(0, 128256, (1, tokens), device=gpu)
    torch.cuda.reset_peak_memory_stats()

    def step():
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    try:
        for _ in range(2):
            step()
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(5):
            step()
        torch.cuda.synchronize()
        spent = (time.perf_counter() - began) / 5
        peak = torch.cuda.max_memory_allocated() / 2**30
        print(f"torch LoRA step S={tokens}: {spent:.3f} s, {tokens / spent:.0f} tokens/s, peak {peak:.1f} GiB", flush=True)
    except torch.OutOfMemoryError:
        print(f"torch LoRA step S={tokens}: out of memory", flush=True)
