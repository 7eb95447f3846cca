"""One-bit codes: the signs of a vector's numbers. A thirty-second of its size, and enough to tell near from far.

A code is 64-bit words, the last one filled up with zeros. How many bits two codes differ in falls, nearly in a
straight line, as the cosine of their vectors rises.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK = 32_768  # rows whose words, differences and counts stay in the processor's cache


def encoded(vectors: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A row of words for each row of numbers."""
    bits = np.packbits(vectors > 0, axis=1)
    room = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), np.uint8)
    room[:, : bits.shape[1]] = bits
    return room.view(np.uint64)


def distances(words: Sequence[NDArray[np.uint64]], code: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """In how many bits each row differs from the code; `words` holds the first word of all rows, the second, ..."""
    size = len(words[0])
    found = np.zeros(size, np.uint16)
    differing, count = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.uint8)
    for start in range(0, size, _BLOCK):
        block = found[start : start + _BLOCK]
        for column, word in zip(words, code, strict=True):
            part = column[start : start + _BLOCK]
            np.bitwise_xor(part, word, out=differing[: len(part)])
            np.bitwise_count(differing[: len(part)], out=count[: len(part)])
            block += count[: len(part)]
    return found


def lowest(values: NDArray[np.uint16], count: int) -> NDArray[np.intp]:
    """The positions of the `count` lowest values; among equal ones the first."""
    if values.size <= count:
        return np.arange(values.size)
    highest = int(np.searchsorted(np.bincount(values).cumsum(), count))
    below, level = np.flatnonzero(values < highest), np.flatnonzero(values == highest)
    return np.concatenate((below, level[: count - below.size]))


def refined(rows: NDArray[np.uint64], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """How well each row of words fits the vector, whose own numbers are not rounded here: a better order, dearer."""
    bits = np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=1, count=vector.size)
    return bits.astype(np.float32) @ vector
