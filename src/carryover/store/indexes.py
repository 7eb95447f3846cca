"""Whether the indexes say what their rows do: the text index, the counts of words, vectors and their codes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from carryover.core.chunk import Chunk
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import chunks as chunk_store
from carryover.store import counters, damage, hashed, postgres_facts, vectors, wording
from carryover.store.postgres_facts import TextIndex
from carryover.store.store import Tx
from carryover.store.tables import chunks
from carryover.store.tables import codes as code_rows
from carryover.store.tables import counters as counter_rows
from carryover.store.tables import vectors as vector_rows

_BATCH = 2_000
_WORDS = 200_000  # of SQLite's text index, at a time
_ALL_BITS = (1 << 64) - 1
_MISSING, _EXTRA = (
    "SELECT count(*) FROM chunks WHERE tenant IS NOT NULL AND n NOT IN (SELECT id FROM chunks_text_docsize)",
    "SELECT count(*) FROM chunks_text_docsize WHERE id NOT IN (SELECT n FROM chunks WHERE tenant IS NOT NULL)",
)
_UNMATCHED = tuple(
    sa.select(sa.func.count())
    .select_from(one)
    .where(~sa.exists().where(vector_rows.c.tenant == code_rows.c.tenant, vectors.matched()).correlate(one))
    for one in (vector_rows, code_rows)
)


def faults(tx: Tx, *, quick: bool) -> Iterator[str]:
    """In `EVERY_TENANT`, where an index differs from its rows, in words; `quick` compares no word of the text index."""
    there = _text_index(tx, quick=quick)
    if there.missing or there.extra:
        yield f"the text index lacks {there.missing} chunks and holds {there.extra} that do not exist"
    if there.wrong:
        yield f"the text index says something else than {there.wrong} of the chunks"
    if there.miscounted:
        yield f"{there.miscounted} words stand in more or fewer chunks than `frequencies` says"
    corpora = _corpora(tx)
    for tenant in sorted(wording.unlike(tx, corpora) - damage.changing(tx)):
        yield f"the text index of tenant {tenant!r} is kept in another form than is set"
    for tenant, true in corpora.items():
        if chunk_store.corpus(tx.within(Scope(tenant))) != true:
            yield f"the counts of tenant {tenant!r} disagree with its {true.chunks} chunks"
    orphans = sa.select(sa.func.count()).select_from(vector_rows).where(_orphaned())
    if lost := tx.conn.execute(orphans).scalar_one():
        yield f"{lost} vectors belong to no chunk"
    if odd := sum(tx.conn.execute(wanted).scalar_one() for wanted in _UNMATCHED):
        yield f"{odd} vectors and codes do not match"


def clear(tx: Tx) -> None:
    """The text index is empty, and until the transaction ends nobody else writes to what it is made from."""
    if tx.dialect.name == "sqlite":
        tx.conn.exec_driver_sql("INSERT INTO chunks_text(chunks_text) VALUES ('delete-all')")
    else:
        postgres_facts.clear_text_index(tx)


def fill(tx: Tx) -> None:
    """The text index, once it was cleared, is made anew from the chunks, and vectors without a chunk are gone."""
    tx.conn.execute(vector_rows.delete().where(_orphaned()))
    for tenant in tx.conn.execute(sa.select(chunks.c.tenant).distinct()).scalars().all():
        for rows in _chunks(tx, tenant):
            tx.dialect.index(tx.conn, tenant, rows)


def recount(tx: Tx) -> None:
    """The tenant's counts are right, and its vectors have their codes."""
    true, counted = _corpora(tx).get(tx.tenant, chunk_store.Corpus(0, 0)), chunk_store.corpus(tx)
    counters.bump(tx, "chunks", true.chunks - counted.chunks)
    counters.bump(tx, "terms", true.terms - counted.terms)
    vectors.recode(tx)


def _text_index(tx: Tx, *, quick: bool) -> TextIndex:
    if tx.dialect.name == "sqlite":
        missing, extra = (tx.conn.exec_driver_sql(statement).scalar_one() for statement in (_MISSING, _EXTRA))
        return TextIndex(missing, extra, 0 if quick else _misspelt(tx), 0)
    return postgres_facts.text_index(tx, quick=quick)


def _misspelt(tx: Tx) -> int:
    """How many entries of SQLite's text index say something else than their chunks.

    The index keeps no text, and finds no words by a chunk. So all of its words are read in its own order, and of each
    entry the hashes of its words are added up, which is then compared with what its chunk comes to.
    """
    top = tx.conn.execute(sa.select(sa.func.max(chunks.c.n)).where(chunks.c.tenant.is_not(None))).scalar()
    if top is None:
        return 0
    wanted, there = np.zeros(top + 1, np.uint64), np.zeros(top + 1, np.uint64)
    known = np.zeros(top + 1, np.bool_)
    for tenant in tx.conn.execute(sa.select(chunks.c.tenant).distinct()).scalars().all():
        for rows in _chunks(tx, tenant):
            for chunk in rows:
                words = (*hashed.owners(tenant, chunk), *hashed.words(tenant, chunk))
                wanted[chunk.n] = sum(_number(word) for word in words) & _ALL_BITS
                known[chunk.n] = True
    for ns, values in _entries(tx):
        here = ns <= top
        np.add.at(there, ns[here], values[here])
    listed = tx.conn.exec_driver_sql("SELECT id FROM chunks_text_docsize").scalars()
    ids = np.fromiter(listed, np.int64)
    entered = np.zeros(top + 1, np.bool_)
    entered[ids[ids <= top]] = True
    return int(np.count_nonzero((wanted != there) & known & entered))


def _entries(tx: Tx) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """All words of SQLite's text index: the numbers of their chunks, and the words as numbers."""
    tx.conn.exec_driver_sql(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.chunks_words USING fts5vocab(main, 'chunks_text', 'instance')"
    )
    found = tx.conn.exec_driver_sql("SELECT term, doc FROM temp.chunks_words")
    while rows := found.fetchmany(_WORDS):
        yield (
            np.fromiter((row[1] for row in rows), np.int64, len(rows)),
            np.fromiter((_number(row[0]) for row in rows), np.uint64, len(rows)),
        )


def _number(word: str) -> int:
    """The same for the same word, as long as the process lives."""
    return hash(word) & _ALL_BITS


def _chunks(tx: Tx, tenant: str) -> Iterator[list[Chunk]]:
    seen = 0
    wanted = sa.select(*postgres_facts.CHUNK).where(chunks.c.tenant == tenant).order_by(chunks.c.n).limit(_BATCH)
    while rows := tx.conn.execute(wanted.where(chunks.c.n > seen)).all():
        yield [Chunk(*row) for row in rows]
        seen = rows[-1].n


def _corpora(tx: Tx) -> dict[str, chunk_store.Corpus]:
    """Chunks and terms of every tenant, counted; zeros for a tenant that has none and should have some."""
    expected = sa.select(counter_rows.c.tenant).where(
        counter_rows.c.tenant != EVERY_TENANT.tenant, counter_rows.c.name == "chunks", counter_rows.c.value != 0
    )
    true = {tenant: chunk_store.Corpus(0, 0) for tenant in tx.conn.execute(expected).scalars()}
    counted = sa.select(chunks.c.tenant, sa.func.count(), sa.func.sum(chunk_store.SIZE)).group_by(chunks.c.tenant)
    return true | {row[0]: chunk_store.Corpus(row[1], row[2]) for row in tx.conn.execute(counted)}


def _orphaned() -> sa.ColumnElement[bool]:
    return ~sa.exists().where(chunks.c.tenant == vector_rows.c.tenant, chunks.c.n == vector_rows.c.n)
