"""What belongs together in a log."""

from __future__ import annotations

import pytest

from carryover.core.strategy import Sketch
from carryover.strategies.groups import outline_of
from sketched import log


@pytest.mark.parametrize(
    ("told", "starts"),
    [
        ("u a u a", [0, 1, 2, 3]),
        ("s s u a", [0, 1, 2, 3]),
        ("u r a", [0, 1]),
        ("u r cA oA a", [0, 1, 4]),
        ("u cA cB oB oA a", [0, 1, 5]),  # parallel calls with all their results
        ("u cA oA cB oB a", [0, 1, 3, 5]),
        ("u cA a oA a", [0, 1, 4]),  # what was said before the result came
        ("u cA u oA a", [0, 1, 4]),  # ... even by the user
        ("u a a r r a", [0, 1, 2, 3]),
        ("u oX a", [0, 1, 2]),  # a result that nobody asked for
        ("a cA oA u", [0, 3]),  # what an answer says goes with its calls
        ("u cA cA oA oA a", [0, 1, 5]),  # one id, used twice
    ],
)
def test_groups(told: str, starts: list[int]) -> None:
    assert outline_of(log(told)).starts == starts


def test_turns_are_of_users_alone() -> None:
    outline = outline_of(log("s u a u cA oA a"))
    assert (outline.leading, outline.turns, outline.rounds) == (1, [1, 3], [4])
    assert [outline.turn(n) for n in (0, 1, 2, 6)] == [None, 1, 1, 3]


@pytest.mark.parametrize(
    ("told", "dead"),
    [
        ("u cA", {}),  # it is open
        ("u cA u", {1: "open_call"}),  # nobody will answer it
        ("u r cA u", {1: "no_follower", 2: "open_call"}),
        ("u r cA cB oB u", {2: "open_call"}),  # the reasoning led to the other one, too
        ("u cA u oA", {}),  # it was answered after all
        ("u oA a", {1: "orphan"}),
        ("u cA oA oA a", {3: "orphan"}),
        ("u r u", {1: "no_follower"}),
        ("u r", {}),
        ("u cA r u oA", {2: "no_follower"}),
    ],
)
def test_what_no_model_can_be_shown(told: str, dead: dict[int, str]) -> None:
    outline = outline_of(log(told))
    assert outline.dead(0, len(outline.live)) == dead


def test_a_call_was_dead_until_it_was_answered() -> None:
    outline = outline_of(log("u cA u oA"))
    assert [sorted(outline.dead(0, upto)) for upto in range(5)] == [[], [], [], [1], []]


@pytest.mark.parametrize(("told", "first"), [("u cA", 1), ("u cA oA", 3), ("u cA u", 3), ("u r cA cB oB", 1)])
def test_the_first_open_group(told: str, first: int) -> None:
    assert outline_of(log(told)).first_open() == first


def test_what_was_taken_back_is_not_there() -> None:
    outline = outline_of(log("u a u cA -3-4 u a"))
    assert (outline.seqs, outline.turns, outline.starts) == ([1, 2, 6, 7], [0, 2], [0, 1, 2, 3])
    assert outline.before == [0, 10, 20, 30, 40]
    assert [sketch.seq for sketch in outline.retractions] == [5]


def test_a_result_without_its_call_that_was_taken_back() -> None:
    outline = outline_of(log("u cA oA -2-2 a"))
    assert outline.dead(0, len(outline.live)) == {1: "orphan"}


def test_results_without_an_id_come_in_the_order_of_their_calls() -> None:
    calls = [Sketch(n, "assistant", "tool_call", 10, n) for n in (1, 2)]
    results = [Sketch(n, "tool", "tool_result", 10, n) for n in (3, 4)]
    assert outline_of([*calls, *results]).asked == {2: 0, 3: 1}


def test_what_a_tool_says_with_the_id_of_a_call_is_a_result() -> None:
    call = Sketch(1, "assistant", "tool_call", 10, 1, call_id="A")
    assert outline_of([call, Sketch(2, "tool", "message", 10, 2, call_id="A")]).asked == {1: 0}
