"""Deciding about patterns: who, when and why, and what may follow what."""

from __future__ import annotations

import pytest

from carryover.coding.patterns import curate
from carryover.core.errors import Conflict, Forbidden, Invalid, NotFound
from carryover.core.event import PATTERNS, Filter
from carryover.core.pattern import PATTERN_STATES, Evidence, Pattern, PatternState
from carryover.core.scope import Scope
from carryover.store import events, patterns
from carryover.store.store import Store

SHOWN = (Evidence("codex", "s1", 3, 3, "boom"),)


def make(store: Store, scope: Scope, state: PatternState = "candidate") -> None:
    with store.write(scope) as tx:
        patterns.put(tx, Pattern("p_1", 1, state, "tool_error", "k", "Title", "Lesson.", evidence=SHOWN))


def test_a_decision_is_a_version_with_who_when_and_why_and_an_event(store: Store, scope: Scope) -> None:
    make(store, scope)
    decided = curate.decide(store, scope, "p_1", "approve", "mara", " it is\n true ")
    assert (decided.version, decided.state, decided.by, decided.reason) == (2, "approved", "mara", "it is true")
    assert decided.at == store.clock.now()
    assert decided.evidence == SHOWN
    assert curate.listed(store, scope, "approved") == [decided]
    assert [one.version for one in curate.versions(store, scope, "p_1")] == [2, 1]
    with store.read(scope) as tx:
        (event,) = events.newest(tx, PATTERNS, Filter(), limit=9)
    assert (event.action, event.session_id, event.user_id) == ("approve", "p_1", None)
    assert event.detail == {"version": 2, "state": "approved", "by": "mara"}


@pytest.mark.parametrize("state", PATTERN_STATES)
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_only_what_is_undecided_or_not_told_can_be_decided(
    store: Store, scope: Scope, state: PatternState, decision: str
) -> None:
    make(store, scope, state)
    may = {"approve": ("candidate", "withdrawn"), "reject": ("candidate", "approved", "withdrawn")}[decision]
    if state in may:
        decided = {"approve": "approved", "reject": "rejected"}[decision]
        assert curate.decide(store, scope, "p_1", decision, "mara").state == decided  # type: ignore[arg-type]
        return
    with pytest.raises(Conflict, match=f"'p_1' is {state}.*; "):
        curate.decide(store, scope, "p_1", decision, "mara")  # type: ignore[arg-type]
    assert [one.version for one in curate.versions(store, scope, "p_1")] == [1]


def test_the_way_from_candidate_to_withdrawn(store: Store, scope: Scope) -> None:
    make(store, scope)
    life: tuple[PatternState, ...] = ("approved", "distributed", "measured", "distributed", "withdrawn", "approved")
    for state in life:
        with store.write(scope) as tx:
            assert curate.advance(tx, curate.known(tx, "p_1"), state, by="mara", reason="").state == state
    with store.read(scope) as tx:
        told = [event.action for event in events.newest(tx, PATTERNS, Filter(), limit=9)]
    assert told[::-1] == ["approve", "distribute", "measure", "distribute", "withdraw", "approve"]


@pytest.mark.parametrize(
    ("before", "after"),
    [("candidate", "distributed"), ("candidate", "measured"), ("approved", "measured"), ("approved", "withdrawn"),
     ("rejected", "distributed"), ("distributed", "approved"), ("measured", "rejected"), ("withdrawn", "measured")],
)  # fmt: skip
def test_what_cannot_follow_is_refused_with_what_to_do(
    store: Store, scope: Scope, before: PatternState, after: PatternState
) -> None:
    make(store, scope, before)
    with store.write(scope) as tx, pytest.raises(Conflict, match=f"is {before}, so it cannot be {after} now; "):
        curate.advance(tx, curate.known(tx, "p_1"), after, by="mara", reason="")


@pytest.mark.parametrize("state", PATTERN_STATES)
def test_editing_reopens_what_was_rejected_and_never_changes_what_agents_are_told(
    store: Store, scope: Scope, state: PatternState
) -> None:
    make(store, scope, state)
    if state in ("distributed", "measured"):
        with pytest.raises(Conflict, match="withdraw it first"):
            curate.edit(store, scope, "p_1", lesson="New.", by="mara", reason="")
        return
    edited = curate.edit(store, scope, "p_1", lesson=" New\nwords. ", by="mara", reason="clearer")
    wanted = "approved" if state == "approved" else "candidate"
    assert (edited.state, edited.title, edited.lesson, edited.by) == (wanted, "Title", "New words.", "mara")


def test_words_that_cannot_be_are_refused(store: Store, scope: Scope) -> None:
    make(store, scope)
    for said in ({"title": " "}, {"lesson": "x" * 301}, {"title": "Title"}, {}):
        with pytest.raises(Invalid):
            curate.edit(store, scope, "p_1", by="mara", reason="", **said)  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        curate.decide(store, scope, "p_1", "approve", "")
    with pytest.raises(Invalid, match="none of approve, reject"):
        curate.decide(store, scope, "p_1", "praise", "mara")  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="none of candidate"):
        curate.listed(store, scope, "new")  # type: ignore[arg-type]
    assert [one.version for one in curate.versions(store, scope, "p_1")] == [1]


def test_unknown_patterns_and_narrowed_or_weaker_keys_are_refused(store: Store, scope: Scope) -> None:
    make(store, scope)
    with pytest.raises(NotFound, match="carryover patterns list"):
        curate.decide(store, scope, "p_9", "approve", "mara")
    with pytest.raises(NotFound):
        curate.versions(store, Scope("other"), "p_1")
    for narrowed in (Scope("acme", agent="codex"), Scope("acme", user="u")):
        with pytest.raises(Forbidden, match="narrowed"):
            curate.listed(store, narrowed)
    writer = Scope("acme", rights=frozenset({"write"}))
    assert len(curate.listed(store, writer)) == 1
    with pytest.raises(Forbidden, match="may not admin"):
        curate.decide(store, writer, "p_1", "approve", "mara")
