"""Makes unigram.json: small Unigram models with rules of normalization, and the ids that sentencepiece itself gives, for test/tokens/unigram.test.ts.

    pip install sentencepiece==0.2.3 protobuf && python test/golden/make_unigram.py
"""

import base64
import io
import json
import random
import tempfile
from pathlib import Path

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as proto

random.seed(5)
nouns = "river stone lantern garden window teacher 月亮 猫 école Straße хлеб kettle orchard 类型 版型".split()
verbs = "carries paints remembers opens follows 看见 lights measures".split()
corpus = [
    f"The {random.choice(nouns)} {random.choice(verbs)} the {random.choice(nouns)}, {random.randint(0, 999)} times."
    for _ in range(800)
]
# Code points in hexadecimal: what is replaced, a tab, what it becomes. Full width, ligatures, compositions, spaces, nothing.
rules = [("ff1a", "3a"), ("ff01", "21"), ("ff0c", "2c"), ("3000", "20"), ("9", "20"), ("d", "20"), ("200b", "")]
rules += [(f"{0xFF21 + i:x}", f"{0x41 + i:x}") for i in range(26)]
rules += [("fb01", "66 69"), ("65 301", "e9"), ("301 301", "301"), ("2460", "31"), ("a8", "20 308"), ("2026", "2e 2e 2e")]
texts = [
    "",
    " ",
    "The river carries the lantern.",
    "  leading and trailing  ",
    "two  spaces   three\ttab\r\nline",
    "月亮看见猫。类型版型",
    "ＡＢＣ：ｄ，！　wide",
    "ﬁre e\u0301cole e\u0301\u0301 \u0301\u0301 ①… ¨ a¨",
    "\u200b \u200bnothing\u200b",
    "nothing known: 鬱 🦙 鬱鬱 🦙🦙 \ufeff",
    "aaaaaaaaaaaaaaaaaaaaaaaa thethethe theriver",
    "<tag>inside<tag><tag> text <tagg> ＜tag＞",
    "</s> <s> <unk> <0x41> <ctl>",
    "▁ already ▁▁ escaped",
    "\u0000\u0001",
]
alphabet = "abcdehinorst .,　\n▁0123猫é🦙<tag>ＡＢ：\u0301"
texts += ["".join(random.choice(alphabet) for _ in range(random.randint(1, 40))) for _ in range(60)]
texts += [random.choice(corpus)[random.randint(0, 9) :] for _ in range(10)]


def train(**options):
    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as tsv:
        tsv.write("".join(f"{source.upper()}\t{target.upper()}\n" for source, target in rules))
        tsv.flush()
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus),
            model_writer=model,
            model_type="unigram",
            vocab_size=options.pop("vocab_size", 380),
            character_coverage=0.999,
            normalization_rule_tsv=tsv.name,
            user_defined_symbols=["<tag>", "猫猫"],
            control_symbols=["<ctl>"],
            minloglevel=2,
            **options,
        )
    return proto.ModelProto.FromString(model.getvalue())


def case(name, model):
    model.trainer_spec.ClearField("input")
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    raw = model.SerializeToString(deterministic=True)
    processor = spm.SentencePieceProcessor(model_proto=raw)
    vectors = [{"text": text, "ids": processor.encode(text)} for text in texts]
    return {"name": name, "model": base64.b64encode(raw).decode(), "vectors": vectors}


ties = train(byte_fallback=True, remove_extra_whitespaces=False)
for piece in ties.pieces:
    if piece.type == proto.ModelProto.SentencePiece.NORMAL:
        piece.score = float(int(piece.score))
unused = train(byte_fallback=True)
for i, piece in enumerate(unused.pieces):
    if piece.type == proto.ModelProto.SentencePiece.NORMAL and len(piece.piece) > 1 and i % 3 == 0:
        piece.type = proto.ModelProto.SentencePiece.UNUSED

cases = [
    case("T5's settings", train(vocab_size=180, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)),
    case("ChatGLM's settings", train(byte_fallback=True)),
    case("spaces kept, scores that tie", ties),
    case("pieces marked unused", unused),
]
out = Path(__file__).with_name("unigram.json")
out.write_text(json.dumps({"sentencepiece": spm.__version__, "cases": cases}, ensure_ascii=True, separators=(",", ":")) + "\n")
