"""From a turn to everything that was derived from it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
import sqlalchemy as sa

from carryover.core.errors import Forbidden, NotFound
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.core.session import Draft, Source
from carryover.core.usage import Cap, Usage
from carryover.jobs.worker import Worker
from carryover.log import lifecycle
from carryover.memory import verify
from carryover.memory.rules import Rules
from carryover.memory.trace import SHOWN, trace
from carryover.recall import index
from carryover.store import reach, usages, vectors
from carryover.store.snapshots import Link
from carryover.store.store import Store
from carryover.store.tables import bodies, chunks
from clocks import FrozenClock
from talk import consolidate, note, remember, say


def work(store: Store) -> None:
    """What is due is indexed and verified."""
    derivations = (index.indexing(), verify.verification())
    Worker(store, {one.kind: one for one in derivations}, lambda _: Cap()).drain()


def test_a_turn_leads_to_what_was_made_of_it(store: Store, scope: Scope, clock: FrozenClock) -> None:
    line = Draft("user", "Let's use PostgreSQL for the ledger.", name="Mara", created_at=clock.at - 1000)
    say(store, scope, "s1", [line, "Noted."], user="mia")
    before = trace(store, scope, "ada", "s1", 1)
    assert (before.covered, before.findings, before.chunks, before.indexed) == (None, (), (), False)
    consolidate(store, scope, "s1", Rules())
    work(store)
    found = trace(store, scope, "ada", "s1", 1)
    assert (found.seq, found.role, found.kind, found.name, found.said_at) == (
        1,
        "user",
        "message",
        "Mara",
        clock.at - 1000,
    )
    assert found.text == "Let's use PostgreSQL for the ledger."
    assert (found.turn_id or "")[:2] == "t_"
    (derived,) = found.findings
    assert (derived.finding.kind, derived.snapshot) == ("decision", 1)
    assert derived.verdict is not None
    assert derived.verdict.outcome == "holds"
    assert found.covered is not None
    assert (found.covered.version, found.covered.through, found.covered.by) == (1, 2, "rules")
    assert found.indexed
    assert [(chunk.kind, chunk.ref) for chunk in found.chunks] == [
        ("turn", found.turn_id),
        ("decision", derived.finding.id),
    ]
    assert found.in_reach == ("session", "agent", "user")
    other = trace(store, scope, "ada", "s1", 2)
    assert (other.findings, [chunk.kind for chunk in other.chunks]) == ((), ["turn"])


def test_each_chunk_says_in_which_spaces_it_has_a_vector(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["Let's use PostgreSQL for the ledger."])
    consolidate(store, scope, "s1", Rules())
    work(store)
    with store.write(scope) as tx:
        ns = list(
            tx.conn.execute(sa.select(chunks.c.n).where(chunks.c.tenant == "acme").order_by(chunks.c.n)).scalars()
        )
        vectors.add(tx, "b:2", [(n, [1.0, 0.0]) for n in ns])
        vectors.add(tx, "a:2", [(ns[0], [1.0, 0.0])])
    assert [chunk.spaces for chunk in trace(store, scope, "ada", "s1", 1).chunks] == [("a:2", "b:2"), ("b:2",)]


def test_a_turn_says_what_it_ended_here_and_elsewhere(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["Let's use SQLite for the ledger.", "Noted.", "I need to write the migration by Friday."])
    consolidate(store, scope, "s1", Rules())
    say(store, scope, "s2", ["Hello.", "Hi.", "Let's use PostgreSQL for the ledger instead."])
    say(store, scope, "s2", ["I wrote the migration."])
    consolidate(store, scope, "s2", Rules())
    say(store, scope, "s1", ["Hello again."])
    closed = {seq: [f.text for f in trace(store, scope, "ada", "s2", seq).closed] for seq in (1, 2, 3, 4)}
    assert closed == {
        1: [],
        2: [],
        3: ["Let's use SQLite for the ledger."],
        4: ["User: I need to write the migration by Friday."],
    }
    (old,) = trace(store, scope, "ada", "s1", 1).findings
    assert old.finding.status == "superseded"
    assert trace(store, scope, "ada", "s1", 1).closed == ()


def test_a_closing_that_names_no_turn_is_told_by_what_stands_instead(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x"])
    say(store, scope, "s2", ["y", "z"])
    old, new = note("Old."), note("New.", session="s2", sources=(Source("s2", 2, 2, "z"),))
    lost = note("Lost.")
    remember(store, scope, "s1", [old, lost])
    links = [Link(old.id, "superseded", new.id, "they changed their minds"), Link(lost.id, "done", None, "it is over")]
    remember(store, scope, "s2", [new], through=2, links=links)
    assert [f.id for f in trace(store, scope, "ada", "s2", 2).closed] == [old.id]
    assert trace(store, scope, "ada", "s2", 1).closed == ()


def test_the_snapshot_that_covers_a_turn_says_what_its_making_consumed(
    store: Store, scope: Scope, clock: FrozenClock
) -> None:
    say(store, scope, "s1", ["x", "y"], user="mia")
    job = Job("acme", "consolidate", "ada/s1", 0, 1)
    for version, calls in ((1, 3), (2, 5)):
        with store.write(scope) as tx:
            usages.record(tx, job, Usage("m", 9, 900), saved=False)
            held = usages.reserve(tx, job, Usage("m", calls, 100), Cap())
        clock.pass_(1000)
        remember(store, scope, "s1", [], through=version, user="mia")
        with store.write(scope) as tx:
            usages.record(tx, job, Usage("m", calls, calls * 10, money=Decimal("0.5")), reservation=held)
        clock.pass_(1000)
    for seq, calls in ((1, 3), (2, 5)):
        covered = trace(store, scope, "ada", "s1", seq).covered
        assert covered is not None
        assert covered.usage is not None
        assert (covered.usage.model, covered.usage.calls, covered.usage.tokens_in) == ("m", calls, calls * 10)
    hidden = trace(store, Scope("acme", user="mia"), "ada", "s1", 1).covered
    assert hidden is not None
    assert hidden.usage is None


def test_reach_ends_with_the_sessions_that_contexts_draw_on(store: Store, scope: Scope, clock: FrozenClock) -> None:
    say(store, scope, "s1", ["x"], user="mia")
    clock.pass_(1000)
    for n in range(reach.MOST):
        say(store, scope, f"b{n}", ["x"], user="mia", agent="bob")
    assert trace(store, scope, "ada", "s1", 1).in_reach == ("session", "agent")
    clock.pass_(1000)
    for n in range(reach.MOST):
        say(store, scope, f"a{n}", ["x"], user="mia")
    assert trace(store, scope, "ada", "s1", 1).in_reach == ("session",)


def test_a_turn_that_there_is_not_is_not_found(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x", "y"])
    for seq in (0, -1, 3, 2**31, 2**63, 2**70):
        with pytest.raises(NotFound, match=f"no turn {seq}; it has turns 1 to 2"):
            trace(store, scope, "ada", "s1", seq)
    with pytest.raises(NotFound):
        trace(store, scope, "ada", "s9", 1)


def test_long_content_is_shown_by_its_beginning_and_lost_content_not_at_all(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x" * 5000, "y"])
    assert trace(store, scope, "ada", "s1", 1).text == "x" * SHOWN
    with store.write(scope) as tx:
        tx.conn.execute(bodies.delete().where(bodies.c.tenant == "acme", bodies.c.seq == 1))
    gone = trace(store, scope, "ada", "s1", 1)
    assert (gone.turn_id, gone.role, gone.said_at, gone.text) == (None, None, None, "")


def test_a_trace_keeps_to_its_scope(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x"], user="mia")
    say(store, scope, "s2", ["y"], user="mia", agent="bob")
    old, new = note("Old."), note("New.", session="s2", agent_id="bob", sources=(Source("s2", 1, 1, "y"),))
    remember(store, scope, "s1", [old], user="mia")
    remember(store, scope, "s2", [new], user="mia", agent="bob", links=[Link(old.id, "done", new.id, 'turn 1: "y"')])
    for other in (Scope("else"), Scope("acme", agent="eve"), Scope("acme", user="zoe")):
        with pytest.raises(NotFound):
            trace(store, other, "bob", "s2", 1)
    with pytest.raises(Forbidden):
        trace(store, Scope("acme", rights=frozenset()), "bob", "s2", 1)
    assert [f.id for f in trace(store, scope, "bob", "s2", 1).closed] == [old.id]
    narrow = trace(store, Scope("acme", agent="bob"), "bob", "s2", 1)
    assert ([d.finding.id for d in narrow.findings], narrow.closed) == ([new.id], ())


def test_what_an_erased_session_had_closed_is_not_told(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x"])
    say(store, scope, "s2", ["y"])
    old = note("Old.")
    remember(store, scope, "s1", [old])
    remember(store, scope, "s2", [], links=[Link(old.id, "done", None, 'turn 1: "y"')])
    lifecycle.delete(store, scope, "ada", "s1")
    assert trace(store, scope, "ada", "s2", 1).closed == ()
    say(store, scope, "s1", ["anew"])
    assert trace(store, scope, "ada", "s1", 1).findings == ()


def test_a_source_gained_later_counts_from_the_snapshot_that_has_it(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["x", "y"])
    first = note("Said twice.", sources=(Source("s1", 1, 1, "x"),))
    remember(store, scope, "s1", [first])
    remember(store, scope, "s1", [replace(first, sources=(*first.sources, Source("s1", 2, 2, "y")))], through=2)
    since = {seq: [d.snapshot for d in trace(store, scope, "ada", "s1", seq).findings] for seq in (1, 2)}
    assert since == {1: [1], 2: [2]}
