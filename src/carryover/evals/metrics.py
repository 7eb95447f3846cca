"""Measures of a ranking against the turns that hold the answer: pure functions, all between 0 and 1."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TypeVar

Cited = TypeVar("Cited")


def recall(ranked: Sequence[Cited], gold: Collection[Cited], k: int) -> float:
    """The share of `gold` among the first `k` cited; a turn that is cited twice takes two places."""
    return len(set(ranked[:k]) & set(gold)) / len(set(gold))


def ndcg(ranked: Sequence[Cited], gold: Collection[Cited], k: int) -> float:
    """Normalised discounted cumulative gain: rank i counts 1 / log2(i + 1), and only the first citation of a turn.

    (Järvelin and Kekäläinen, ACM TOIS 20(4), 2002, with binary relevance.)
    """
    first = {turn: rank for rank, turn in reversed(list(enumerate(ranked[:k], 1)))}
    gain = sum(1 / math.log2(first[turn] + 1) for turn in set(gold) & first.keys())
    return gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(len(set(gold)), k) + 1))


def inside(hits: Sequence[tuple[int, Collection[Cited]]], gold: Collection[Cited], budget: int) -> float:
    """The share of `gold` cited by hits, given as (tokens, cited) in rank order, before the budget is used up.

    A hit that does not fit any more is passed over, as a context would.
    """
    left, found = budget, set[Cited]()
    for tokens, cited in hits:
        if tokens <= left:
            left -= tokens
            found.update(cited)
    return len(found & set(gold)) / len(set(gold))


def mean(values: Sequence[float]) -> float:
    """0 for no values."""
    return sum(values) / len(values) if values else 0.0
