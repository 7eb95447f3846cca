"""Ranking: one scale, neighbours, sessions, what is asked and answered, speakers, dates, length, findings."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.chunk import Chunk
from carryover.core.clock import parse_time
from carryover.recall.fuse import WEIGHTS, Arm, Clues, Scale, Weights, fuse, scale
from carryover.recall.when import Period

NONE = Clues()
PLAIN = Weights(
    **{field.name: () if field.name == "neighbours" else 0.0 for field in fields(Weights)} | {"long_answer": 1.0}
)


def only(**kept: Any) -> Weights:
    """The weights with nothing but this in them."""
    return replace(PLAIN, **kept)


def turn(n: int, seq: int | None = None, **more: Any) -> Chunk:
    given: dict[str, Any] = {
        "kind": "turn", "ref": f"t{n}", "agent_id": "a", "session_id": "s", "user_id": None, "first": seq or n,
        "last": seq or n, "part": 0, "role": "user", "name": None, "text": "", "created_at": 0,
    }  # fmt: skip
    return Chunk(n=n, **{**given, **more})


def arm(scores: dict[int, float], sessions: dict[tuple[str, str], float] | None = None) -> Arm:
    return Arm(scores, sessions or {}, Scale(), Scale(), absent=0.0)


def scored(pool: list[Chunk], *arms: Arm, clues: Clues = NONE, weights: Weights = WEIGHTS) -> dict[int, float]:
    return {one.chunk.n: one.score for one in fuse(pool, arms, clues, weights)}


def test_a_turn_takes_part_of_its_neighbours_scores() -> None:
    got = scored([turn(n) for n in range(3, 10)], arm({6: 8.0}))
    share = dict(WEIGHTS.neighbours)
    near = {4: 8 * share[2], 5: 8 * share[1], 7: 8 * share[-1], 8: 8 * share[-2]}
    assert got == pytest.approx({3: 0.0, **near, 6: 8.0, 9: 0.0})


def test_the_first_turns_of_a_session_take_more_from_the_neighbours_they_have() -> None:
    got = scored([*(turn(n) for n in range(1, 4)), turn(90)], arm({2: 8.0}))
    every = sum(share for _, share in WEIGHTS.neighbours)
    assert got[1] == pytest.approx(8 * 0.2 * every / (0.2 + 0.1))
    assert got[3] == pytest.approx(8 * 0.4)
    assert scored([turn(1), turn(2)], arm({2: 8.0}), weights=only(neighbours=((-1, 0.5),))) == {2: 8.0, 1: 0.0}


def test_neighbours_are_of_one_session_and_agent() -> None:
    pool = [turn(1), turn(2, session_id="other"), turn(3, 2, agent_id="other")]
    assert scored(pool, arm({1: 8.0})) == pytest.approx({1: 8.0, 2: 0.0, 3: 0.0})


def test_arms_are_added_on_one_scale() -> None:
    words = Arm({1: 30.0, 2: 10.0}, {}, Scale(10, 10), Scale(), absent=10.0)
    meaning = Arm({1: 0.1, 2: 0.9}, {}, Scale(0.1, 0.2), Scale())
    pool = [turn(1), turn(2, 20)]
    assert scored(pool, words) == pytest.approx({1: 2.0, 2: 0.0})
    assert scored(pool, words, meaning) == pytest.approx({1: 0.0, 2: 2.0})


def test_a_chunk_without_a_vector_counts_as_average() -> None:
    meaning = Arm({1: 0.9, 2: -0.7}, {}, Scale(0.1, 0.2), Scale())
    ranked = fuse([turn(1), turn(2, 20), turn(3, 40)], [meaning], NONE)
    assert [one.chunk.n for one in ranked] == [1, 3, 2]


def test_a_fitting_session_lifts_its_turns() -> None:
    pool = [turn(1), turn(2, session_id="fits")]
    got = scored(pool, arm({1: 1.0, 2: 1.0}, {("a", "fits"): 2.0}))
    assert got[2] - got[1] == pytest.approx(2 * WEIGHTS.session)


def test_turns_that_hold_all_that_is_asked_between_them_come_first() -> None:
    asked = Clues(terms={"heron": 3.0, "lake": 1.0})
    pool = [
        turn(1, 10, terms="heron nest"), turn(2, 12, terms="lake mill heron"), turn(3, 15, terms="lake lake"),
        turn(4, 30, terms="mill"), turn(5, 12, session_id="other", terms="lake"),
    ]  # fmt: skip
    got = scored(pool, arm({}), clues=asked, weights=only(covers=4.0))
    assert got == pytest.approx({1: 4.0, 2: 4.0, 3: 1.0, 4: 0.0, 5: 1.0})


def test_a_turn_that_a_user_replies_to_gives_way_to_the_reply() -> None:
    pool = [turn(1, 5, text="Where do you live?"), turn(2, 6, text="In Ghent."), turn(3, 30, text="I live here.")]
    got = scored(pool, arm({}), weights=only(asks=2.0, answers=1.0))
    assert got == pytest.approx({1: 0.0, 2: 3.0, 3: 2.0})


@pytest.mark.parametrize("mark", ["住在哪里？", "أين تعيش؟", 'She said "where?"', "Where?!"])
def test_other_marks_of_a_question_count_too(mark: str) -> None:
    got = scored([turn(1, 5, text=mark), turn(2, 6)], arm({}), weights=only(answers=1.0))
    assert got == {2: 1.0, 1: 0.0}


def test_what_a_user_asks_an_assistant_and_an_address_are_no_such_questions() -> None:
    pool = [
        turn(1, 5, text="How do I sort this?"),
        turn(2, 6, role="assistant"),
        turn(3, 20, text="a.example/?q=1"),
        turn(4, 21),
    ]
    assert set(scored(pool, arm({}), weights=only(asks=2.0, answers=1.0)).values()) == {0.0}


def test_the_speaker_who_is_named_counts_more() -> None:
    pool = [turn(1, name="Nora"), turn(2, 20, name="Tom"), turn(3, 40)]
    got = scored(pool, arm({1: 1.0, 2: 1.0}), clues=Clues(speaker="Tom"))
    assert got[2] == pytest.approx((1 + WEIGHTS.speaker) * got[1])


def test_what_was_said_on_the_date_that_is_named_counts_more() -> None:
    days = ("2023-05-07", "2023-05-08", "2023-05-15", "2023-05-17")
    pool = [turn(n, 20 * n, created_at=parse_time(f"{day}T12:00:00Z")) for n, day in enumerate(days, 1)]
    got = scored(pool, arm({}), clues=Clues(dates=(Period(2023, 5, 8),)), weights=only(dated=2.0))
    assert got == {1: 0.0, 2: 2.0, 3: 2.0, 4: 0.0}


def test_of_two_that_fit_as_well_the_shorter_comes_first() -> None:
    pool = [turn(1, 10, text="x" * 100), turn(2, 30, text="x" * 200), turn(3, 50, text="x" * 400)]
    got = scored(pool, arm({}), weights=only(length=2.0))
    assert got == pytest.approx({1: 2 * math.log(2), 2: 2 * math.log(2), 3: 0.0})


def test_a_long_answer_counts_less_than_the_same_words_of_a_user() -> None:
    pool = [turn(1), turn(2, 20, role="assistant", parts=3), turn(3, 40, role="assistant"), turn(4, 60)]
    got = scored(pool, arm({1: 5.0, 2: 5.0, 3: 5.0}))
    assert got == pytest.approx({1: 5.0, 2: 5 * WEIGHTS.long_answer - WEIGHTS.handicap, 3: 5.0, 4: 0.0})


def test_a_turn_is_shown_once_by_its_best_part() -> None:
    pool = [turn(1, 1, parts=2), turn(2, 1, part=1, parts=2), turn(3, 30)]
    ranked = fuse(pool, [arm({1: 1.0, 2: 4.0})], NONE)
    assert [(one.chunk.n, one.score) for one in ranked] == [(2, 4.0), (3, 0.0)]


def test_a_finding_lifts_the_turns_it_stands_on() -> None:
    finding = turn(9, 1, kind="fact", ref="f", last=2)
    without = scored([turn(1), turn(2), turn(3, 30)], arm({1: 1.0}))
    got = scored([turn(1), turn(2), turn(3, 30), finding], arm({1: 1.0, 9: 4.0}))
    assert got[1] > without[1]
    assert got[2] > without[2] + WEIGHTS.finding * 4.0
    assert got[3] == without[3] == 0.0
    assert 9 in got


def test_findings_alone_are_ranked_too() -> None:
    pool = [turn(8, 1, kind="fact", session_id="fits"), turn(9, 1, kind="task")]
    got = scored(pool, arm({8: 1.0, 9: 1.0}, {("a", "fits"): 2.0}))
    assert got == pytest.approx({8: 2 * WEIGHTS.session, 9: 0.0})


def test_equals_are_ordered_by_recency_then_number() -> None:
    pool = [turn(1, 1, created_at=5), turn(2, 20, created_at=9), turn(3, 40, created_at=9)]
    assert [one.chunk.n for one in fuse(pool, [arm({})], NONE)] == [3, 2, 1]
    assert fuse([], [arm({})], NONE) == []


@given(st.lists(st.floats(0, 50), min_size=1, max_size=30), st.integers(0, 100))
def test_the_scale_is_mean_and_deviation_with_zeros_for_the_rest(scores: list[float], more: int) -> None:
    every = scores + [0.0] * more
    mean = sum(every) / len(every)
    std = math.sqrt(sum((x - mean) ** 2 for x in every) / len(every))
    got = scale(scores, len(every))
    assert (got.mean, got.std) == pytest.approx((mean, std), abs=1e-4)
    assert Scale(3.0, 0.0).z(7.0) == 0.0
