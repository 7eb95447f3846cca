"""A tenant's vectors in memory, as one-bit codes and perhaps in full, with what a search filters by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from carryover.core.chunk import CHUNK_KINDS
from carryover.store import codes
from carryover.store.bests import Groups, Sessions
from carryover.store.dialect import Bounds

Name = TypeVar("Name")
# Positions of rows; a slice where they are all of them.
Rows = NDArray[np.intp] | slice
_LATER = 16  # sessions are sorted anew once so many'th of the rows came behind them
_KINDS = {kind: code for code, kind in enumerate(CHUNK_KINDS)}


@dataclass(frozen=True, slots=True)
class Sample:
    """Vectors of some rows in the order of their numbers, drawn when there were `rows` of them."""

    n: NDArray[np.int64]
    vectors: NDArray[np.float32]
    rows: int

    @property
    def nbytes(self) -> int:
        return self.n.nbytes + self.vectors.nbytes

    def without(self, ns: NDArray[np.int64]) -> Sample:
        left = ~np.isin(self.n, ns)
        return Sample(self.n[left], self.vectors[left], self.rows)


class Matrix:
    """Rows of codes and of their chunks' data; with `full` the vectors themselves, too.

    A matrix never changes under its reader: growing writes behind the rows that an older one shows, and what is
    taken out leaves a new matrix.
    """

    def __init__(self, dim: int, *, full: bool) -> None:
        self.dim = dim
        self.size = 0
        self._ascending = True  # whether the numbers are in order, as they are where one writer hands them out
        self._owners = _Owners()  # shared by all that grew from one matrix
        words = -(-dim // 64)
        self._n = np.empty(0, np.int64)
        self._owner = np.empty(0, np.int32)
        self._sort = np.empty(0, np.uint8)  # kind and role
        self._created_at = np.empty(0, np.int64)
        self._words = [np.empty(0, np.uint64) for _ in range(words)]
        self._vectors = np.empty((0, dim), np.float32) if full else None
        self._groups: Groups | None = None  # of all rows, once they were asked for
        self.sample: Sample | None = None  # for a matrix that holds no vectors

    @property
    def n(self) -> NDArray[np.int64]:
        return self._n[: self.size]

    @property
    def is_user(self) -> NDArray[np.bool_]:
        return (self._sort[: self.size] & 1).astype(np.bool_)

    @property
    def full(self) -> bool:
        return self._vectors is not None

    @property
    def nbytes(self) -> int:
        more = (0 if part is None else part.nbytes for part in (self._groups, self.sample))
        return sum(column.nbytes for column in self._columns()) + sum(more)

    def extended(self, rows: Sequence[Any]) -> Matrix:
        """With these rows behind it: n, code, agent, session, user, kind, role, created_at, and the vector if full."""
        numbers, bits, agents, names, users, kinds, roles, times, *vectors = zip(*rows, strict=True)
        words = np.frombuffer(b"".join(bits), np.uint64).reshape(len(rows), -1)
        added: list[Any] = [
            np.array(numbers, np.int64),
            self._owners.codes(agents, names, users),
            [_KINDS[kind] << 1 | (role == "user") for kind, role in zip(kinds, roles, strict=True)],
            times,
            *words.T,
            *(np.frombuffer(b"".join(of), "<f4").reshape(len(rows), self.dim) for of in vectors),
        ]
        size = self.size + len(rows)
        columns = self._columns()
        if size > len(self._n):
            columns = [_roomier(column, self.size, size) for column in columns]
        for column, new in zip(columns, added, strict=True):
            column[self.size : size] = new
        grown = self._like(columns, size)
        grown._groups, grown.sample = self._groups, self.sample
        ends = np.concatenate((self.n[-1:], added[0]))
        grown._ascending = self._ascending and bool((ends[1:] > ends[:-1]).all())
        return grown

    def without(self, ns: NDArray[np.int64]) -> Matrix:
        """The rows of all other numbers."""
        gone = self.rows_of(ns)
        other = self._like([np.delete(column[: self.size], gone, axis=0) for column in self._columns()])
        other.sample = None if self.sample is None else self.sample.without(ns)
        return other

    def coded(self) -> Matrix:
        """The same rows without their vectors."""
        return self._like(self._columns()[: 4 + len(self._words)], self.size)

    def admitted(self, bounds: Bounds) -> Rows:
        """The positions of the rows inside the bounds."""
        tests: list[NDArray[np.bool_]] = []
        if (bounds.agent, bounds.session, bounds.user) != (None, None, None):
            tests.append(self._owners.admitted(bounds).take(self._owner[: self.size]))
        if bounds.kinds is not None:
            tests.append(np.isin(self._sort[: self.size] >> 1, [_KINDS[kind] for kind in bounds.kinds]))
        if bounds.since is not None:
            tests.append(self._created_at[: self.size] >= bounds.since)
        if bounds.before is not None:
            tests.append(self._created_at[: self.size] < bounds.before)
        return np.logical_and.reduce(tests).nonzero()[0] if tests else slice(0, self.size)

    def rows_of(self, ns: NDArray[np.int64]) -> NDArray[np.intp]:
        """The positions of those of the numbers that are here."""
        if self.size == 0:
            return np.empty(0, np.intp)
        order = None if self._ascending else np.argsort(self.n)
        at = np.searchsorted(self.n, ns, sorter=order).clip(max=self.size - 1)
        rows = at if order is None else order[at]
        return rows[self.n[rows] == ns]

    def scores(self, vector: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
        """The inner products of these rows with the vector: cosines, as vectors have length 1. For a full matrix."""
        assert self._vectors is not None
        if isinstance(rows, slice):
            return self._vectors[rows] @ vector
        if rows.size * 4 > self.size:  # reading all is faster than picking many
            return (self._vectors[: self.size] @ vector)[rows]
        return self._vectors[rows] @ vector

    def distances(self, vector: NDArray[np.float32], rows: Rows) -> NDArray[np.uint16]:
        """In how many bits the codes of these rows differ from the vector's."""
        (code,) = codes.encoded(vector[None])
        if isinstance(rows, slice):
            return codes.distances([column[rows] for column in self._words], code)
        if rows.size * 4 > self.size:
            return codes.distances([column[: self.size] for column in self._words], code)[rows]
        return codes.distances([column[rows] for column in self._words], code)

    def refined(self, vector: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """How well the codes of these rows fit the vector."""
        return codes.refined(np.stack([column[rows] for column in self._words], axis=1), vector)

    def sessions(self, rows: Rows, scores: Callable[[NDArray[np.intp]], NDArray[np.float32]]) -> Sessions:
        """The best scores of each session among these rows; `scores` is asked for them by positions in `rows`."""
        if not isinstance(rows, slice):
            groups = Groups.of(self._owners.places().take(self._owner[rows]))
        else:
            groups = self._groups = self._grouped()
        return Sessions(self._owners.sessions, groups, scores)

    def _grouped(self) -> Groups:
        """All rows; sorted anew once many came behind those that are."""
        known = self._groups
        done = 0 if known is None else known.order.size
        if known is None or self.size - done > done // _LATER:
            return Groups.of(self._owners.places().take(self._owner[: self.size]))
        return known.and_later(self._owners.places().take(self._owner[done : self.size]))

    def _columns(self) -> list[NDArray[Any]]:
        full = [] if self._vectors is None else [self._vectors]
        return [self._n, self._owner, self._sort, self._created_at, *self._words, *full]

    def _like(self, columns: Sequence[NDArray[Any]], size: int | None = None) -> Matrix:
        words = len(self._words)
        other = Matrix(self.dim, full=len(columns) > 4 + words)
        other._ascending, other._owners = self._ascending, self._owners
        other._n, other._owner, other._sort, other._created_at = columns[:4]
        other._words = list(columns[4 : 4 + words])
        other._vectors = columns[-1] if other.full else None
        other.size = len(other._n) if size is None else size
        return other


class _Owners:
    """Whose the chunks are, as numbers: one for each (agent, session, user). A number never changes its meaning."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str, str | None], int] = {}
        self.sessions: dict[tuple[str, str], int] = {}  # and their places
        self._agents: dict[str, int] = {}
        self._users: dict[str | None, int] = {}
        self._table = np.empty((0, 3), np.int32)

    def codes(self, agents: Sequence[str], sessions: Sequence[str], users: Sequence[str | None]) -> list[int]:
        """The numbers of these owners, handed out to those that have none."""
        known = self._codes
        _number(self.sessions, zip(agents, sessions, strict=True))
        _number(self._agents, agents)
        _number(self._users, users)
        return [known.setdefault(owner, len(known)) for owner in zip(agents, sessions, users, strict=True)]

    def admitted(self, bounds: Bounds) -> NDArray[np.bool_]:
        """Which numbers are of the agent, the session and the user that the bounds name."""
        table = self._followed()
        admitted = np.ones(len(table), np.bool_)
        if bounds.session is not None:
            named = [self.sessions.get((agent, bounds.session)) for agent in list(self._agents)]
            admitted &= np.isin(table[:, 0], [place for place in named if place is not None])
        if bounds.agent is not None:
            admitted &= table[:, 1] == self._agents.get(bounds.agent, -1)
        if bounds.user is not None:
            admitted &= table[:, 2] == self._users.get(bounds.user, -1)
        return admitted

    def places(self) -> NDArray[np.int32]:
        """For each owner's number the place of its session."""
        return self._followed()[:, 0]

    def _followed(self) -> NDArray[np.int32]:
        """For each owner's number the numbers of its session, its agent and its user."""
        known = self._table  # read once: another thread may be at this, too
        new = list(self._codes)[len(known) :] if len(known) < len(self._codes) else []
        if new:
            rows = [
                (self.sessions[agent, session], self._agents[agent], self._users[user]) for agent, session, user in new
            ]
            self._table = known = np.concatenate((known, np.array(rows, np.int32)))
        return known


def _number(known: dict[Name, int], names: Iterable[Name]) -> None:
    """Each of the names has a number."""
    for name in dict.fromkeys(names):
        known.setdefault(name, len(known))


def _roomier(column: NDArray[Any], size: int, needed: int) -> NDArray[Any]:
    """A copy of the first `size` rows with room for `needed` rows and a quarter of them more."""
    wider = np.empty((needed + needed // 4, *column.shape[1:]), column.dtype)
    wider[:size] = column[:size]
    return wider
