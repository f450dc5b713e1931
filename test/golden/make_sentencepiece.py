"""Makes sentencepiece.json: small BPE models and the ids that sentencepiece itself gives, for test/tokens/sentencepiece.test.ts.

    pip install sentencepiece==0.2.3 protobuf && python test/golden/make_sentencepiece.py
"""

import base64
import io
import json
import random
from pathlib import Path

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as proto

random.seed(7)
nouns = "river stone lantern garden window teacher 月亮 猫 école Straße хлеб kettle orchard".split()
verbs = "carries paints remembers opens follows 看见 lights measures".split()
corpus = [
    f"The {random.choice(nouns)} {random.choice(verbs)} the {random.choice(nouns)}, {random.randint(0, 999)} times."
    for _ in range(800)
]
texts = [
    "",
    " ",
    "  ",
    "The river carries the lantern.",
    " leading space",
    "trailing space  ",
    "two  spaces   three",
    "\ttab and\nnewline\r\n",
    "月亮看见猫。",
    "nothing known: 鬱 🦙 \u0301 \u200b \ufeff",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
    "ththththe thethe theth",
    "<tag>inside<tag><tag> text <tagg>",
    "</s> <s> <unk> <0x41> <ctl>",
    "▁ already ▁▁ escaped",
    "12345 67.89 0x1F",
    "\u0000\u0001",
    "e\u0301cole école",
]
alphabet = "abcdehinorst .,\n▁0123猫é🦙<tag>"
texts += ["".join(random.choice(alphabet) for _ in range(random.randint(1, 40))) for _ in range(40)]
texts += [random.choice(corpus)[random.randint(0, 9) :] for _ in range(10)]


def train(**options):
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus),
        model_writer=model,
        model_type="bpe",
        vocab_size=420,
        character_coverage=0.999,
        normalization_rule_name="identity",
        user_defined_symbols=["<tag>", "猫猫"],
        control_symbols=["<ctl>"],
        minloglevel=2,
        **options,
    )
    return proto.ModelProto.FromString(model.getvalue())


def case(name, model):
    model.trainer_spec.ClearField("input")
    raw = model.SerializeToString(deterministic=True)
    processor = spm.SentencePieceProcessor(model_proto=raw)
    vectors = [{"text": text, "ids": processor.encode(text)} for text in texts]
    decoded = [processor.decode(vector["ids"]) for vector in vectors]
    for vector, text in zip(vectors, decoded):
        vector["decoded"] = text
    return {"name": name, "model": base64.b64encode(raw).decode(), "vectors": vectors}


llama = train(byte_fallback=True, remove_extra_whitespaces=False, split_digits=True)
unknown = train(byte_fallback=False, remove_extra_whitespaces=True)
bare = train(byte_fallback=True, remove_extra_whitespaces=False, add_dummy_prefix=False)
ties = train(byte_fallback=True, remove_extra_whitespaces=False)
for piece in ties.pieces:
    piece.score = float(int(piece.score) // 40)
unused = train(byte_fallback=True, remove_extra_whitespaces=False)
for i, piece in enumerate(unused.pieces):
    if piece.type == proto.ModelProto.SentencePiece.NORMAL and len(piece.piece) > 1 and i % 3 == 0:
        piece.type = proto.ModelProto.SentencePiece.UNUSED

cases = [
    case("Llama's settings", llama),
    case("no bytes, spaces squeezed", unknown),
    case("no space before the text", bare),
    case("scores that tie", ties),
    case("pieces marked unused", unused),
]
out = Path(__file__).with_name("sentencepiece.json")
out.write_text(json.dumps({"sentencepiece": spm.__version__, "cases": cases}, ensure_ascii=True, separators=(",", ":")) + "\n")
