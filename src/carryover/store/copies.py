"""What this process keeps of tenants' vectors in memory, always as the tables are now.

A copy follows the tables through two generations in `counters`: what a newer one added is read and appended, and what
a newer one removed is taken out. So other processes' writes are seen in the next search.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from weakref import WeakKeyDictionary

import numpy as np
import sqlalchemy as sa

from carryover.store import counters
from carryover.store.matrix import Matrix, Sample
from carryover.store.near import stored
from carryover.store.store import Tx
from carryover.store.tables import codes, removals, vectors

CACHE_BYTES = 1 << 30  # of all tenants' copies in this process; the one in use stays whatever its size
# Up to so many vectors a tenant's copy holds them in full and a search is exact; above, it holds one-bit codes.
FULL = 50_000
# Removals that are remembered, newest first. A copy that is further behind reads everything anew.
REMEMBERED = 1_000
# Of a copy that holds codes so many vectors are kept all the same: how scores lie is told by theirs.
SAMPLE = 1_000


def current(tx: Tx, space: str) -> Matrix | None:
    """The tenant's vectors of the space, as the transaction sees them; None where there are none."""
    with _OPENING:
        cache = _CACHES.setdefault(tx.conn.engine, _Cache())
    matrix = cache.copy((tx.tenant, space)).follow(tx, space)
    cache.trim()
    return matrix


def held(engine: sa.Engine) -> dict[tuple[str, str], int]:
    """How many bytes this process holds in memory for each (tenant, space) of a database."""
    cache = _CACHES.get(engine)
    return {} if cache is None else cache.sizes()


class _Cache:
    """The copies of one database that were used last."""

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
    """One tenant's vectors in one space, and the generations that it has seen."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.added = self.removed = 0
        self.matrix: Matrix | None = None

    @property
    def nbytes(self) -> int:
        return 0 if self.matrix is None else self.matrix.nbytes

    def follow(self, tx: Tx, space: str) -> Matrix | None:
        """Brings the copy up to the transaction's view of the tables."""
        added, removed, chunks = counters.values(tx, ("vectors", "removals", "chunks"))
        with self.lock:
            # A view that is older than the copy is served the copy: what it shows more has no chunk in that view.
            if removed > self.removed + REMEMBERED:
                self.matrix, self.added = None, 0
            elif removed > self.removed and self.matrix is not None:
                self.matrix = self.matrix.without(_removed(tx, self.removed))
            if chunks > FULL and self.matrix is not None and self.matrix.full:
                self.matrix = self.matrix.coded()
            if added > self.added:
                self.matrix = _read(tx, space, self.added, self.matrix, full=chunks <= FULL)
            if self.matrix is not None and not self.matrix.full:
                _sample(tx, space, self.matrix)
            self.added, self.removed = max(added, self.added), max(removed, self.removed)
            return self.matrix


_CACHES: WeakKeyDictionary[sa.Engine, _Cache] = WeakKeyDictionary()
_OPENING = threading.Lock()


def _removed(tx: Tx, after: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    gone = sa.select(removals.c.n).where(removals.c.tenant == tx.tenant, removals.c.generation > after)
    return np.fromiter(tx.conn.execute(gone).scalars(), np.int64)


def _read(tx: Tx, space: str, after: int, matrix: Matrix | None, *, full: bool) -> Matrix | None:
    here = vectors.c.tenant == tx.tenant, vectors.c.space == space
    if matrix is None:
        one = tx.conn.execute(sa.select(vectors.c.vector).where(*here).limit(1)).scalar()
        if one is None:
            return None
        matrix = Matrix(len(one) // 4, full=full)
    columns = codes.c.n, codes.c.code, codes.c.agent, codes.c.session, codes.c.user, codes.c.kind, codes.c.role
    wanted = sa.select(*columns, codes.c.created_at)
    if matrix.full:
        wanted = wanted.add_columns(vectors.c.vector).join_from(
            codes, vectors, sa.and_(*here, vectors.c.n == codes.c.n)
        )
    wanted = wanted.where(codes.c.tenant == tx.tenant, codes.c.space == space, codes.c.added > after)
    ordered = wanted.order_by(codes.c.added, codes.c.n).execution_options(yield_per=8192)
    for rows in tx.conn.execute(ordered).partitions():
        if after:  # a vector that was lost and made again takes the place of the one that the copy has
            anew = np.array([row.n for row in rows], np.int64)
            matrix = matrix.without(anew) if matrix.rows_of(anew).size else matrix
        matrix = matrix.extended(rows)
    return matrix


def _sample(tx: Tx, space: str, matrix: Matrix) -> None:
    """The matrix has vectors of some of its rows, drawn anew once it has twice as many."""
    if matrix.size == 0 or (matrix.sample is not None and matrix.size < 2 * matrix.sample.rows):
        return
    drawn = np.random.default_rng(0).choice(matrix.size, min(SAMPLE, matrix.size), replace=False)
    found, rows = stored(tx, space, np.sort(matrix.n[drawn]).tolist())
    order = np.argsort(found)
    matrix.sample = Sample(np.array(found, np.int64)[order], rows[order], matrix.size)
