"""What memory was, what changed, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carryover.core.errors import Forbidden, Invalid, NotFound
from carryover.core.scope import Scope
from carryover.core.session import Source
from carryover.log import lifecycle
from carryover.memory import history
from carryover.memory.rules import Rules
from carryover.store.snapshots import Link
from carryover.store.store import Store
from clocks import FrozenClock
from talk import consolidate, note, remember, say


def test_a_version_reads_the_same_for_ever(store: Store, scope: Scope, clock: FrozenClock) -> None:
    lines = [
        "Let's use SQLite for the ledger.",
        "Let's switch to PostgreSQL for the ledger instead.",
        "I need to write the migration by Friday.",
        "I wrote the migration.",
        "Always answer in French.",
    ]
    seen: list[str] = []
    for line in lines:
        say(store, scope, "s1", [line, "Noted."])
        consolidate(store, scope, "s1", Rules())
        version = len(seen) + 1
        seen.append(repr(history.snapshot(store, scope, "ada", "s1", version)))
        clock.pass_(60_000)
    again = [repr(history.snapshot(store, scope, "ada", "s1", version)) for version in range(1, 6)]
    assert again == seen
    assert len(set(seen)) == 5
    assert repr(history.snapshot(store, scope, "ada", "s1")) == seen[-1]


def test_versions_are_listed_in_pages(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["hello"])
    for n in range(5):
        remember(store, scope, "s1", [note(f"Fact {n}.")])
    first, more = history.snapshots(store, scope, "ada", "s1", limit=2)
    second, last = history.snapshots(store, scope, "ada", "s1", limit=3, before=more)
    assert [s.version for s in first + second] == [5, 4, 3, 2, 1]
    assert (more, last) == (4, None)
    assert all(s.findings == () for s in first)
    with pytest.raises(Invalid, match="use 1 to 1000"):
        history.snapshots(store, scope, "ada", "s1", limit=0)


def test_a_diff_says_what_changed_and_why(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["hello"] * 3)
    kept, ended, gone = note("Kept.", at=1), note("Use SQLite.", "decision", at=2), note("Gone.", at=3)
    again = note("Said once.", at=4)
    remember(store, scope, "s1", [kept, ended, gone, again])
    new = note("Use PostgreSQL.", "decision", at=5)
    closed = replace(ended, status="superseded", superseded_by=new.id, reason='turn 3: "use PostgreSQL"')
    twice = replace(again, sources=(*again.sources, Source("s1", 2, 2, "said twice")))
    remember(store, scope, "s1", [kept, closed, twice, new], through=3)
    made = history.diff(store, scope, "ada", "s1", 1, 2)
    assert [(c.change, c.finding.text, c.before, c.reason) for c in made.changes] == [
        ("changed", "Use SQLite.", "active", 'turn 3: "use PostgreSQL"'),
        ("removed", "Gone.", "active", "the later snapshot no longer holds it"),
        ("changed", "Said once.", "active", "turn 2 of 's1' says \"said twice\" as well"),
        ("added", "Use PostgreSQL.", None, "turn 1 of 's1' says \"Use PostgreSQL.\""),
    ]
    assert history.diff(store, scope, "ada", "s1", 2, 2).changes == ()
    assert [c.change for c in history.diff(store, scope, "ada", "s1", 2, 1).changes] == [
        "changed",
        "added",
        "changed",
        "removed",
    ]


def test_a_finding_says_what_replaced_it_and_why(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["Use SQLite."])
    say(store, scope, "s2", ["No, PostgreSQL."])
    old = note("Use SQLite.", "decision")
    new = note("Use PostgreSQL.", "decision", session="s2", sources=(Source("s2", 1, 1, "No, PostgreSQL."),))
    remember(store, scope, "s1", [old])
    assert history.finding(store, scope, old.id).why.endswith("nothing since has closed it.")
    remember(store, scope, "s2", [new], links=[Link(old.id, "superseded", new.id, 'turn 1: "No"')])
    detail = history.finding(store, scope, old.id)
    assert detail.finding.status == "superseded"
    assert detail.superseded_by == new
    assert detail.why == (
        "Decision known because turn 1 of 's1' says \"Use SQLite.\"; "
        "superseded because turn 1 of 's2' says \"No, PostgreSQL.\"."
    )
    later = history.finding(store, scope, new.id)
    assert [f.id for f in later.supersedes] == [old.id]
    assert "in place of 'Use SQLite.'" in later.why


def test_a_task_says_what_ended_it(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x", "y"])
    task = note("Write it.", "task")
    remember(store, scope, "s1", [task])
    remember(store, scope, "s1", [replace(task, status="done", reason='turn 2: "written"')], through=2)
    assert history.finding(store, scope, task.id).why.endswith('done because turn 2: "written".')


def test_history_keeps_to_its_scope(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x"], user="mia")
    known = note("Use SQLite.", "decision")
    remember(store, scope, "s1", [known], user="mia")
    zoe, bob = Scope("acme", user="zoe"), Scope("acme", agent="bob")
    for other in (zoe, bob, Scope("else")):
        with pytest.raises(NotFound):
            history.finding(store, other, known.id)
        with pytest.raises(NotFound):
            history.snapshot(store, other, "ada", "s1", 1)
        with pytest.raises(NotFound):
            history.snapshots(store, other, "ada", "s1")
        with pytest.raises(NotFound):
            history.diff(store, other, "ada", "s1", 1, 1)
    assert history.finding(store, Scope("acme", user="mia"), known.id).finding == known
    with pytest.raises(Forbidden):
        history.finding(store, Scope("acme", rights=frozenset()), known.id)


def test_what_another_agent_replaced_shows_only_where_it_may(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x"], user="mia")
    say(store, scope, "s2", ["y"], user="mia", agent="bob")
    old = note("Use SQLite.", "decision")
    new = note("Use PostgreSQL.", "decision", session="s2", agent_id="bob")
    remember(store, scope, "s1", [old], user="mia")
    remember(store, scope, "s2", [new], user="mia", agent="bob", links=[Link(old.id, "superseded", new.id, "turn 1")])
    narrow = history.finding(store, Scope("acme", agent="ada"), old.id)
    assert narrow.superseded_by is None
    assert narrow.why.endswith("superseded because another agent knows better.")
    assert (narrow.finding.superseded_by, "turn 1" in str(narrow.finding.reason)) == (None, False)
    assert history.finding(store, scope, old.id).superseded_by == new


def test_what_an_erased_session_replaced_is_open_again(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x"])
    say(store, scope, "s2", ["y"])
    old, gone = note("Use SQLite.", "decision"), note("Use PostgreSQL.", "decision", session="s2")
    remember(store, scope, "s1", [replace(old, status="superseded", superseded_by=gone.id, reason="turn 1")])
    assert history.finding(store, scope, old.id).superseded_by is None
    other = note("Use MySQL.", "decision", id="f_other")
    remember(store, scope, "s1", [other], through=1)
    remember(store, scope, "s2", [gone], links=[Link(other.id, "superseded", gone.id, "turn 1")])
    assert history.finding(store, scope, other.id).superseded_by == gone
    lifecycle.delete(store, scope, "ada", "s2")
    assert history.finding(store, scope, other.id).finding == other


def test_without_a_snapshot_there_is_none(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x"])
    with pytest.raises(NotFound, match="consolidate it first"):
        history.snapshot(store, scope, "ada", "s1")
    with pytest.raises(NotFound, match="no snapshot 3"):
        history.snapshot(store, scope, "ada", "s1", 3)
