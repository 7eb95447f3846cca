"""The measures, on cases small enough to work out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.evals.metrics import all_of, carried, inside, mean, ndcg, ndcg_any, quantile, quotes, recall


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


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.2, 1.0), (0.5, 3.0), (0.6, 3.0), (0.95, 5.0), (1.0, 5.0)]
)
def test_quantile(share: float, expected: float) -> None:
    assert quantile([5.0, 1.0, 4.0, 2.0, 3.0], share) == expected
    assert quantile([], share) == 0


@pytest.mark.parametrize(
    ("ranked", "gold", "k", "expected"),
    [("abc", "ab", 2, 1.0), ("abc", "ac", 2, 0.0), ("abc", "ac", 3, 1.0), ("", "a", 5, 0.0)],
)
def test_all_of(ranked: str, gold: str, k: int, expected: float) -> None:
    assert all_of(ranked, set(gold), k) == expected


@pytest.mark.parametrize(
    ("ranked", "gold", "k", "expected"),
    [
        ("abc", "a", 10, 1.0),
        ("bac", "a", 10, 1.0),
        ("bca", "a", 10, 1 / math.log2(3)),
        ("xaxb", "abc", 10, (1 + 1 / 2) / (1 + 1 + 1 / math.log2(3))),
        ("bca", "a", 2, 0.0),
    ],
)
def test_ndcg_any_counts_the_first_two_ranks_in_full(ranked: str, gold: str, k: int, expected: float) -> None:
    assert ndcg_any(ranked, set(gold), k) == pytest.approx(expected)


LONG = "We moved the pump to the north side of the big pond."


@pytest.mark.parametrize(
    ("text", "turn", "expected"),
    [
        (f'- 8 May, Nora: "{LONG}"', LONG, True),
        ("- moved the pump to the north side of …", LONG, True),
        ("- moved the pump to the north side", LONG, False),
        ("- We moved it. The pump is on the north side of the big pond.", LONG, False),
        ("We moved the pump to\nthe north side of the big pond", LONG, False),
        ('- Tom: "Yes, 14 of them."', "Yes, 14 of them.", True),
        ('- Tom: "Yes, thanks!"', "Thanks!", True),
        ('- Tom: "Thanks for the pump."', "Thanks!", False),
        ("anything", "", False),
        ("", LONG, False),
        ("anything", "!?", False),
    ],
)
def test_a_text_quotes_a_turn_where_a_run_of_its_words_stands_on_one_line(text: str, turn: str, expected: bool) -> None:
    assert quotes(text, turn) is expected


@pytest.mark.parametrize(
    ("answer", "text", "expected"),
    [("the pump", "two pumps", 1.0), ("pump, pond", "a pump", 0.5), ("3 pumps", "", 0.0), ("yes", "yes", None)],
)
def test_carried(answer: str, text: str, expected: float | None) -> None:
    assert carried(answer, text) == expected


@given(st.lists(st.integers(0, 9), unique=True), st.sets(st.integers(0, 9), min_size=1), st.integers(1, 12))
def test_measures_lie_between_0_and_1_and_are_1_for_the_perfect_ranking(
    ranked: list[int], gold: set[int], k: int
) -> None:
    for measure in (recall, ndcg):
        assert 0 <= measure(ranked, gold, k) <= 1
    assert ndcg(sorted(gold), gold, k) == pytest.approx(1)
    assert recall(sorted(gold), gold, len(gold)) == 1
