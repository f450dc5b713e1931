"""Writes adamw.json: AdamW steps in f32 with clipping by global norm, two tensors, two rates.

    python make_adamw.py > adamw.json          (needs torch; its version is recorded in the file)
"""

import json

import torch

torch.manual_seed(7)
shapes = [[7], [2, 3]]
factors = [1.0, 2.0]  # the second tensor learns at twice the rate
cases = []
for options in [
    {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.01, "clipNorm": 1.0, "gradScale": 0.25},
    {"beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "decay": 0.1, "clipNorm": 0.0, "gradScale": 1.0},
]:
    parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    groups = [{"params": [parameter]} for parameter in parameters]
    optimizer = torch.optim.AdamW(
        groups,
        lr=1.0,
        betas=(options["beta1"], options["beta2"]),
        eps=options["eps"],
        weight_decay=options["decay"],
        foreach=False,
    )
    start = [parameter.detach().flatten().tolist() for parameter in parameters]
    steps = []
    for step in range(1, 7):
        rate = 0.05 / step
        raw = [torch.randn(shape) * 3 for shape in shapes]
        for parameter, gradient in zip(parameters, raw):
            parameter.grad = gradient * options["gradScale"]
        norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters]).item()
        if options["clipNorm"] > 0:
            torch.nn.utils.clip_grad_norm_(parameters, options["clipNorm"])
        for group, factor in zip(optimizer.param_groups, factors):
            group["lr"] = rate * factor
        optimizer.step()
        state = [optimizer.state[parameter] for parameter in parameters]
        steps.append(
            {
                "learningRate": rate,
                "gradients": [gradient.flatten().tolist() for gradient in raw],
                "norm": norm,
                "param": [parameter.detach().flatten().tolist() for parameter in parameters],
                "m": [part["exp_avg"].flatten().tolist() for part in state],
                "v": [part["exp_avg_sq"].flatten().tolist() for part in state],
            }
        )
    cases.append({"options": options, "start": start, "steps": steps})

print(json.dumps({"torch": torch.__version__, "shapes": shapes, "factors": factors, "cases": cases}))
