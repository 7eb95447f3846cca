"""Vectors: float32 rows, searched over a copy of the tenant's vectors in memory (`copies.py`).

A copy of few vectors holds them in full and is searched exactly. A copy of many holds one bit for each of their
numbers: the best by their codes are read from the table and scored exactly, all others are estimated.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from carryover.core.ports import Vector
from carryover.store import coded, codes, copies, counters, pgvector, sqlitevec
from carryover.store.dialect import Bounds
from carryover.store.near import Nearest, exact_scores
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import chunks, removals, vectors
from carryover.store.tables import codes as code_rows

_RECODED = 2_000  # rows at a time
_FILTERS = (
    chunks.c.n,
    chunks.c.agent,
    chunks.c.session,
    chunks.c.user,
    chunks.c.kind,
    chunks.c.role,
    chunks.c.created_at,
)


def add(tx: Tx, space: str, rows: Sequence[tuple[int, Vector]]) -> int:
    """Each chunk has its vector, as far as the chunk still exists; how many do."""
    alive: dict[int, Any] = {}
    for part in parts([n for n, _ in rows]):
        wanted = sa.select(*_FILTERS).where(chunks.c.tenant == tx.tenant, chunks.c.n.in_(part))
        wanted = wanted.with_for_update(read=True)  # whoever erases the chunk waits, and then finds its vector
        alive |= {row["n"]: row for row in tx.conn.execute(wanted).mappings()}
    if not alive:
        return 0
    added = counters.bump(tx, "vectors")  # from here on no other transaction adds vectors of the tenant
    known: set[int] = set()
    for part in parts(list(alive)):
        there = vectors.c.tenant == tx.tenant, vectors.c.space == space, vectors.c.n.in_(part)
        known |= set(tx.conn.execute(sa.select(vectors.c.n).where(*there)).scalars())
    new = {n: np.asarray(vector, dtype="<f4") for n, vector in rows if n in alive and n not in known}
    if new:
        mine = {"tenant": tx.tenant, "space": space, "added": added}
        bits = codes.encoded(np.stack(list(new.values())))
        tx.conn.execute(sa.insert(vectors), [{**mine, "n": n, "vector": row.tobytes()} for n, row in new.items()])
        tx.conn.execute(
            sa.insert(code_rows),
            [{**mine, **alive[n], "code": code.tobytes()} for n, code in zip(new, bits, strict=True)],
        )
    if pgvector.serves(tx, space):
        pgvector.follow(tx, space)
    elif sqlitevec.serves(tx, space):
        sqlitevec.follow(tx, space)
    return len(alive)


def remove(tx: Tx, ns: Sequence[int]) -> int:
    """These chunks have no vector in any space any more; how many rows went."""
    found: list[Any] = []
    named = spaces(tx)  # the space comes before the number in the key: naming all of them lets the key be used
    for part in parts(ns):
        here = vectors.c.tenant == tx.tenant, vectors.c.space.in_(named), vectors.c.n.in_(part)
        found += tx.conn.execute(sa.select(vectors.c.space, vectors.c.added, vectors.c.n).where(*here)).all()
        tx.conn.execute(vectors.delete().where(*here))
    if found:
        keyed = [code_rows.c[name] == sa.bindparam(f"the_{name}") for name in ("space", "added", "n")]
        tx.conn.execute(
            code_rows.delete().where(code_rows.c.tenant == tx.tenant, *keyed),
            [{"the_space": space, "the_added": added, "the_n": n} for space, added, n in found],
        )
        gone = {row.n for row in found}
        _tell(tx, gone)
        sqlitevec.remove(tx, sorted(gone))
    return len(found)


def spaces(tx: Tx) -> list[str]:
    """The spaces in which the tenant has vectors."""
    found: list[str] = []
    after = sa.select(sa.func.min(vectors.c.space)).where(vectors.c.tenant == tx.tenant)
    space = tx.conn.execute(after).scalar()
    while space is not None:  # a step from key to key; a plain DISTINCT would read every row
        found.append(space)
        space = tx.conn.execute(after.where(vectors.c.space > space)).scalar()
    return found


def nearest(tx: Tx, space: str, vector: Vector, bounds: Bounds, k: int) -> Nearest | None:
    """The best of the vectors that the bounds admit, at most `k` of users' chunks and `k` of all others.

    Users say little and agents write much: with one list for both, long answers would crowd out what they answer.
    None when no vector of this length is admitted.
    """
    if pgvector.serves(tx, space):
        return pgvector.nearest(tx, space, np.asarray(vector, np.float32), bounds, k)
    if sqlitevec.serves(tx, space):
        return sqlitevec.nearest(tx, space, np.asarray(vector, np.float32), bounds, k)
    matrix = copies.current(tx, space)
    if matrix is None or matrix.dim != len(vector) or matrix.size == 0:
        return None
    rows = matrix.admitted(bounds)
    if not isinstance(rows, slice) and rows.size == 0:
        return None
    query = np.asarray(vector, np.float32)
    if not matrix.full:
        return coded.nearest(tx, space, matrix, query, rows, k)
    users, found = matrix.is_user[rows], matrix.scores(query, rows)
    top: dict[int, float] = {}
    for group in (users.nonzero()[0], (~users).nonzero()[0]):
        best = group[np.argpartition(-found[group], k)[:k]] if group.size > k else group
        top |= dict(zip(matrix.n[rows][best].tolist(), found[best].tolist(), strict=True))
    sessions = matrix.sessions(rows, found.__getitem__)
    return Nearest(top, found.size, float(found.mean()), float(found.std()), sessions, sessions.among())


def scores(tx: Tx, space: str, vector: Vector, ns: Collection[int]) -> dict[int, float]:
    """The scores of these chunks, as far as they have vectors."""
    query = np.asarray(vector, np.float32)
    if pgvector.serves(tx, space) or sqlitevec.serves(tx, space):
        return exact_scores(tx, space, query, sorted(ns))
    matrix = copies.current(tx, space)
    if matrix is None or matrix.dim != len(vector):
        return {}
    if not matrix.full:
        return exact_scores(tx, space, query, sorted(ns))
    rows = matrix.rows_of(np.asarray(sorted(ns), np.int64))
    return dict(zip(matrix.n[rows].tolist(), matrix.scores(query, rows).tolist(), strict=True))


def recode(tx: Tx) -> None:
    """Each vector has its code and each code its vector again, and every process reads them anew.

    For a repair, after rows came or went without `add` and `remove`.
    """
    vectorless = ~sa.exists().where(vectors.c.tenant == code_rows.c.tenant, matched())
    tx.conn.execute(code_rows.delete().where(code_rows.c.tenant == tx.tenant, vectorless))
    codeless = ~sa.exists().where(code_rows.c.tenant == vectors.c.tenant, matched())
    some = _uncoded().where(vectors.c.tenant == tx.tenant, codeless).limit(_RECODED)
    while rows := tx.conn.execute(some).mappings().all():
        tx.conn.execute(sa.insert(code_rows), [{**row, "code": _code(row["vector"])} for row in rows])
    renew(tx)


def encode(tx: Tx, space: str, ns: Sequence[int]) -> None:
    """These vectors, which have no code, have theirs; copies in memory learn of it by `renew`."""
    for part in parts(ns):
        here = vectors.c.tenant == tx.tenant, vectors.c.space == space, vectors.c.n.in_(part)
        rows = tx.conn.execute(_uncoded().where(*here)).mappings().all()
        if rows:
            tx.conn.execute(sa.insert(code_rows), [{**row, "code": _code(row["vector"])} for row in rows])


def renew(tx: Tx) -> None:
    """Every process reads the tenant's vectors anew before it searches them."""
    if counters.values(tx, ["vectors"]) != [0]:
        counters.bump(tx, "removals", copies.REMEMBERED + 1)


def matched() -> sa.ColumnElement[bool]:
    """A code is a vector's, both of one tenant."""
    return sa.and_(*(code_rows.c[name] == vectors.c[name] for name in ("space", "added", "n")))


def _uncoded() -> sa.Select[*tuple[Any, ...]]:
    """What a code is made of."""
    wanted = sa.select(vectors.c.tenant, vectors.c.space, vectors.c.added, vectors.c.vector, *_FILTERS)
    return wanted.join_from(vectors, chunks, sa.and_(chunks.c.tenant == vectors.c.tenant, chunks.c.n == vectors.c.n))


def _code(vector: bytes) -> bytes:
    return codes.encoded(np.frombuffer(vector, "<f4")[None]).tobytes()


def _tell(tx: Tx, gone: Collection[int]) -> None:
    """Copies learn which vectors went."""
    generation = counters.bump(tx, "removals")
    mine = removals.c.tenant == tx.tenant
    tx.conn.execute(sa.insert(removals), [{"tenant": tx.tenant, "generation": generation, "n": n} for n in gone])
    tx.conn.execute(removals.delete().where(mine, removals.c.generation <= generation - copies.REMEMBERED))
