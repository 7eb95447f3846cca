"""What memory was, what changed, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from carryover.core.errors import Forbidden, Invalid, NotFound
from carryover.core.scope import Scope
from carryover.core.session import Draft, Source, Turn
from carryover.core.snapshot import Cited, Closed, Extraction, Finding, Found
from carryover.core.usage import Usage
from carryover.log import lifecycle
from carryover.memory import history
from carryover.memory.rules import Rules
from carryover.store.snapshots import Link
from carryover.store.store import Store
from clocks import FrozenClock
from talk import consolidate, note, remember, say


@dataclass
class Fixed:
    """An extractor that finds what it was told to find."""

    extraction: Extraction
    name: str = "model"
    id: str = "model"

    def estimate(self, turns: Sequence[Turn], live: Sequence[Finding]) -> Usage:
        return Usage()

    def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]:
        return self.extraction, Usage()


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


def test_a_finding_is_shown_in_the_turns_that_say_it(store: Store, scope: Scope, clock: FrozenClock) -> None:
    said = Draft("user", f"{'a' * 300} Use SQLite. {'b' * 300}", name="Mara", created_at=clock.at - 5000)
    say(store, scope, "s1", ["Hello.", said])
    cited = (Source("s1", 1, 2, "Use SQLite."), Source("s1", 1, 1, "Use MySQL."), Source("gone", 1, 1, "Use it."))
    known = note("Use SQLite.", "decision", sources=cited)
    remember(store, scope, "s1", [known], through=2)
    shown, absent, elsewhere = history.finding(store, scope, known.id).cited
    assert (shown.source, shown.seq, shown.role, shown.name) == (cited[0], 2, "user", "Mara")
    assert shown.said_at == clock.at - 5000
    assert (shown.before, shown.after) == ("a" * 159 + " ", " " + "b" * 159)
    assert (absent, elsewhere) == (Cited(cited[1]), Cited(cited[2]))


def test_the_whole_chain_is_told_over_sessions(store: Store, scope: Scope, clock: FrozenClock) -> None:
    for session, line in (
        ("s1", "Let's use SQLite for the ledger."),
        ("s2", "Let's use MySQL for the ledger instead."),
        ("s3", "Let's use PostgreSQL for the ledger instead."),
    ):
        say(store, scope, session, [line])
        consolidate(store, scope, session, Rules())
        clock.pass_(60_000)
    first = history.snapshot(store, scope, "ada", "s1").findings[0]
    chain = history.finding(store, scope, first.id).chain
    assert [f.session_id for f in chain] == ["s1", "s2", "s3"]
    assert [f.status for f in chain] == ["superseded", "superseded", "active"]
    for one in chain:
        detail = history.finding(store, scope, one.id)
        assert detail.chain == chain
        assert [f.id for f in detail.supersedes] == [f.id for f in chain[: chain.index(one)]][-1:]
    ended = history.finding(store, scope, first.id).ended
    assert ended is not None
    assert (ended.source.session_id, ended.seq) == ("s2", 1)
    assert ended.source.quote == "Let's use MySQL for the ledger instead."


def test_a_task_that_another_session_closed_shows_the_turn_that_says_so(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["I need to write the migration by Friday."])
    consolidate(store, scope, "s1", Rules())
    say(store, scope, "s2", ["Hello.", "Hi.", "I wrote the migration."])
    consolidate(store, scope, "s2", Rules())
    (task,) = history.snapshot(store, scope, "ada", "s1").findings
    detail = history.finding(store, scope, task.id)
    assert detail.ended is not None
    assert (detail.ended.source, detail.ended.seq) == (Source("s2", 3, 3, "I wrote the migration."), 3)
    assert detail.why.endswith("done because turn 3 of 's2' says \"I wrote the migration.\".")


def test_what_a_model_gave_as_its_reason_keeps_the_turn(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["Write it.", "ok", "It is written."])
    found = Found("task", "Write it.", "Write it.", 1, 1)
    closed = Closed("", "done", "It is written.", 3, 3, "the user finished", found=0)
    consolidate(store, scope, "s1", Fixed(Extraction((found,), (closed,), by="model")))
    (task,) = history.snapshot(store, scope, "ada", "s1").findings
    assert task.reason == 'turn 3: "It is written." (the user finished)'
    ended = history.finding(store, scope, task.id).ended
    assert ended is not None
    assert ended.source == Source("s1", 3, 3, "It is written.")


def test_the_beginning_of_an_id_will_do_where_it_is_clear(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x"], user="mia")
    one, two = note("One.", id="f_abcd1x"), note("Two.", id="f_abcd2x")
    remember(store, scope, "s1", [one, two], user="mia")
    for scoped in (scope, Scope("acme", user="mia"), Scope("acme", agent="ada")):
        assert history.finding(store, scoped, "f_abcd1").finding == one
        with pytest.raises(Invalid, match="give more of the id"):
            history.finding(store, scoped, "f_abcd")
    for wrong in (
        "f_abc",
        "F_ABCD1",
        "f%abcd1",
        "______",
        "f_abcd1xy",
        "",
        "f_abcd1' --",
        "f_abcd1\x00",
        "f_\ud800bcd1",
        "é" * 64,
    ):
        with pytest.raises(NotFound):
            history.finding(store, scope, wrong)
    for other in (Scope("acme", user="zoe"), Scope("acme", agent="bob"), Scope("else")):
        for id in ("f_abcd", "f_abcd1"):
            with pytest.raises(NotFound):
                history.finding(store, other, id)


def test_a_source_in_the_session_of_somebody_else_is_not_quoted_to_a_narrowed_key(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x"], user="mia")
    say(store, scope, "s2", ["The secret is out."], user="zoe")
    known = note("Secret.", sources=(Source("s2", 1, 1, "secret"),))
    remember(store, scope, "s1", [known], user="mia")
    assert history.finding(store, scope, known.id).cited[0].before == "The "
    assert history.finding(store, Scope("acme", user="mia"), known.id).cited == (Cited(known.sources[0]),)


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
    assert (narrow.chain, narrow.ended) == ((narrow.finding,), None)
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
