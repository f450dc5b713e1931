"""Makes adapter_layouts.json: adapters as PEFT of two ages writes them, and what each adds to the weights, for test/adapter/layouts.test.ts.

    python test/golden/make_adapter_layouts.py current                       (versions: requirements.txt)
    pip install --no-deps --target OLD peft==0.2.0 && PYTHONPATH=OLD python test/golden/make_adapter_layouts.py fused
    python test/golden/make_adapter_layouts.py read ADAPTER_FOLDER           prints what PEFT reads of a folder
"""

import base64
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import peft
import torch
from torch import nn

torch.manual_seed(11)
out = Path(__file__).with_name("adapter_layouts.json")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = nn.ModuleDict({"q_proj": nn.Linear(16, 16, bias=False), "v_proj": nn.Linear(16, 8, bias=False)})
        self.mlp = nn.ModuleDict({"gate_proj": nn.Linear(16, 24, bias=False)})


class Tiny(nn.Module):
    """The names and sizes of test/model/tiny.ts, as far as the adapters reach."""

    def __init__(self):
        super().__init__()
        self.model = nn.Module()
        self.model.layers = nn.ModuleList(Block() for _ in range(2))
        self.lm_head = nn.Linear(16, 24, bias=False)

    def forward(self, x):
        return x

    def prepare_inputs_for_generation(self):
        """Asked for, and never called, by PEFT's model of a causal language model."""


def filled(model):
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape) * 0.5
    return model


def saved(model, **options):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, **options)
        root = Path(folder)
        config = json.loads((root / "adapter_config.json").read_text())
        weights = base64.b64encode((root / "adapter_model.bin").read_bytes()).decode()
    config["base_model_name_or_path"] = None
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    return config, weights


def rounded(tensor):
    return [float(f"{float(value):.9g}") for value in tensor.detach().flatten()]


def plain(name):
    return name.removeprefix("base_model.model.")


def current():
    config = peft.LoraConfig(
        r=2,
        lora_alpha=6,
        use_rslora=True,
        target_modules=["q_proj", "v_proj"],
        rank_pattern={"layers.1.self_attn.q_proj": 3},
        alpha_pattern={"v_proj": 7},
        modules_to_save=["lm_head"],
    )
    model = filled(peft.get_peft_model(Tiny(), config))
    added = adds(model)
    config, weights = saved(model, safe_serialization=False)
    return {"peft": peft.__version__, "config": config, "weights": weights, **added}


def adds(model):
    deltas = {
        plain(name): rounded(module.get_delta_weight("default"))
        for name, module in model.named_modules()
        if isinstance(module, peft.tuners.lora.Linear)
    }
    head = model.base_model.model.lm_head
    whole = {"lm_head": rounded(head.modules_to_save["default"].weight)} if hasattr(head, "modules_to_save") else {}
    return {"deltas": deltas, "whole": whole}


def fused():
    """One target module, two of three parts updated: the layout that PEFT up to 0.2 forced on fused query_key_value layers."""
    config = peft.LoraConfig(r=2, lora_alpha=6, lora_dropout=0.0, target_modules=["gate_proj"], enable_lora=[True, False, True])
    base = Tiny()
    base.config = SimpleNamespace(to_dict=lambda: {"model_type": "tiny"})
    model = filled(peft.get_peft_model(base, config))
    deltas = {}
    for name, module in model.named_modules():
        if isinstance(module, peft.tuners.lora.MergedLinear):
            x = torch.eye(16)
            deltas[plain(name)] = rounded((module(x[None])[0] - nn.functional.linear(x, module.weight)).T)
    config, weights = saved(model)
    return {"peft": peft.__version__, "config": config, "weights": weights, "deltas": deltas, "whole": {}}


if __name__ == "__main__":
    kind = sys.argv[1]
    if kind == "read":
        print(json.dumps(adds(peft.PeftModel.from_pretrained(Tiny(), sys.argv[2]))))
        sys.exit()
    golden = json.loads(out.read_text()) if out.exists() else {}
    golden[kind] = {"current": current, "fused": fused}[kind]()
    out.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
