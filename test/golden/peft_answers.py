"""Prints, as JSON, the logits that PEFT computes with an adapter folder on stories260k.

    python test/golden/peft_answers.py ADAPTER_FOLDER '[1, 5, 9]'     (versions: requirements.txt)
"""

import json
import sys

import torch
from peft import PeftModel
from stories import load_model

if __name__ == "__main__":
    model = PeftModel.from_pretrained(load_model(torch.float32), sys.argv[1])
    model.eval()
    with torch.no_grad():
        logits = model(torch.tensor([json.loads(sys.argv[2])])).logits[0]
    print(json.dumps([[round(float(x), 7) for x in row] for row in logits]))
