"""Chunks: what search can find, in the table and in the text index together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from carryover.core.chunk import Chunk
from carryover.store import counters, hashed, hot, sealed, vectors, wording
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import chunks, watermarks
from carryover.store.tables import vectors as vector_rows

# Numbers may be committed out of order where several writers work at once; none is late by as many as this.
_LATE = 10_000
# In the order of Chunk's fields.
_COLUMNS = (
    chunks.c.n,
    chunks.c.kind,
    chunks.c.ref,
    chunks.c.agent,
    chunks.c.session,
    chunks.c.user,
    chunks.c.first,
    chunks.c.last,
    chunks.c.part,
    chunks.c.role,
    chunks.c.name,
    chunks.c.text,
    chunks.c.created_at,
    chunks.c.parts,
    chunks.c.terms,
)


_NAMES = [column.name for column in _COLUMNS]
_TEXT = _NAMES.index("text")
# As `sealed.place` has it, filled in from a row.
_PLACE = sealed.place(chunks, "text", {name: f"{{{_NAMES.index(name)}}}" for name in sealed.SEALED[chunks].row})


_GAPS = sa.func.length(chunks.c.terms) - sa.func.length(sa.func.replace(chunks.c.terms, " ", ""))
# How many terms a chunk has.
SIZE = sa.case((chunks.c.terms == "", 0), (chunks.c.terms.startswith(hashed.GIVEN), _GAPS), else_=_GAPS + 1)


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far a session is indexed: turns 1..`through`, and the findings of its `snapshot`."""

    through: int = 0
    snapshot: int = 0


@dataclass(frozen=True, slots=True)
class Corpus:
    """How many chunks a tenant has, and how many terms they hold together."""

    chunks: int
    terms: int


def worded(tx: Tx, some: Sequence[Chunk]) -> list[Chunk]:
    """The chunks with their terms as the tenant's text index has them."""
    form = wording.of(tx)
    return [replace(chunk, terms=form.kept(chunk.terms)) for chunk in some]


def lock(tx: Tx) -> None:
    """From here to the end of the transaction nobody else adds or removes chunks of the tenant."""
    counters.bump(tx, "chunks", 0)


def add(tx: Tx, new: Sequence[Chunk]) -> list[Chunk]:
    """The chunks can be found by their terms; they come back with their numbers."""
    if not new:
        return []
    lock(tx)  # here and in `remove` before the text index: whoever comes second waits at the same place
    new = worded(tx, new)
    first = tx.dialect.allocate(tx.conn, tx.tenant, len(new))
    numbered = {first + i: replace(chunk, n=first + i) for i, chunk in enumerate(new)}
    kept = sealed.closed(tx, chunks, [_row(tx.tenant, chunk) for chunk in numbered.values()])
    if not kept:
        return []
    tx.conn.execute(sa.insert(chunks), kept)
    rows = [numbered[row["n"]] for row in kept]
    _count(tx, rows, 1)
    tx.dialect.index(tx.conn, tx.tenant, rows)
    return rows


def reword(tx: Tx, anew: Sequence[tuple[Chunk, str]]) -> None:
    """The chunks are found by these terms (as `worded` has them), and by no others; all else of them stays."""
    if not anew:
        return
    lock(tx)
    before, after = [chunk for chunk, _ in anew], [replace(chunk, terms=terms) for chunk, terms in anew]
    counters.bump(tx, "terms", sum(map(_size, after)) - sum(map(_size, before)))
    tx.dialect.unindex(tx.conn, tx.tenant, before)
    changed = chunks.update().where(chunks.c.tenant == tx.tenant, chunks.c.n == sa.bindparam("the_n"))
    tx.conn.execute(changed, [{"the_n": chunk.n, "terms": chunk.terms} for chunk in after])
    tx.dialect.index(tx.conn, tx.tenant, after)


def by_n(tx: Tx, ns: Collection[int]) -> dict[int, Chunk]:
    """Those of the numbers that exist."""
    rows = hot.read(tx.conn, _by_n(tx.dialect.name), {"tenant": tx.tenant, "ns": sorted(ns)}) if ns else ()
    return {chunk.n: chunk for chunk in _chunks(tx, rows)}


def bare(tx: Tx, ns: Collection[int]) -> list[Chunk]:
    """Those of the numbers that exist, without their texts: what an index needs, whoever's keys are lost."""
    mine = chunks.c.tenant == tx.tenant
    return [chunk for part in parts(sorted(ns)) for chunk in _bare(tx, mine, chunks.c.n.in_(part))]


def around(tx: Tx, ns: Collection[int], reach: int) -> list[Chunk]:
    """The turns that these chunks stand on and up to `reach` turns before and after, each by its first part."""
    if not ns:
        return []
    asked = {"tenant": tx.tenant, "ns": sorted(ns), "reach": reach}
    found = {row[0]: row for row in hot.read(tx.conn, _around(tx.dialect.name), asked)}  # some are near several
    return _chunks(tx, found.values())


def of_session(tx: Tx, agent: str, session: str, *, findings_only: bool = False) -> list[Chunk]:
    """The chunks of a session in the order of their numbers."""
    wanted = _select(tx).where(chunks.c.agent == agent, chunks.c.session == session)
    if findings_only:
        wanted = wanted.where(chunks.c.kind != "turn")
    return _read(tx, wanted.order_by(chunks.c.n))


def unembedded(tx: Tx, space: str, limit: int, through: int = 0) -> list[Chunk]:
    """At most `limit` chunks that have no vector in the space yet, oldest first.

    Those far below the number `through` are known to have theirs.
    """
    here = vector_rows.c.tenant == tx.tenant, vector_rows.c.space == space, vector_rows.c.n == chunks.c.n
    wanted = _select(tx).where(chunks.c.n > through - _LATE, ~sa.select(vector_rows.c.n).where(*here).exists())
    return _read(tx, wanted.order_by(chunks.c.n).limit(limit))


def of_turns(tx: Tx, agent: str, session: str, first: int, last: int | None) -> list[Chunk]:
    """The chunks of the session's turns `first`..`last` (None: to the end)."""
    wanted = _select(tx).where(chunks.c.agent == agent, chunks.c.session == session, chunks.c.kind == "turn")
    wanted = wanted.where(chunks.c.first >= first)
    return _read(tx, wanted if last is None else wanted.where(chunks.c.first <= last))


def remove(tx: Tx, gone: Sequence[Chunk]) -> int:
    """These chunks and their vectors are found no more; how many vectors there were."""
    if not gone:
        return 0
    _count(tx, gone, -1)
    tx.dialect.unindex(tx.conn, tx.tenant, gone)
    for part in parts([chunk.n for chunk in gone]):
        tx.conn.execute(chunks.delete().where(chunks.c.tenant == tx.tenant, chunks.c.n.in_(part)))
    return vectors.remove(tx, [chunk.n for chunk in gone])


def erase(tx: Tx, agent: str, session: str) -> dict[str, int]:
    """No word of the session is left in the chunks, the text index and the vectors; how many rows went."""
    here = chunks.c.tenant == tx.tenant, chunks.c.agent == agent, chunks.c.session == session
    gone = _bare(tx, *here)
    lost = remove(tx, gone)
    if gone:
        tx.dialect.purge(tx.conn)
    return {"chunks": len(gone), "vectors": lost}


def watermark(tx: Tx, agent: str, session: str) -> Watermark:
    """How far the session is indexed; zeros before the first time."""
    wanted = sa.select(watermarks.c.through, watermarks.c.snapshot).where(
        watermarks.c.tenant == tx.tenant, watermarks.c.agent == agent, watermarks.c.session == session
    )
    row = tx.conn.execute(wanted).first()
    return Watermark() if row is None else Watermark(*row)


def mark(tx: Tx, agent: str, session: str, reached: Watermark) -> None:
    """The session is indexed as far as this."""
    state = {"through": reached.through, "snapshot": reached.snapshot}
    new = tx.insert(watermarks).values(tenant=tx.tenant, agent=agent, session=session, **state)
    tx.conn.execute(new.on_conflict_do_update(index_elements=["tenant", "agent", "session"], set_=state))


def corpus(tx: Tx) -> Corpus:
    """What is indexed of the tenant, whatever part of it the scope admits."""
    return Corpus(*counters.values(tx, ["chunks", "terms"]))


def _count(tx: Tx, rows: Sequence[Chunk], sign: int) -> None:
    counters.bump(tx, "chunks", sign * len(rows))
    counters.bump(tx, "terms", sign * sum(map(_size, rows)))


def _size(chunk: Chunk) -> int:
    return len(hashed.tokens(chunk.terms))


@lru_cache
def _by_n(engine: str) -> sa.Select[*tuple[Any, ...]]:
    return sa.select(*_COLUMNS).where(chunks.c.tenant == sa.bindparam("tenant"), hot.listed(engine, chunks.c.n, "ns"))


@lru_cache
def _around(engine: str) -> sa.Select[*tuple[Any, ...]]:
    seed, near = chunks.alias("seed"), chunks.alias("near")
    tenant: sa.BindParameter[Any] = sa.bindparam("tenant")
    reach = sa.bindparam("reach", type_=sa.BigInteger)
    close = sa.and_(
        near.c.tenant == tenant,
        near.c.agent == seed.c.agent,
        near.c.session == seed.c.session,
        near.c.first.between(seed.c.first - reach, seed.c.last + reach),
    )
    there = sa.select(*(near.c[column.name] for column in _COLUMNS)).join_from(seed, near, close)
    there = there.where(seed.c.tenant == tenant, hot.listed(engine, seed.c.n, "ns"))
    return there.where(near.c.kind == "turn", near.c.part == 0)


def _select(tx: Tx) -> sa.Select[*tuple[Any, ...]]:
    return sa.select(*_COLUMNS).where(chunks.c.tenant == tx.tenant)


def _read(tx: Tx, wanted: sa.Select[*tuple[Any, ...]]) -> list[Chunk]:
    # All rows at once: one by one, the driver's round trips cost more than the rows.
    return _chunks(tx, tx.conn.execute(wanted).all())


def _chunks(tx: Tx, rows: Iterable[Any]) -> list[Chunk]:
    """The rows, in the order of `_COLUMNS`, as chunks; without those whose key was dropped."""
    there = list(rows)
    texts = tx.opened_all([(_PLACE.format(*row), row[_TEXT]) for row in there])
    opened = zip(there, texts, strict=True)
    return [_chunk(row, text) for row, text in opened if text is not None]


def _bare(tx: Tx, *here: sa.ColumnElement[bool]) -> list[Chunk]:
    columns = [sa.literal("") if column is chunks.c.text else column for column in _COLUMNS]
    wanted: sa.Select[*tuple[Any, ...]] = sa.select(*columns).where(*here)
    return [_chunk(row, "") for row in tx.conn.execute(wanted).all()]


def _chunk(row: Any, text: str) -> Chunk:
    values: list[Any] = list(row)
    values[_TEXT] = text
    return Chunk(*values)


def _row(tenant: str, chunk: Chunk) -> dict[str, object]:
    fields = zip(_COLUMNS, Chunk.__dataclass_fields__, strict=True)
    return {"tenant": tenant, **{column.name: getattr(chunk, field) for column, field in fields}}
