"""Vectors: float32 rows, searched exactly over a copy of the tenant's matrix in memory.

The copy follows the table through two generations in `counters`: rows of a newer generation are appended to it,
and after a removal it is compared with the table. So other processes' writes are seen in the next search.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import sqlalchemy as sa

from carryover.core.ports import Vector
from carryover.store import counters
from carryover.store.dialect import Bounds
from carryover.store.matrix import Matrix
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import chunks, vectors

CACHE_BYTES = 1 << 30  # of all tenants' matrices in this process; the one in use stays whatever its size
_GENERATIONS = ("vectors", "removals")


@dataclass(frozen=True, slots=True)
class Nearest:
    """The best of the admitted vectors, and what is needed to compare their scores with others.

    `mean` and `std` are of the scores of all `admitted` vectors; `sessions` holds for each (agent, session) the
    mean of its three best scores.
    """

    top: dict[int, float]
    admitted: int
    mean: float
    std: float
    sessions: dict[tuple[str, str], float]


def add(tx: Tx, space: str, rows: Sequence[tuple[int, Vector]]) -> int:
    """Each chunk has its vector, as far as the chunk still exists; how many do."""
    kept: set[int] = set()
    for part in parts([n for n, _ in rows]):
        kept |= set(
            tx.conn.execute(sa.select(chunks.c.n).where(chunks.c.tenant == tx.tenant, chunks.c.n.in_(part))).scalars()
        )
    alive = [(n, vector) for n, vector in rows if n in kept]
    if not alive:
        return 0
    added = counters.bump(tx, "vectors")
    new = tx.insert(vectors).on_conflict_do_nothing(index_elements=["tenant", "space", "n"])
    tx.conn.execute(
        new,
        [
            {
                "tenant": tx.tenant,
                "space": space,
                "n": n,
                "added": added,
                "vector": np.asarray(vector, dtype="<f4").tobytes(),
            }
            for n, vector in alive
        ],
    )
    return len(alive)


def remove(tx: Tx, ns: Sequence[int]) -> int:
    """These chunks have no vector in any space any more; how many rows went."""
    gone = 0
    named = spaces(tx)  # the space comes before the number in the key: naming all of them lets the key be used
    for part in parts(ns):
        here = vectors.c.tenant == tx.tenant, vectors.c.space.in_(named), vectors.c.n.in_(part)
        gone += tx.conn.execute(vectors.delete().where(*here)).rowcount
    if gone:
        counters.bump(tx, "removals")
    return gone


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
    matrix = _current(tx, space)
    if matrix is None or matrix.dim != len(vector):
        return None
    rows = matrix.admitted(bounds)
    if rows.size == 0:
        return None
    scores = matrix.scores(np.asarray(vector, np.float32), rows)
    top: dict[int, float] = {}
    users = matrix.is_user[rows]
    for group in (np.flatnonzero(users), np.flatnonzero(~users)):
        best = group[np.argpartition(-scores[group], k)[:k]] if group.size > k else group
        top |= dict(zip(matrix.n[rows[best]].tolist(), scores[best].tolist(), strict=True))
    return Nearest(
        top=top,
        admitted=int(rows.size),
        mean=float(scores.mean()),
        std=float(scores.std()),
        sessions=matrix.best_of_sessions(scores, rows),
    )


def scores(tx: Tx, space: str, vector: Vector, ns: Collection[int]) -> dict[int, float]:
    """The scores of these chunks, as far as they have vectors."""
    matrix = _current(tx, space)
    if matrix is None or matrix.dim != len(vector):
        return {}
    rows = matrix.rows_of(np.asarray(sorted(ns), np.int64))
    found = matrix.scores(np.asarray(vector, np.float32), rows)
    return dict(zip(matrix.n[rows].tolist(), found.tolist(), strict=True))


def held(engine: sa.Engine) -> dict[tuple[str, str], int]:
    """How many bytes this process holds in memory for each (tenant, space) of a database."""
    cache = _CACHES.get(engine)
    return {} if cache is None else cache.sizes()


class _Cache:
    """The matrices of one database that were used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, str], _Copy] = OrderedDict()

    def copy(self, key: tuple[str, str]) -> _Copy:
        with self._lock:
            copy = self._held.setdefault(key, _Copy())
            self._held.move_to_end(key)
            return copy

    def sizes(self) -> dict[tuple[str, str], int]:
        with self._lock:
            return {key: copy.nbytes for key, copy in self._held.items()}

    def trim(self) -> None:
        with self._lock:
            total = sum(copy.nbytes for copy in self._held.values())
            while total > CACHE_BYTES and len(self._held) > 1:
                _, oldest = self._held.popitem(last=False)
                total -= oldest.nbytes


class _Copy:
    """One tenant's matrix in one space, and the generations that it has seen."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen = (0, 0)
        self.matrix: Matrix | None = None

    @property
    def nbytes(self) -> int:
        return 0 if self.matrix is None else self.matrix.nbytes

    def follow(self, tx: Tx, space: str) -> Matrix | None:
        """Brings the copy up to the transaction's view of the table."""
        added, removed = counters.values(tx, _GENERATIONS)
        with self.lock:
            # A view that is older than the copy is served the copy: what it shows more has no chunk in that view.
            if removed > self.seen[1] and self.matrix is not None:
                live = sa.select(vectors.c.n).where(vectors.c.tenant == tx.tenant, vectors.c.space == space)
                self.matrix = self.matrix.keeping(np.fromiter(tx.conn.execute(live).scalars(), np.int64))
            if added > self.seen[0]:
                self.matrix = _read(tx, space, self.seen[0], self.matrix)
            self.seen = max(added, self.seen[0]), max(removed, self.seen[1])
            return self.matrix


_CACHES: WeakKeyDictionary[sa.Engine, _Cache] = WeakKeyDictionary()
_OPENING = threading.Lock()


def _current(tx: Tx, space: str) -> Matrix | None:
    with _OPENING:
        cache = _CACHES.setdefault(tx.conn.engine, _Cache())
    matrix = cache.copy((tx.tenant, space)).follow(tx, space)
    cache.trim()
    return matrix


def _read(tx: Tx, space: str, after: int, matrix: Matrix | None) -> Matrix | None:
    wanted = (
        sa.select(
            vectors.c.n,
            chunks.c.agent,
            chunks.c.session,
            chunks.c.user,
            chunks.c.kind,
            chunks.c.role,
            chunks.c.created_at,
            vectors.c.vector,
        )
        .join_from(vectors, chunks, sa.and_(chunks.c.tenant == vectors.c.tenant, chunks.c.n == vectors.c.n))
        .where(vectors.c.tenant == tx.tenant, vectors.c.space == space, vectors.c.added > after)
        .order_by(vectors.c.added, vectors.c.n)
        .execution_options(yield_per=4096)
    )
    for rows in tx.conn.execute(wanted).partitions():
        matrix = matrix or Matrix(len(rows[0].vector) // 4)
        matrix = matrix.extended(rows)
    return matrix
