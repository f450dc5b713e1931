"""Writes sampling.json: which tokens transformers' temperature, top-k and top-p leave, with which probability.

    python make_sampling.py > sampling.json          (needs torch and transformers; versions are recorded in the file)
"""

import json

import torch
import transformers
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

scores = [0.1, 2.0, -1.0, 3.0, 0.5, 2.5, -3.0, 1.0]
cases = []
for temperature, top_k, top_p in [(1.0, None, 1.0), (0.5, None, 1.0), (2.0, 3, 1.0), (1.0, None, 0.7), (1.5, 4, 0.8), (1.0, 1, 1.0), (1.0, None, 0.05)]:
    warped = TemperatureLogitsWarper(temperature)(None, torch.tensor([scores], dtype=torch.float64))
    if top_k is not None:
        warped = TopKLogitsWarper(top_k)(None, warped)
    if top_p < 1:
        warped = TopPLogitsWarper(top_p)(None, warped)
    cases.append(
        {"temperature": temperature, "topK": top_k, "topP": top_p, "probabilities": torch.softmax(warped, -1)[0].tolist()}
    )
logprobs = torch.log_softmax(torch.tensor(scores, dtype=torch.float64), -1).tolist()
versions = {"torch": torch.__version__, "transformers": transformers.__version__}
print(json.dumps({**versions, "scores": scores, "logprobs": logprobs, "cases": cases}))
