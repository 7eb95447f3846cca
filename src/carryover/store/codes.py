"""One-bit codes: the signs of a vector's numbers. A thirty-second of its size, and enough to tell near from far.

A code is 64-bit words, the last one filled up with zeros. How many bits two codes differ in falls, nearly in a
straight line, as the cosine of their vectors rises.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

_BLOCK = 65_536  # rows whose words, differences and counts stay in the processor's cache
_SHARE = 250_000  # rows that are worth a thread
_TOGETHER = 3  # words whose differing bits fit one byte
_DRAWN = 50_000  # values that a first guess is taken from
_threads = ThreadPoolExecutor(os.cpu_count(), "codes")  # starts none before it is given work


def encoded(vectors: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A row of words for each row of numbers."""
    bits = np.packbits(vectors > 0, axis=1)
    room = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), np.uint8)
    room[:, : bits.shape[1]] = bits
    return room.view(np.uint64)


def distances(words: Sequence[NDArray[np.uint64]], code: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """In how many bits each row differs from the code; `words` holds the first word of all rows, the second, ..."""
    size = len(words[0])
    found = np.empty(size, np.uint16)
    shares = min(-(-size // _SHARE), os.cpu_count() or 1)
    ends = [size * share // shares for share in range(shares + 1)] if shares else [0, 0]

    def count(share: int) -> None:
        here = slice(ends[share], ends[share + 1])
        _count([column[here] for column in words], code, found[here])

    others = [_threads.submit(count, share) for share in range(1, shares)]
    count(0)
    for other in others:
        other.result()
    return found


def lowest(values: NDArray[np.uint16], among: NDArray[np.bool_], count: int) -> NDArray[np.intp]:
    """The positions of the `count` lowest of the values that are `among` them; of equal ones the first."""
    # How low they are is guessed from a part: the only look at all of them is then one comparison.
    step = max(1, values.size // _DRAWN) | 1
    drawn = values[::step][among[::step]]
    place = count // step * 5 // 4 + 8 if step > 1 else count
    found = among.nonzero()[0] if drawn.size <= place else _until(values, among, int(np.partition(drawn, place)[place]))
    if found.size < count and drawn.size > place:  # guessed too low
        found = _until(values, among, int(np.searchsorted(np.bincount(values[among]).cumsum(), count)))
    return found[np.argsort(values[found], kind="stable")[:count]]


def refined(rows: NDArray[np.uint64], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """How well each row of words fits the vector, whose own numbers are not rounded here: a better order, dearer."""
    bits = np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=1, count=vector.size)
    return bits.astype(np.float32) @ vector


def _count(words: Sequence[NDArray[np.uint64]], code: NDArray[np.uint64], found: NDArray[np.uint16]) -> None:
    """`found` holds the distances of these rows."""
    room = min(_BLOCK, found.size)
    differing, bits, few = np.empty(room, np.uint64), np.empty(room, np.uint8), np.empty(room, np.uint8)
    for start in range(0, found.size, _BLOCK):
        block = found[start : start + _BLOCK]
        size = block.size
        for first in range(0, len(words), _TOGETHER):
            for word in range(first, min(first + _TOGETHER, len(words))):
                part = words[word][start : start + size]
                np.bitwise_xor(part, code[word], out=differing[:size])
                np.bitwise_count(differing[:size], out=(few if word == first else bits)[:size])
                if word > first:
                    few[:size] += bits[:size]
            if first == 0:
                block[:] = few[:size]
            else:
                block += few[:size]


def _until(values: NDArray[np.uint16], among: NDArray[np.bool_], highest: int) -> NDArray[np.intp]:
    return ((values <= highest) & among).nonzero()[0]
