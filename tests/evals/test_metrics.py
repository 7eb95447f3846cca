"""The measures, on cases small enough to work out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.evals.metrics import inside, mean, ndcg, recall


@pytest.mark.parametrize(
    ("ranked", "gold", "k", "expected"),
    [("abc", "a", 1, 1.0), ("abc", "c", 2, 0.0), ("abcd", "bd", 2, 0.5), ("", "a", 5, 0.0), ("aab", "ab", 2, 0.5)],
)
def test_recall(ranked: str, gold: str, k: int, expected: float) -> None:
    assert recall(ranked, set(gold), k) == expected


@pytest.mark.parametrize(
    ("ranked", "gold", "k", "expected"),
    [
        ("abc", "a", 10, 1.0),
        ("bac", "a", 10, 1 / math.log2(3)),
        ("bca", "ac", 10, (1 / math.log2(3) + 1 / 2) / (1 + 1 / math.log2(3))),
        ("bca", "a", 2, 0.0),
        ("aab", "ab", 10, (1 + 1 / 2) / (1 + 1 / math.log2(3))),
        ("ab", "abc", 2, 1.0),
    ],
)
def test_ndcg(ranked: str, gold: str, k: int, expected: float) -> None:
    assert ndcg(ranked, set(gold), k) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(0, 0.0), (4, 0.0), (5, 0.5), (20, 0.0), (30, 0.5), (35, 1.0), (100, 1.0)],
)
def test_inside(budget: int, expected: float) -> None:
    hits = [(20, "x"), (10, "a"), (500, "c"), (5, "b")]
    assert inside(hits, {"a", "b"}, budget) == expected


def test_a_hit_that_does_not_fit_is_passed_over() -> None:
    assert inside([(90, "x"), (20, "y"), (10, "a")], {"a"}, 100) == 1.0


def test_mean() -> None:
    assert mean([]) == 0
    assert mean([1, 2]) == 1.5


@given(st.lists(st.integers(0, 9), unique=True), st.sets(st.integers(0, 9), min_size=1), st.integers(1, 12))
def test_measures_lie_between_0_and_1_and_are_1_for_the_perfect_ranking(
    ranked: list[int], gold: set[int], k: int
) -> None:
    for measure in (recall, ndcg):
        assert 0 <= measure(ranked, gold, k) <= 1
    assert ndcg(sorted(gold), gold, k) == pytest.approx(1)
    assert recall(sorted(gold), gold, len(gold)) == 1
