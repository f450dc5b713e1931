"""Writes schedule.json: learning rate factors of transformers.get_scheduler.

    python make_schedule.py > schedule.json          (needs torch and transformers; versions are recorded in the file)
"""

import json

import torch
import transformers

cases = []
for name, scheduler in [("linear", "linear"), ("cosine", "cosine"), ("constant_with_warmup", "constant")]:
    for updates, warmup in [(1, 0), (7, 0), (10, 3), (10, 10), (10, 14), (46, 100), (873, 27)]:
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        schedule = transformers.get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=updates)
        factors = []
        for _ in range(updates):
            factors.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        step = max(1, updates // 40)
        cases.append(
            {
                "scheduler": scheduler,
                "updates": updates,
                "warmup": warmup,
                "done": list(range(0, updates, step)),
                "factors": factors[::step],
            }
        )
print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, "cases": cases}))
