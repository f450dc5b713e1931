"""Writes loss_scale.json: the state of torch.amp.GradScaler after each update of a series in which some gradients overflow.

    python make_loss_scale.py > loss_scale.json          (needs torch; versions are recorded in the file)

The loop is the one of PyTorch's AMP examples; the schedule is stepped only when the optimizer was not skipped.
"""

import json

import torch


def series(name, overflows, **options):
    parameter = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda made: 1 - made / len(overflows))
    scaler = torch.amp.GradScaler("cpu", **options)
    states = []
    for overflow in overflows:
        optimizer.zero_grad()
        scaler.scale(parameter.sum()).backward()
        if overflow:
            parameter.grad[1] = float(overflow)
        before, rate, value = scaler.get_scale(), optimizer.param_groups[0]["lr"], parameter.detach().clone()
        scaler.step(optimizer)
        scaler.update()
        skipped = torch.equal(value, parameter.detach())
        assert skipped == (overflow is not None)
        if not skipped:
            schedule.step()
        states.append(
            {
                "overflowed": skipped,
                "scaleBefore": before,
                "scale": scaler.get_scale(),
                "growthTracker": scaler._get_growth_tracker(),
                "learningRate": rate,
                "step": int(optimizer.state[parameter]["step"].item()) if optimizer.state else 0,
            }
        )
    return {"name": name, "options": options, "states": states}


def mixed(count):
    state, kinds = 1, []
    for _ in range(count):
        state = state * 48271 % 2147483647
        kinds.append({0: "inf", 1: "nan"}.get(state % 7))
    return kinds


print(
    json.dumps(
        {
            "versions": {"torch": torch.__version__},
            "series": [
                series("the defaults", ["inf", None, None, "nan", None, "inf", "-inf", None]),
                series("a short growth interval", mixed(30), growth_interval=3),
                series(
                    "factors whose products f32 rounds",
                    mixed(30),
                    init_scale=1000.1,
                    growth_factor=1.7,
                    backoff_factor=0.3,
                    growth_interval=2,
                ),
                series("a scale that would become infinite", [None] * 8, init_scale=2.0**126, growth_interval=2),
                series("a scale that vanishes", ["inf"] * 6, init_scale=2.0**-146),
            ],
        },
        separators=(",", ":"),
    )
)
