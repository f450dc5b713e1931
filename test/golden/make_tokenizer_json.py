"""Makes tokenizer-json.json: small tokenizer.json files and the ids that Hugging Face's tokenizers gives, for
test/tokens/tokenizer-json.test.ts.

    pip install tokenizers==0.23.3 && python test/golden/make_tokenizer_json.py
"""

import json
import random
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

random.seed(11)
nouns = "river stone lantern garden window teacher 月亮 猫 école Straße хлеб kettle orchard".split()
verbs = "carries paints remembers opens follows 看见 lights measures".split()
corpus = [
    f"The {random.choice(nouns)} {random.choice(verbs)} the {random.choice(nouns)}, {random.randint(0, 999)} times.\n"
    for _ in range(800)
]
texts = [
    " ",
    "The river carries the lantern.",
    " leading space",
    "trailing space  ",
    "\ttab and\nnewline\r\n\r\n",
    "月亮看见猫。鬱 🦙",
    "thethethethethe",
    "it's we'll I'VE 12345",
    "e\u0301cole école",
    "<extra> and <extra><extra>",
]
alphabet = "abcdehinorst .,'\n0123猫é🦙"
texts += ["".join(random.choice(alphabet) for _ in range(random.randint(1, 40))) for _ in range(30)]
special = ["<unk>", "<s>", "</s>"]
written = ["</s>", "say </s> now", "<s>The river</s>"]
bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]


def trained(tokenizer, size):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus, trainer)
    return json.loads(tokenizer.to_str())["model"]


def spaces_as_pieces(normalizer, pre_tokenizer, decoder):
    """As Llama's: no words before the merges, unknown characters as bytes."""
    learner = Tokenizer(models.BPE(unk_token="<unk>"))
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    model = trained(learner, 600)
    vocab = {token: i for i, token in enumerate(special + bytes_)}
    for token in model["vocab"]:
        vocab.setdefault(token, len(vocab))
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return tokenizer


def case(name, tokenizer):
    tokenizer.add_tokens([AddedToken("<extra>", normalized=False)])
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    vectors = [{"text": text, "ids": encode(text), "decoded": tokenizer.decode(encode(text))} for text in texts]
    return {
        "name": name,
        "json": json.loads(tokenizer.to_str()),
        "vectors": vectors,
        "special": [{"text": text, "ids": encode(text)} for text in written],
    }


fused = [decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
prepend = spaces_as_pieces(
    normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
    None,
    decoders.Sequence([decoders.Replace("▁", " "), *fused]),
)
metaspace = spaces_as_pieces(
    None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoders.Sequence([decoders.Replace("▁", " "), *fused])
)
byte_level = Tokenizer(models.BPE())
byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
byte_level.decoder = decoders.ByteLevel()
byte_level.post_processor = processors.ByteLevel(trim_offsets=False)
trained(byte_level, 700)

# Llama 3's and Qwen 2's way: words by a pattern, then bytes as characters; a word that is a token is not merged.
pattern = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
words = Tokenizer(models.BPE(ignore_merges=True))
words.normalizer = normalizers.NFC()
words.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
)
words.decoder = decoders.ByteLevel()
trained(words, 700)

cases = [
    case("a space put before the text", prepend),
    case("a space put before the first word", metaspace),
    case("bytes as characters", byte_level),
    case("words by a pattern", words),
]
out = Path(__file__).with_name("tokenizer-json.json")
out.write_text(json.dumps({"tokenizers": tokenizers.__version__, "cases": cases}, ensure_ascii=True, separators=(",", ":")) + "\n")
