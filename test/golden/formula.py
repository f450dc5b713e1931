"""Weights and adapters from a formula, so that no weight need be committed. The same numbers as formula.ts, which has the formula's words."""

import numpy as np


def _mix(value):
    """One round of MurmurHash3's 32-bit finaliser."""
    h = value.astype(np.uint64) & 0xFFFFFFFF
    h = ((h ^ (h >> np.uint64(16))) * np.uint64(0x85EBCA6B)) & np.uint64(0xFFFFFFFF)
    h = ((h ^ (h >> np.uint64(13))) * np.uint64(0xC2B2AE35)) & np.uint64(0xFFFFFFFF)
    return h ^ (h >> np.uint64(16))


def bits_at(*words):
    """32 random bits for a position; a word may be an array, and then so is the answer."""
    h = np.array(0x9E3779B9, dtype=np.uint64)
    for word in words:
        word = np.asarray(word, dtype=np.uint64)
        h = _mix(((h * np.uint64(0x01000193)) & np.uint64(0xFFFFFFFF)) ^ word)
    return h


def uniform_at(*words):
    return (bits_at(*words) >> np.uint64(8)).astype(np.float64) / 0x1000000


def named(name, shape):
    """Values of a tensor: uniform in +-1.5 / sqrt(last axis) for matrices, 1 +- 0.2 for norms, +-0.2 for biases, rounded to f32."""
    count = int(np.prod(shape))
    seed = int(bits_at(*[ord(character) for character in name]))
    u = 2 * uniform_at(seed, np.arange(count)) - 1
    if name.endswith("norm.weight"):
        values = 1 + 0.2 * u
    elif len(shape) == 1:
        values = 0.2 * u
    else:
        values = 1.5 / np.sqrt(shape[-1]) * u
    return values.astype(np.float32).reshape(shape)


def permutation(count, seed, round_):
    """A random order of 0 .. count - 1 (Fisher and Yates), as random.ts of the engine makes it."""
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        j = int(uniform_at(seed, round_, i) * (i + 1))
        order[i], order[j] = order[j], order[i]
    return order
