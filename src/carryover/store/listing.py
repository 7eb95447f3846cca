"""The text index beside the chunks that it is made of: where they differ, and how the index is brought back.

SQLite keeps one index for all tenants and no copy of the words, so an entry that has no chunk can only be taken out
together with all others. PostgreSQL counts words in a table of its own, which is counted anew after a repair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from carryover.store import chunks, hashed
from carryover.store.store import Tx
from carryover.store.tables import chunks as chunk_rows
from carryover.store.tables import counters as counter_rows

_READ = 5_000  # chunks at a time
_ENTRIES = "SELECT count(*) FROM chunks_text_docsize"  # of SQLite
_IS_LISTED = {
    "sqlite": "EXISTS (SELECT 1 FROM chunks_text_docsize AS entry WHERE entry.id = chunks.n)",
    "postgresql": "EXISTS (SELECT FROM chunks_text AS entry WHERE entry.tenant = chunks.tenant AND entry.n = chunks.n)",
}
_STRAY = (
    "chunks_text WHERE tenant = :tenant AND NOT EXISTS "
    "(SELECT FROM chunks WHERE chunks.tenant = chunks_text.tenant AND chunks.n = chunks_text.n)"
)


def suspects(tx: Tx, there: Mapping[str, int]) -> set[str]:
    """In `EVERY_TENANT`, tenants whose text index may differ from their chunks; `there` counts the chunks."""
    if tx.dialect.name == "sqlite":
        listed = tx.conn.exec_driver_sql(_ENTRIES).scalar_one()
        return set() if listed == sum(there.values()) else set(there)
    counted = "SELECT tenant, count(*) FROM chunks_text GROUP BY tenant"
    listed = {row[0]: row[1] for row in tx.conn.exec_driver_sql(counted)}
    return {tenant for tenant in listed.keys() | there.keys() if listed.get(tenant) != there.get(tenant)}


def unlisted(tx: Tx, most: int) -> list[int]:
    """The first of the tenant's chunks that the text index lacks."""
    wanted = sa.select(chunk_rows.c.n).where(chunk_rows.c.tenant == tx.tenant, sa.not_(_is_listed(tx)))
    return list(tx.conn.execute(wanted.order_by(chunk_rows.c.n).limit(most)).scalars())


def strays(tx: Tx) -> int:
    """How many entries have no chunk: the tenant's, or on SQLite anybody's."""
    if tx.dialect.name != "sqlite":
        return tx.conn.execute(sa.text(f"SELECT count(*) FROM {_STRAY}"), {"tenant": tx.tenant}).scalar_one()
    everybody = chunk_rows.c.tenant.is_not(None)
    listed = sa.select(sa.func.count()).select_from(chunk_rows).where(everybody, _is_listed(tx))
    return tx.conn.exec_driver_sql(_ENTRIES).scalar_one() - tx.conn.execute(listed).scalar_one()


def clear_strays(tx: Tx) -> list[str]:
    """Every entry has its chunk; the tenants whose chunks have to be listed again for that."""
    if tx.dialect.name != "sqlite":
        tx.conn.execute(sa.text(f"DELETE FROM {_STRAY}"), {"tenant": tx.tenant})
        _recount(tx)
        return []
    tx.conn.exec_driver_sql("INSERT INTO chunks_text(chunks_text) VALUES ('delete-all')")
    having = sa.select(counter_rows.c.tenant).where(counter_rows.c.name == "chunks", counter_rows.c.value > 0)
    return list(tx.conn.execute(having).scalars())


def add(tx: Tx, ns: Sequence[int]) -> None:
    """Those of the chunks that the text index lacks are in it; once it lacks none, its counts are right again."""
    lacking = set(unlisted(tx, len(ns)))
    tx.dialect.index(tx.conn, tx.tenant, [chunk for chunk in chunks.bare(tx, ns) if chunk.n in lacking])
    if tx.dialect.name != "sqlite" and not unlisted(tx, 1):
        _recount(tx)


def _is_listed(tx: Tx) -> sa.ColumnElement[bool]:
    return sa.literal_column(_IS_LISTED[tx.dialect.name], sa.Boolean)


def _recount(tx: Tx) -> None:
    """In how many of the tenant's chunks each word stands, counted anew."""
    counted: Counter[str] = Counter()
    seen = 0
    wanted = sa.select(chunk_rows.c.n, chunk_rows.c.terms).where(chunk_rows.c.tenant == tx.tenant)
    while rows := tx.conn.execute(wanted.where(chunk_rows.c.n > seen).order_by(chunk_rows.c.n).limit(_READ)).all():
        for row in rows:
            counted.update(set(hashed.said(tx.tenant, row.terms)))
        seen = rows[-1].n
    tx.conn.execute(sa.text("DELETE FROM frequencies WHERE tenant = :tenant"), {"tenant": tx.tenant})
    new = "INSERT INTO frequencies (tenant, word, chunks) VALUES (:tenant, :word, :chunks)"
    if counted:
        rows_of = [{"tenant": tx.tenant, "word": word, "chunks": count} for word, count in sorted(counted.items())]
        tx.conn.execute(sa.text(new), rows_of)
