"""Vectors: float32 rows, searched over a copy of the tenant's vectors in memory (`copies.py`).

A copy of few vectors holds them in full and is searched exactly. A copy of many holds one bit for each of their
numbers: the best by their codes are read from the table and scored exactly, all others are estimated.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from carryover.core.ports import Vector
from carryover.store import codes, copies, counters, pgvector
from carryover.store.dialect import Bounds
from carryover.store.matrix import Matrix
from carryover.store.near import Among, Nearest, exact_scores
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import chunks, removals, vectors
from carryover.store.tables import codes as code_rows

# Of a search in codes: so many times as many as are wanted are scored exactly, and so many at least; before that, so
# many times more are put in order by a finer reading of their codes; and so many of all are read to learn how
# distances and scores hang together.
_EXACT, _FEWEST, _FINER, _SAMPLE = 2, 100, 4, 256
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
    if pgvector.serves(tx):
        pgvector.follow(tx, space)
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
        _tell(tx, {row.n for row in found})
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
    if pgvector.serves(tx):
        return pgvector.nearest(tx, space, np.asarray(vector, np.float32), bounds, k)
    matrix = copies.current(tx, space)
    if matrix is None or matrix.dim != len(vector):
        return None
    rows = matrix.admitted(bounds)
    if rows.size == 0:
        return None
    query = np.asarray(vector, np.float32)
    users = matrix.is_user[rows]
    groups = np.flatnonzero(users), np.flatnonzero(~users)
    scored = _scored(matrix, query, rows) if matrix.full else _estimated(tx, space, matrix, query, rows, groups, k)
    top: dict[int, float] = {}
    for group in groups:
        exact = group if scored.exact is None else group[scored.exact[group]]
        found = scored.scores[exact]
        best = np.argpartition(-found, k)[:k] if exact.size > k else slice(None)
        top |= dict(zip(matrix.n[rows[exact[best]]].tolist(), found[best].tolist(), strict=True))
    sessions = matrix.best_of_sessions(scored.scores, rows)
    among = Among(len(sessions), sessions.mean(), sessions.std())
    return Nearest(top, int(rows.size), scored.mean, scored.std, sessions, among)


def scores(tx: Tx, space: str, vector: Vector, ns: Collection[int]) -> dict[int, float]:
    """The scores of these chunks, as far as they have vectors."""
    query = np.asarray(vector, np.float32)
    if pgvector.serves(tx):
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
    keys = vectors.c.tenant, vectors.c.space, vectors.c.added, vectors.c.vector
    wanted = sa.select(*keys, *_FILTERS).join_from(
        vectors, chunks, sa.and_(chunks.c.tenant == vectors.c.tenant, chunks.c.n == vectors.c.n)
    )
    some = wanted.where(vectors.c.tenant == tx.tenant, codeless).limit(_RECODED)
    while rows := tx.conn.execute(some).mappings().all():
        tx.conn.execute(sa.insert(code_rows), [{**row, "code": _code(row["vector"])} for row in rows])
    if counters.values(tx, ["vectors"]) != [0]:
        counters.bump(tx, "removals", copies.REMEMBERED + 1)


def matched() -> sa.ColumnElement[bool]:
    """A code is a vector's, both of one tenant."""
    return sa.and_(*(code_rows.c[name] == vectors.c[name] for name in ("space", "added", "n")))


def _code(vector: bytes) -> bytes:
    return codes.encoded(np.frombuffer(vector, "<f4")[None]).tobytes()


@dataclass(frozen=True, slots=True)
class _Scored:
    """The scores of all admitted rows, and which of them are exact (None: all)."""

    scores: NDArray[np.float32]
    mean: float
    std: float
    exact: NDArray[np.bool_] | None = None


def _scored(matrix: Matrix, query: NDArray[np.float32], rows: NDArray[np.intp]) -> _Scored:
    found = matrix.scores(query, rows)
    return _Scored(found, float(found.mean()), float(found.std()))


def _estimated(
    tx: Tx,
    space: str,
    matrix: Matrix,
    query: NDArray[np.float32],
    rows: NDArray[np.intp],
    groups: Sequence[NDArray[np.intp]],
    k: int,
) -> _Scored:
    """The best of each group exactly; all others such that mean and deviation of the whole are right."""
    distances = matrix.distances(query, rows)
    sample = np.linspace(0, rows.size - 1, _SAMPLE).astype(np.intp)
    read = np.unique(np.concatenate([sample, *(_nearby(matrix, query, rows, distances, group, k) for group in groups)]))
    ns = matrix.n[rows[read]].tolist()
    found = exact_scores(tx, space, query, ns)
    exact = np.zeros(rows.size, np.bool_)
    exact[read] = [n in found for n in ns]
    scores = np.zeros(rows.size, np.float32)
    scores[exact] = [found[n] for n in ns if n in found]
    if exact.all():
        return _Scored(scores, float(scores.mean()), float(scores.std()), exact)
    known = sample[exact[sample]]
    mean, std = _spread(distances, distances[known].astype(np.float32), scores[known])
    # Stretched to the true deviation: a straight fit would draw all that is estimated towards the mean, and with it
    # the sessions that hold nothing exact.
    away = distances.std() or 1.0
    estimates = (mean + (distances.mean() - distances.astype(np.float32)) * (std / away)).astype(np.float32)
    return _Scored(np.where(exact, scores, estimates), mean, std, exact)


def _nearby(
    matrix: Matrix,
    query: NDArray[np.float32],
    rows: NDArray[np.intp],
    distances: NDArray[np.uint16],
    group: NDArray[np.intp],
    k: int,
) -> NDArray[np.intp]:
    """Those of the group that are worth an exact score."""
    wanted = max(int(_EXACT * k), _FEWEST)
    near = group[codes.lowest(distances[group], wanted * _FINER)]
    if near.size <= wanted:
        return near
    return near[np.argpartition(-matrix.refined(query, rows[near]), wanted)[:wanted]]


def _spread(
    distances: NDArray[np.uint16], of_known: NDArray[np.float32], known: NDArray[np.float32]
) -> tuple[float, float]:
    """Mean and standard deviation of all scores, from those that are known and the distances of all.

    What is known is a small sample; how its distances differ from all distances tells how its scores do.
    """
    if known.size == 0:
        return 0.0, 0.0
    away = of_known - of_known.mean()
    slope = float(away @ (known - known.mean())) / (float(away @ away) or 1.0)
    rest = known - known.mean() - slope * away
    mean = float(known.mean()) + slope * float(distances.mean() - of_known.mean())
    return mean, float(np.sqrt(slope**2 * distances.var() + rest.var()))


def _tell(tx: Tx, gone: Collection[int]) -> None:
    """Copies learn which vectors went."""
    generation = counters.bump(tx, "removals")
    mine = removals.c.tenant == tx.tenant
    tx.conn.execute(sa.insert(removals), [{"tenant": tx.tenant, "generation": generation, "n": n} for n in gone])
    tx.conn.execute(removals.delete().where(mine, removals.c.generation <= generation - copies.REMEMBERED))
