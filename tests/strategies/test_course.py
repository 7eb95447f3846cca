"""When a strategy cuts and clears."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carryover.core.strategy import Strategy
from carryover.strategies.course import Course, course_of
from sketched import log

TRIM = Strategy(mode="trim", max_user_turns=4, keep_last_turns=2)
COMPACT = Strategy(mode="compact", compact_trigger_turns=4, compact_keep=2, clear_at_least_tokens=1)


def moves(course: Course) -> list[tuple[int, int, int, str]]:
    return [(move.at, move.cut, move.cleared, move.trigger) for move in course.moves]


def test_none_does_nothing() -> None:
    assert course_of(log("u a " * 500), Strategy(context_window_tokens=10)).moves == []


def test_a_cut_goes_from_the_high_mark_to_the_low_one() -> None:
    # The fifth turn sets it off; the fourth and the fifth stay, then there is room for two more.
    assert moves(course_of(log("u a " * 9), TRIM)) == [(9, 7, 1, "turns"), (15, 13, 1, "turns")]


def test_equal_marks_slide() -> None:
    course = course_of(log("u a " * 6), replace(TRIM, max_user_turns=3, keep_last_turns=3))
    assert [move.cut for move in course.moves] == [3, 5, 7]


def test_a_silence_makes_a_cut_free_from_half_way_on() -> None:
    warm, cold = "u a " * 3 + "u a", "u a " * 3 + "~u a"
    assert moves(course_of(log(warm), TRIM)) == []
    assert moves(course_of(log(cold), TRIM)) == [(7, 5, 1, "cold")]
    assert course_of(log(cold), TRIM).warm_since == log(cold)[6].received_at


def test_tokens_set_off_a_cut_as_well() -> None:
    strategy = Strategy(mode="trim", token_budget=100)
    course = course_of(log("u a " * 6, tokens=10), strategy)
    assert moves(course) == [(11, 7, 1, "token_budget")]
    assert (course.moves[0].tokens_before, course.moves[0].tokens_after) == (110, 50)


def test_a_soft_budget_leaves_the_last_turns_alone() -> None:
    strategy = Strategy(mode="trim", token_budget=10_000, token_soft_budget=50, keep_last_turns=3)
    course = course_of(log("u a " * 6, tokens=10), strategy)
    assert moves(course)[-1] == (11, 7, 1, "token_soft_budget")


def test_inside_a_long_turn_the_oldest_groups_go_if_they_must() -> None:
    told = "u " + " ".join(f"c{n} o{n}" for n in range(8))
    course = course_of(log(told, outputs=100), Strategy(mode="trim", token_budget=500, keep_last_calls=2))
    assert course.moves[0].cut == 8  # three rounds and the user's message are left
    spared = course_of(log(told, outputs=100), Strategy(mode="trim", token_budget=500, keep_last_calls=None))
    assert spared.moves == []


def test_outputs_are_cleared_in_batches() -> None:
    told = " ".join(f"u c{n} o{n} a" for n in range(9))
    assert moves(course_of(log(told), COMPACT)) == [(17, 1, 13, "turns"), (29, 1, 25, "turns")]


def test_results_are_counted_inside_of_a_turn() -> None:
    told = "u " + " ".join(f"c{n} o{n}" for n in range(10))
    course = course_of(log(told), replace(COMPACT, compact_trigger_calls=6, keep_last_calls=2))
    assert moves(course) == [(15, 1, 12, "calls")]


def test_a_clearing_that_frees_little_waits() -> None:
    told = " ".join(f"u c{n} o{n} a" for n in range(9))
    course = course_of(log(told, outputs=300), replace(COMPACT, clear_at_least_tokens=1_200))
    assert [move.at for move in course.moves] == [25]


def test_open_calls_hold_a_clearing_up() -> None:
    told = "u cA cB oB " + " ".join(f"c{n} o{n}" for n in range(9))
    course = course_of(log(told), replace(COMPACT, compact_trigger_calls=4, keep_last_calls=1))
    assert course.moves == []


@pytest.mark.parametrize(
    ("knobs", "cleared"),
    [
        ({}, [True, True]),
        ({"compact_exclude_tools": ("look",)}, [False, False]),
        ({"compact_include_tools": ("look",), "compact_exclude_tools": ("look",)}, [True, True]),
        ({"compact_include_tools": ("other",)}, [False, False]),
    ],
)
def test_tools_are_known_by_their_calls(knobs: dict[str, tuple[str, ...]], cleared: list[bool]) -> None:
    course = course_of(log("u cA oA cB oB a"), replace(COMPACT, **knobs))
    assert [course.savings(n) > 0 for n in (2, 4)] == cleared


def test_what_is_shorter_than_its_placeholder_stays() -> None:
    course = course_of(log("u cA oA", outputs=5), COMPACT)
    assert course.savings(2) == 0


def test_a_cut_stays_where_turns_before_it_are_taken_back() -> None:
    told = "u a " * 5 + "-1-8 u a"
    course = course_of(log(told), TRIM)
    assert moves(course) == [(9, 7, 1, "turns")]
    assert (course.cut, course.outline.seqs) == (7, [9, 10, 12, 13])


def test_state_at() -> None:
    course = course_of(log("u a " * 9), TRIM)
    found = [course.state_at(seq) for seq in (8, 9, 14, 15)]
    assert [move and move.cut for move in found] == [None, 7, 7, 13]


def test_a_turn_without_calls_is_cut_inside_as_well() -> None:
    strategy = Strategy(mode="trim", token_budget=100, keep_last_calls=2)
    for told in ("a " * 50, "u " + "a " * 50):
        course = course_of(log(told), strategy)
        assert course.moves
        assert course.tokens(course.outline.index(course.cut), 0) <= 100
