"""An index that was damaged is found, said, and made again from the log, while it goes on to answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from carryover.core.chunk import Query
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.session import Draft, retraction
from carryover.core.usage import Cap
from carryover.jobs.upkeep import upkeep
from carryover.jobs.worker import Worker
from carryover.memory.rules import Rules
from carryover.recall import embed, index
from carryover.recall.embed import Models
from carryover.recall.reindex import reindexing
from carryover.recall.search import search
from carryover.store import check, chunks, damage, erasure, listing, postgres_facts, queue
from carryover.store.store import Store, Tx
from carryover.store.tables import chunks as chunk_rows
from carryover.store.tables import codes, counters, vectors, watermarks
from findable import BY_WORDS, drafts, log, tell
from lettered import first
from talk import consolidate

OTHER = Scope("other")


class Process:
    """All jobs that have to do with the index."""

    def __init__(self, store: Store) -> None:
        self.store, self.models = store, Models(first())
        self.models.since = 1
        made = index.indexing(self.models), embed.embedding(self.models), reindexing()
        self.derivations = {derivation.kind: derivation for derivation in made}
        self.worker = Worker(store, self.derivations, lambda _tenant: Cap())

    def look(self) -> None:
        upkeep(self.store, None, self.derivations.values())

    def run(self) -> int:
        return self.worker.drain()

    @property
    def embedded(self) -> int:
        assert self.models.embedder is not None
        return len(self.models.embedder.embedded)  # type: ignore[attr-defined]


@pytest.fixture
def told(store: Store, scope: Scope) -> Process:
    """Two tenants with conversations, findings too; everything is indexed and embedded."""
    process = Process(store)
    tell(store, scope)
    log(store, OTHER, "spring", drafts("spring"))
    log(store, scope, "silent", [Draft("user", ""), Draft("user", "   ")])
    consolidate(store, scope, "work", Rules())
    process.look()
    process.run()
    return process


def clear_text_index(tx: Tx) -> None:
    if tx.dialect.name == "sqlite":
        tx.conn.exec_driver_sql("INSERT INTO chunks_text(chunks_text) VALUES ('delete-all')")
    else:
        postgres_facts.clear_text_index(tx)


def half_of_text_index(tx: Tx) -> None:
    some = list(chunks.by_n(tx, listed(tx)[::2]).values())
    tx.dialect.unindex(tx.conn, tx.tenant, some)


def listed(tx: Tx) -> list[int]:
    return list(tx.conn.execute(sa.select(chunk_rows.c.n).where(chunk_rows.c.tenant == tx.tenant)).scalars())


def no_chunks(tx: Tx) -> None:
    tx.conn.execute(chunk_rows.delete().where(chunk_rows.c.tenant == tx.tenant))


def chunks_of_one_session(tx: Tx) -> None:
    tx.conn.execute(chunk_rows.delete().where(chunk_rows.c.tenant == tx.tenant, chunk_rows.c.session == "spring"))


def no_index_at_all(tx: Tx) -> None:
    clear_text_index(tx)
    for table in (chunk_rows, vectors, codes):
        tx.conn.execute(table.delete().where(table.c.tenant == tx.tenant))
    gone = counters.c.tenant == tx.tenant, counters.c.name.in_(("chunks", "terms"))
    tx.conn.execute(counters.delete().where(*gone))


def no_watermarks(tx: Tx) -> None:
    tx.conn.execute(watermarks.delete().where(watermarks.c.tenant == tx.tenant))


def watermarks_ahead(tx: Tx) -> None:
    no_index_at_all(tx)
    tx.conn.execute(watermarks.update().where(watermarks.c.tenant == tx.tenant).values(through=77))


def no_vectors(tx: Tx) -> None:
    tx.conn.execute(vectors.delete().where(vectors.c.tenant == tx.tenant))


def no_codes(tx: Tx) -> None:
    tx.conn.execute(codes.delete().where(codes.c.tenant == tx.tenant))


def some_vectors_and_codes(tx: Tx) -> None:
    for table in (vectors, codes):
        tx.conn.execute(table.delete().where(table.c.tenant == tx.tenant, table.c.n.in_(listed(tx)[::3])))


def wrong_counts(tx: Tx) -> None:
    mine = counters.c.tenant == tx.tenant, counters.c.name == "chunks"
    tx.conn.execute(counters.update().where(*mine).values(value=1))


def chunks_of_no_session(tx: Tx) -> None:
    (one,) = chunks.by_n(tx, listed(tx)[:1]).values()
    chunks.add(tx, [_of(one, "gone")])
    mine = counters.c.tenant == tx.tenant, counters.c.name == "chunks"
    tx.conn.execute(counters.update().where(*mine).values(value=counters.c.value - 1))


def _of(chunk: chunks.Chunk, session: str) -> chunks.Chunk:
    return replace(chunk, session_id=session)


DAMAGES = (
    clear_text_index, half_of_text_index, no_chunks, chunks_of_one_session, no_index_at_all, no_watermarks,
    watermarks_ahead, no_vectors, no_codes, some_vectors_and_codes, wrong_counts, chunks_of_no_session,
)  # fmt: skip


def answers(process: Process, scope: Scope) -> list[object]:
    found: list[object] = []
    for question, _ in BY_WORDS:
        with process.store.read(scope) as tx:
            embedder = embed.answering(tx, process.models)
        hits = search(process.store, scope, Query(question, 200), embedder=embedder)
        # Whether a finding is shown that says what a turn says hangs on which of the two is first.
        found.append((hits.mode, {(hit.session_id, hit.text) for hit in hits.results if hit.kind == "turn"}))
    return found


@pytest.mark.parametrize("spoil", DAMAGES, ids=lambda spoil: spoil.__name__)
def test_damage_is_found_and_repaired_by_jobs(
    told: Process, store: Store, scope: Scope, spoil: Callable[[Tx], None], caplog: pytest.LogCaptureFixture
) -> None:
    before = {tenant: answers(told, tenant) for tenant in (scope, OTHER)}
    assert check.check(store) == []
    told.look()
    assert told.run() == 0
    assert caplog.records == []
    with store.write(scope) as tx:
        spoil(tx)
    told.look()
    assert told.run() > 0
    assert check.check(store) == []
    assert {tenant: answers(told, tenant) for tenant in (scope, OTHER)} == before
    told.look()
    assert told.run() == 0
    assert all("rebuilt" in said or "sound again" in said for said in map(logging.LogRecord.getMessage, caplog.records))


@pytest.mark.parametrize("spoil", [clear_text_index, no_codes, no_watermarks, wrong_counts])
def test_what_is_indexed_rightly_is_not_embedded_again(
    told: Process, store: Store, scope: Scope, spoil: Callable[[Tx], None]
) -> None:
    count = told.embedded
    with store.write(scope) as tx:
        spoil(tx)
    told.look()
    told.run()
    assert told.embedded == count


def test_the_process_says_what_it_found(
    told: Process, store: Store, scope: Scope, caplog: pytest.LogCaptureFixture
) -> None:
    with store.write(scope) as tx:
        tx.dialect.unindex(tx.conn, tx.tenant, list(chunks.by_n(tx, listed(tx)[:3]).values()))
        assert [found.about for found in damage.look(tx)] == ["the text index lacks 3 chunks"]
    told.look()
    told.run()
    assert [record.getMessage() for record in caplog.records] == [
        "the index of tenant 'acme' was damaged and is being rebuilt: the text index lacks 3 chunks",
        "the index of tenant 'acme' is sound again, but for what other jobs still have to do",
    ]


def test_damage_is_mended_in_steps_that_each_end_soon(
    told: Process, store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damage, "_STEP", 5)
    with store.write(scope) as tx:
        clear_text_index(tx)
    told.look()
    for _ in range(3):
        assert told.worker.run_one((damage.REINDEX,), tenant=scope.tenant)
    with store.read(scope) as tx:
        left = listing.unlisted(tx, 1000)
        assert len(listed(tx)) - len(left) == 15
    told.run()
    assert check.check(store) == []


def test_an_erased_session_does_not_come_back(told: Process, store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        clear_text_index(tx)
    with store.write(scope) as tx:
        assert erasure.erase(tx, "ada", "spring")["chunks"] == 10  # also from an index that lacks it
    told.look()
    told.run()
    assert check.check(store) == []
    with store.read(scope) as tx:
        assert chunks.of_session(tx, "ada", "spring") == []
        assert queue.get(tx, index.INDEX, "ada/spring") is None
    assert "spring" not in str(answers(told, scope))
    assert "spring" in str(answers(told, OTHER))


def test_an_erasure_while_it_is_indexed_anew(told: Process, store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        damage.index_anew(tx, [("ada", "spring"), ("ada", "summer")])
        erasure.erase(tx, "ada", "spring")
    told.run()
    assert check.check(store) == []
    assert "spring" not in str(answers(told, scope))


def test_the_check_finds_what_counts_do_not_tell(told: Process, store: Store, scope: Scope) -> None:
    """Chunks that are gone with everything that counted them."""
    with store.write(scope) as tx:
        gone = [chunk for chunk in chunks.of_session(tx, "ada", "spring") if chunk.first in (2, 3)]
        chunks.remove(tx, gone)
        part = chunks.of_session(tx, "ada", "summer")[0]
        tx.conn.execute(
            chunk_rows.update().where(chunk_rows.c.tenant == tx.tenant, chunk_rows.c.n == part.n).values(parts=2)
        )
    with store.read(EVERY_TENANT) as tx:
        assert damage.torn(tx) == {"acme": {("ada", "summer")}}, "what lacks a part; what lacks all of them, turns tell"
    report = check.look(store)
    assert report.doubtful == {"acme": {("ada", "spring"), ("ada", "summer")}}
    faults = report.faults
    assert [fault.detail for fault in faults] == [
        "2 sessions of tenant 'acme' are not indexed as their logs say, as 'spring'"
    ]
    assert faults[0].repairable
    check.repair(store)
    told.run()
    assert check.check(store) == []
    assert told.run() == 0


@pytest.mark.parametrize("run", [(2, 3), (1, 11)])
def test_what_was_taken_back_is_not_missed(told: Process, store: Store, scope: Scope, run: tuple[int, int]) -> None:
    """Neither in one session of three nor where nothing else was ever said."""
    log(store, scope, "spring", [retraction(run[0], min(run[1], 10))])
    if run[0] == 1:
        log(store, scope, "summer", [retraction(1, 11)])
        log(store, scope, "work", [retraction(1, 10)])
    told.run()
    assert check.check(store) == []
    with store.read(scope) as tx:
        assert list(damage.look(tx)) == []
        left = {chunk.first for chunk in chunks.of_session(tx, "ada", "spring")}
    assert left == ({*range(1, 11)} - {*range(run[0], run[1] + 1)})
