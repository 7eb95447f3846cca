"""Measures of a ranking and of a context against the turns that hold the answer: pure functions, from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TypeVar

from carryover.memory.words import content, words

Cited = TypeVar("Cited")

RUN = 8  # words in a row that show that a text quotes a turn


def recall(ranked: Sequence[Cited], gold: Collection[Cited], k: int) -> float:
    """The share of `gold` among the first `k` cited; a turn that is cited twice takes two places."""
    return len(set(ranked[:k]) & set(gold)) / len(set(gold))


def all_of(ranked: Sequence[Cited], gold: Collection[Cited], k: int) -> float:
    """1 where all of `gold` is among the first `k` cited, else 0 (LongMemEval's `recall_all@k`)."""
    return float(set(gold) <= set(ranked[:k]))


def ndcg(ranked: Sequence[Cited], gold: Collection[Cited], k: int) -> float:
    """Normalised discounted cumulative gain: rank i counts 1 / log2(i + 1), and only the first citation of a turn.

    (Järvelin and Kekäläinen, ACM TOIS 20(4), 2002, with binary relevance.)
    """
    first = {turn: rank for rank, turn in reversed(list(enumerate(ranked[:k], 1)))}
    gain = sum(1 / math.log2(first[turn] + 1) for turn in set(gold) & first.keys())
    return gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(len(set(gold)), k) + 1))


def ndcg_any(ranked: Sequence[Cited], gold: Collection[Cited], k: int) -> float:
    """LongMemEval's own `ndcg_any@k`, which counts the first two ranks in full: rank i counts 1 / log2(i) from 2 on."""

    def gain(relevant: Sequence[bool]) -> float:
        return sum(1 / math.log2(max(rank, 2)) for rank, is_gold in enumerate(relevant, 1) if is_gold)

    return gain([turn in gold for turn in ranked[:k]]) / gain([True] * min(len(set(gold)), k))


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


def quotes(text: str, turn: str) -> bool:
    """Whether a line of `text` repeats the turn's own words: `RUN` of them in a row, or all where it has fewer.

    Of a turn of one to three words they have to end the line, so that no *yes* or *thanks* counts by chance.
    """
    said = words(turn)
    n = min(RUN, len(said))
    wanted = _runs(said, n)
    for line in text.splitlines() if said else ():
        told = words(line)
        if wanted & _runs(told, n) if n > 3 else told[-n:] == said:
            return True
    return False


def carried(answer: str, text: str) -> float | None:
    """The share of the answer's words with content that stand in `text`, by their stems; None where it has none."""
    wanted = set(content(answer))
    return len(wanted & set(content(text))) / len(wanted) if wanted else None


def mean(values: Sequence[float]) -> float:
    """0 for no values."""
    return sum(values) / len(values) if values else 0.0


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; 0 for no values."""
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1] if values else 0.0


def _runs(said: Sequence[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(said[at : at + n]) for at in range(len(said) - n + 1)}
