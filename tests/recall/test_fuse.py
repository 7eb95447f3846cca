"""Ranking: one scale, neighbours, sessions, speakers, long answers, findings."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryover.core.chunk import Chunk
from carryover.recall.fuse import FINDING, HANDICAP, LONG_ANSWER, NEIGHBOURS, SESSION, SPEAKER, Arm, Scale, fuse, scale


def turn(n: int, seq: int | None = None, **more: Any) -> Chunk:
    given: dict[str, Any] = {
        "kind": "turn", "ref": f"t{n}", "agent_id": "a", "session_id": "s", "user_id": None, "first": seq or n,
        "last": seq or n, "part": 0, "role": "user", "name": None, "text": "", "created_at": 0,
    }  # fmt: skip
    return Chunk(n=n, **{**given, **more})


def arm(scores: dict[int, float], sessions: dict[tuple[str, str], float] | None = None) -> Arm:
    return Arm(scores, sessions or {}, Scale(), Scale(), absent=0.0)


def scored(pool: list[Chunk], *arms: Arm, speaker: str | None = None) -> dict[int, float]:
    return {one.chunk.n: one.score for one in fuse(pool, arms, speaker)}


def test_a_turn_takes_part_of_its_neighbours_scores() -> None:
    got = scored([turn(n) for n in range(1, 7)], arm({3: 8.0}))
    near = NEIGHBOURS
    assert got == pytest.approx({1: 8 * near[2], 2: 8 * near[1], 3: 8.0, 4: 8 * near[-1], 5: 8 * near[-2], 6: 0.0})


def test_neighbours_are_of_one_session_and_agent() -> None:
    pool = [turn(1), turn(2, session_id="other"), turn(3, 2, agent_id="other")]
    assert scored(pool, arm({1: 8.0})) == pytest.approx({1: 8.0, 2: 0.0, 3: 0.0})


def test_arms_are_added_on_one_scale() -> None:
    words = Arm({1: 30.0, 2: 10.0}, {}, Scale(10, 10), Scale(), absent=10.0)
    meaning = Arm({1: 0.1, 2: 0.9}, {}, Scale(0.1, 0.2), Scale())
    pool = [turn(1), turn(2, 20)]
    assert scored(pool, words) == pytest.approx({1: 2.0, 2: 0.0})
    assert scored(pool, words, meaning) == pytest.approx({1: 0.0, 2: 2.0})


def test_the_first_turn_of_a_session_loses_nothing_for_having_no_neighbours() -> None:
    words = Arm({1: 8.0, 50: 8.0}, {}, Scale(1, 1), Scale(), absent=1.0)
    pool = [turn(1), *(turn(n) for n in range(48, 53)), turn(90)]
    got = scored(pool, words)
    assert got[1] == got[50]


def test_a_chunk_without_a_vector_counts_as_average() -> None:
    meaning = Arm({1: 0.9, 2: -0.7}, {}, Scale(0.1, 0.2), Scale())
    ranked = fuse([turn(1), turn(2, 20), turn(3, 40)], [meaning], None)
    assert [one.chunk.n for one in ranked] == [1, 3, 2]


def test_a_fitting_session_lifts_its_turns() -> None:
    pool = [turn(1), turn(2, session_id="fits")]
    got = scored(pool, arm({1: 1.0, 2: 1.0}, {("a", "fits"): 2.0}))
    assert got[2] - got[1] == pytest.approx(2 * SESSION)


def test_the_speaker_who_is_named_counts_a_little_more() -> None:
    pool = [turn(1, name="Nora"), turn(2, 20, name="Tom"), turn(3, 40)]
    got = scored(pool, arm({1: 1.0, 2: 1.0}), speaker="Tom")
    assert got[2] == pytest.approx(SPEAKER * got[1])


def test_a_long_answer_counts_less_than_the_same_words_of_a_user() -> None:
    pool = [turn(1), turn(2, 20, role="assistant", parts=3), turn(3, 40, role="assistant"), turn(4, 60)]
    got = scored(pool, arm({1: 5.0, 2: 5.0, 3: 5.0}))
    assert got == pytest.approx({1: 5.0, 2: 5 * LONG_ANSWER - HANDICAP, 3: 5.0, 4: 0.0})


def test_a_turn_is_shown_once_by_its_best_part() -> None:
    pool = [turn(1, 1, parts=2), turn(2, 1, part=1, parts=2), turn(3, 30)]
    ranked = fuse(pool, [arm({1: 1.0, 2: 4.0})], None)
    assert [(one.chunk.n, one.score) for one in ranked] == [(2, 4.0), (3, 0.0)]


def test_a_finding_lifts_the_turns_it_stands_on() -> None:
    finding = turn(9, 1, kind="fact", ref="f", last=2)
    without = scored([turn(1), turn(2), turn(3, 30)], arm({1: 1.0}))
    got = scored([turn(1), turn(2), turn(3, 30), finding], arm({1: 1.0, 9: 4.0}))
    assert got[1] > without[1]
    assert got[2] > without[2] + FINDING * 4.0
    assert got[3] == without[3] == 0.0
    assert 9 in got


def test_equals_are_ordered_by_recency_then_number() -> None:
    pool = [turn(1, 1, created_at=5), turn(2, 20, created_at=9), turn(3, 40, created_at=9)]
    assert [one.chunk.n for one in fuse(pool, [arm({})], None)] == [3, 2, 1]
    assert fuse([], [arm({})], None) == []


@given(st.lists(st.floats(0, 50), min_size=1, max_size=30), st.integers(0, 100))
def test_the_scale_is_mean_and_deviation_with_zeros_for_the_rest(scores: list[float], more: int) -> None:
    every = scores + [0.0] * more
    mean = sum(every) / len(every)
    std = math.sqrt(sum((x - mean) ** 2 for x in every) / len(every))
    got = scale(scores, len(every))
    assert (got.mean, got.std) == pytest.approx((mean, std), abs=1e-4)
    assert Scale(3.0, 0.0).z(7.0) == 0.0
