"""A statement never leaves its tenant: reading, changing and deleting all name it where they choose their rows."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core.chunk import Chunk
from carryover.core.event import Filter
from carryover.core.job import Job
from carryover.core.paging import make_cursor
from carryover.core.scope import Scope
from carryover.core.session import Draft, Source
from carryover.core.snapshot import Finding, Snapshot
from carryover.core.usage import Cap, Usage
from carryover.core.verdict import Verdict
from carryover.log import lifecycle, read, stream
from carryover.store import chunks, keys, queue, sessions, snapshots, traces, usages, vectors, verdicts
from carryover.store.chunks import Watermark
from carryover.store.store import Store
from carryover.store.tables import metadata
from logbook import Book

_TABLES = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN) \"?(\w+)\"?", re.IGNORECASE)
_NAMED = re.compile(r"\btenant (?:=|IN|IS)")


def _leaves(statement: str) -> bool:
    """Whether it chooses rows of a table of tenants (secrets are the installation's) without saying of which."""
    tables = set(_TABLES.findall(statement)) & {table.name for table in metadata.sorted_tables if "tenant" in table.c}
    if not tables or re.match(r"\s*INSERT\b", statement):
        return False
    return not _NAMED.search(statement.partition("WHERE")[2])


def _everything(book: Book, clock: Any) -> None:
    """Every verb of the log and every function of the store that a request can reach."""
    store, scope = book.store, book.scope
    book.append("s", Draft("user", "one", idempotency_key="k"), "two", user_id="u")
    book.append("s", Draft("user", "one", idempotency_key="k"))
    read.page(store, scope, "default", "s")
    read.window(store, scope, "default", "s")
    read.listed(store, scope, None, user_id="u", cursor=make_cursor(clock.at + 1, "z", "z"))
    stream.newest(store, scope, "default", Filter("append", "s", "u", 0, clock.at + 1))
    stream.after(store, scope, "default", 0)
    lifecycle.hold(store, scope, "default", "s", 60)
    lifecycle.set_ttl(store, scope, "default", "s", 60)
    lifecycle.close(store, scope, "default", "s")
    source = (Source("s", 1, 1, "one"),)
    with store.write(scope) as tx:
        for version in (1, 2):
            found = Finding("f", "fact", f"text {version}", "active", 1, source, "rules", "default", "s")
            snapshots.add(tx, Snapshot("s", "default", version, 2, 1, "rules", "", (found,)), user="u")
        snapshots.latest(tx, "default", "s")
        snapshots.listed(tx, "default", "s")
        snapshots.newest_of(tx, agent="default", user="u")
        snapshots.live(tx, [("default", "s")])
        snapshots.finding(tx, "f")
        snapshots.replaced_by(tx, "f")
        verdicts.put(tx, [(snapshots.finding(tx, "f"), Verdict("fails", 1, 1, ("no",)))])
        verdicts.of(tx, ["f"])
        verdicts.unchecked(tx, {"f": ""}, 1)
        verdicts.flagged(tx, 9)
        verdicts.generation(tx)
        verdicts.sessions_with_findings(tx, "default")
        traces.beginning(tx, "f", 2)
        traces.citing(tx, "default", "s", 1)
        traces.ends(tx, "default", "s")
        traces.closed_in(tx, "f")
        traces.covering(tx, "default", "s", 1)
        usages.of_run(tx, "default", "s", 1)
        sessions.find(tx, [("default", "s"), ("b", "t")])
        (made,) = chunks.add(
            tx, [Chunk(0, "turn", "t", "default", "s", "u", 1, 1, 0, "user", None, "one", 1, terms="one")]
        )
        vectors.add(tx, "space", [(made.n, [1.0, 0.0])])
        vectors.nearest(tx, "space", [1.0, 0.0], vectors.Bounds(), 3)
        chunks.by_n(tx, [made.n])
        traces.indexed(tx, "default", "s", 1, ["f"])
        chunks.unembedded(tx, "space", 5)
        chunks.mark(tx, "default", "s", Watermark(2, 1))
        chunks.watermark(tx, "default", "s")
        chunks.corpus(tx)
        job = Job("acme", "consolidate", "default/s", 0, 1)
        usages.record(tx, job, Usage(calls=1), reservation=usages.reserve(tx, job, Usage(calls=1), Cap(1, Decimal(1))))
        usages.totals(tx, 0, clock.at + 1, "agent")
        usages.waiting(tx)
        queue.counts(tx)
        queue.dead(tx)
        queue.arm(tx, [("index", "default/s", clock.at)])
        taken = queue.claim(tx, ["index"], lease_ms=1000)
        assert taken is not None
        queue.fail(tx, taken, "no", due=None)
        queue.revive(tx, "index", "default/s")
        key, _ = keys.create(tx, label="k")
        keys.touch(tx, key)
        keys.revoke(tx, key.id)
    lifecycle.delete(store, scope, "default", "s")


def test_every_statement_names_its_tenant_where_it_chooses_rows(store: Store, clock: Any) -> None:
    seen: list[str] = []
    sa.event.listen(store.engine, "before_cursor_execute", lambda _c, _k, statement, *_r: seen.append(statement))
    _everything(Book(store), clock)
    assert len(seen) > 100
    assert sorted({statement for statement in seen if _leaves(statement)}) == []


@pytest.mark.parametrize(
    "statement",
    ["SELECT version FROM sessions WHERE session = 1", "DELETE FROM turns", 'UPDATE "usages" SET money = 0'],
)
def test_the_store_of_the_tests_notices_a_statement_that_does_not(store: Store, statement: str) -> None:
    assert _leaves(statement)
    with pytest.raises(AssertionError, match="names no tenant"), store.read(Scope("acme")) as tx:
        tx.conn.exec_driver_sql(statement)


def test_two_tenants_with_the_same_names_see_their_own(store: Store) -> None:
    acme, zeta = Book(store), Book(store, scope=Scope("zeta"))
    acme.append("s", Draft("user", "of acme", idempotency_key="k"))
    zeta.append("s", Draft("user", "of zeta", idempotency_key="k"), "more")
    assert [t.content for t in acme.turns("s")] == ["of acme"]
    assert [t.content for t in zeta.turns("s")] == ["of zeta", "more"]
    assert len(stream.newest(store, acme.scope, "default").events) == 2
