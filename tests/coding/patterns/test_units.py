"""What is one piece of work counts once: sub-agents with their session, and a session in the logs of two agents."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from carryover.coding.patterns.units import Unit, independent, units
from carryover.core.digest import Digest, FileUse
from planted import session


def names(found: list[Unit]) -> list[set[str]]:
    return sorted(({one.session_id for one in unit.members} for unit in found), key=sorted)


def sub(name: str, parent: str, **more: str) -> Digest:
    return session(name, kind="subagent", parent=parent, **more)


def test_sub_agents_are_of_the_session_that_began_them() -> None:
    found = units([session("a"), sub("a1", "a"), sub("a2", "a1"), session("b"), sub("c1", "c"), sub("c2", "c")])
    assert names(found) == [{"a", "a1", "a2"}, {"b"}, {"c1", "c2"}]
    assert found[0].members[0].session_id == "a"


def test_a_fork_is_a_session_of_its_own_and_circles_end() -> None:
    assert names(units([session("a"), session("b", kind="fork", parent="a")])) == [{"a"}, {"b"}]
    assert names(units([sub("a", "b"), sub("b", "a")])) == [{"a", "b"}]


def test_a_session_in_the_logs_of_two_agents_is_one() -> None:
    one = session("a", goal="fix it", result="Fixed, with a longer explanation.")
    carried = replace(one, agent_id="codex", flavor="codex", session_id="b", repo="elsewhere")
    assert names(units([one, carried, session("c", goal="fix it")])) == [{"a", "b"}, {"c"}]
    (first, _) = units([one, carried, session("c", goal="fix it")])
    assert first.repo == one.repo


@pytest.mark.parametrize(
    "other",
    [
        {"flavor": "claude-code"},  # the same agent asked twice has answered twice
        {"goal": "fix that"},
        {"goal": ""},
        {"result": "Ok"},  # that may be said twice
    ],
)
def test_the_same_words_alone_do_not_make_one_session(other: dict[str, str]) -> None:
    said = "Fixed, and the tests of the ledger pass again."
    told = {"goal": "fix it", "result": said, "flavor": "codex"} | other
    first = session("a", goal="fix it" if told["goal"] else "", result=told["result"])
    assert len(units([first, session("b", **told)])) == 2  # type: ignore[arg-type]


def test_the_same_work_begun_in_the_same_minute_is_one_even_where_the_end_is_missing() -> None:
    did = {"commands": ("go build", "go test", "rg"), "files": (FileUse("cmd/a.go", 1, 1), FileUse("b.go", 0, 2))}
    one = session("a", goal="fix it", result="Fixed.", **did)
    carried = session("b", flavor="codex", goal="fix it", result="", **did)
    assert len(units([one, carried])) == 1
    later = session("b", flavor="codex", goal="fix it", result="", age_days=1, **did)
    assert len(units([one, later])) == 2
    elsewhere = session("b", flavor="codex", goal="fix it", result="", commands=("npm test", "ls", "cat", "sed", "rg"))
    assert len(units([one, elsewhere])) == 2


def test_order_changes_nothing() -> None:
    every = [session("a"), sub("a1", "a"), sub("z", "a1"), session("b"), sub("q", "missing")]
    every += [replace(one, agent_id="codex", flavor="codex") for one in every]
    every += [replace(every[0], session_id="0"), replace(every[0], session_id="zz")]  # the same words of one agent
    wanted = units(every)
    for seed in range(10):
        random.Random(seed).shuffle(every)
        assert units(every) == wanted


@pytest.mark.parametrize(
    ("shown", "agents"),
    [
        ({}, 1),
        ({"a": {1, 2, 3}}, 1),
        ({"a": {1, 2}, "b": {3, 4}}, 2),
        ({"a": {1, 2}, "b": {3}}, 1),
        ({"a": {1, 2, 3}, "b": {2, 3}}, 1),  # three sessions cannot be two and two
        ({"a": {1, 2, 3, 4}, "b": {3, 4}}, 2),
        ({"a": {1, 2, 3, 4}, "b": {3, 4}, "c": {3, 4}}, 2),
        ({"a": {1, 2}, "b": {3, 4}, "c": {5, 6}}, 3),
        ({"a": {1, 2, 3, 4, 5, 6}, "b": {3, 4, 5}, "c": {4, 5}}, 2),
        ({"a": {1, 2, 3, 4, 5, 6}, "b": {3, 4, 5, 6}, "c": {5, 6}}, 3),
    ],
)
def test_agents_count_as_far_as_each_has_two_sessions_of_its_own(shown: dict[str, set[int]], agents: int) -> None:
    assert independent(shown) == agents
