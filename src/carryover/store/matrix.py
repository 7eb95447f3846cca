"""A tenant's vectors in memory, as one-bit codes and perhaps in full, with what a search filters by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carryover.core.chunk import CHUNK_KINDS
from carryover.store import codes
from carryover.store.dialect import Bounds

_KINDS = {kind: code for code, kind in enumerate(CHUNK_KINDS)}


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
        return sum(column.nbytes for column in self._columns())

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
        ends = np.concatenate((self.n[-1:], added[0]))
        grown._ascending = self._ascending and bool((ends[1:] > ends[:-1]).all())
        return grown

    def without(self, ns: NDArray[np.int64]) -> Matrix:
        """The rows of all other numbers."""
        gone = self.rows_of(ns)
        return self._like([np.delete(column[: self.size], gone, axis=0) for column in self._columns()])

    def coded(self) -> Matrix:
        """The same rows without their vectors."""
        return self._like(self._columns()[: 4 + len(self._words)], self.size)

    def admitted(self, bounds: Bounds) -> NDArray[np.intp]:
        """The positions of the rows inside the bounds."""
        mask = np.ones(self.size, np.bool_)
        if (bounds.agent, bounds.session, bounds.user) != (None, None, None):
            mask &= self._owners.admitted(bounds)[self._owner[: self.size]]
        if bounds.kinds is not None:
            mask &= np.isin(self._sort[: self.size] >> 1, [_KINDS[kind] for kind in bounds.kinds])
        if bounds.since is not None:
            mask &= self._created_at[: self.size] >= bounds.since
        if bounds.before is not None:
            mask &= self._created_at[: self.size] < bounds.before
        return np.flatnonzero(mask)

    def rows_of(self, ns: NDArray[np.int64]) -> NDArray[np.intp]:
        """The positions of those of the numbers that are here."""
        if self.size == 0:
            return np.empty(0, np.intp)
        order = None if self._ascending else np.argsort(self.n)
        at = np.searchsorted(self.n, ns, sorter=order).clip(max=self.size - 1)
        rows = at if order is None else order[at]
        return rows[self.n[rows] == ns]

    def scores(self, vector: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The inner products of these rows with the vector: cosines, as vectors have length 1. For a full matrix."""
        assert self._vectors is not None
        if rows.size == self.size:
            return self._vectors[: self.size] @ vector
        if rows.size * 4 > self.size:  # reading all is faster than picking many
            return (self._vectors[: self.size] @ vector)[rows]
        return self._vectors[rows] @ vector

    def distances(self, vector: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.uint16]:
        """In how many bits the codes of these rows differ from the vector's."""
        (code,) = codes.encoded(vector[None])
        if rows.size * 4 > self.size:
            found = codes.distances([column[: self.size] for column in self._words], code)
            return found if rows.size == self.size else found[rows]
        return codes.distances([column[rows] for column in self._words], code)

    def refined(self, vector: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """How well the codes of these rows fit the vector."""
        return codes.refined(np.stack([column[rows] for column in self._words], axis=1), vector)

    def best_of_sessions(self, scores: NDArray[np.float32], rows: NDArray[np.intp], of: int = 3) -> Sessions:
        """For each session of these rows the mean of its best scores (of as many as it has, where it has fewer)."""
        of_owner = self._owners.places()
        session = of_owner[self._owner[rows]]
        best = np.full((of, len(self._owners.sessions)), -np.inf, np.float32)
        left = scores.copy()
        for round in best:
            np.maximum.at(round, session, left)
            left[left == round[session]] = -np.inf  # equal scores in one session count once
        count = np.isfinite(best).sum(axis=0)
        means = np.where(np.isfinite(best), best, 0).sum(axis=0) / np.where(count, count, np.nan)
        return Sessions(self._owners.sessions, means)

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


class Sessions(Mapping[tuple[str, str], float]):
    """A number for each session; nothing is made of those that nobody asks about, which are most of many."""

    def __init__(self, places: Mapping[tuple[str, str], int], numbers: NDArray[np.float64]) -> None:
        self._places, self._numbers = places, numbers  # where a session has none, its place holds NaN
        self._held = numbers[np.isfinite(numbers)]

    def __getitem__(self, key: tuple[str, str]) -> float:
        place = self._places[key]
        if place >= self._numbers.size or np.isnan(self._numbers[place]):
            raise KeyError(key)
        return float(self._numbers[place])

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (key for key in list(self._places) if key in self)

    def __len__(self) -> int:
        return self._held.size

    def mean(self) -> float:
        return float(self._held.mean())

    def std(self) -> float:
        return float(self._held.std())


class _Owners:
    """Whose the chunks are, as numbers: one for each (agent, session, user). A number never changes its meaning."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str, str | None], int] = {}
        self.sessions: dict[tuple[str, str], int] = {}  # and their places
        self._places = np.empty(0, np.int32)

    def codes(self, agents: Sequence[str], sessions: Sequence[str], users: Sequence[str | None]) -> list[int]:
        """The numbers of these owners, handed out to those that have none."""
        known = self._codes
        for session in dict.fromkeys(zip(agents, sessions, strict=True)):
            self.sessions.setdefault(session, len(self.sessions))
        return [known.setdefault(owner, len(known)) for owner in zip(agents, sessions, users, strict=True)]

    def admitted(self, bounds: Bounds) -> NDArray[np.bool_]:
        """Which numbers are of the agent, the session and the user that the bounds name."""
        wanted = bounds.agent, bounds.session, bounds.user
        return np.array(
            [all(ask in (None, is_) for ask, is_ in zip(wanted, owner, strict=True)) for owner in list(self._codes)],
            np.bool_,
        )

    def places(self) -> NDArray[np.int32]:
        """For each owner's number the place of its session."""
        known = self._places  # read once: another thread may be at this, too
        if known.size < len(self._codes):
            new = list(self._codes)[known.size :]
            known = np.append(known, np.array([self.sessions[owner[:2]] for owner in new], np.int32))
            self._places = known
        return known


def _roomier(column: NDArray[Any], size: int, needed: int) -> NDArray[Any]:
    """A copy of the first `size` rows with room for `needed` rows and a quarter of them more."""
    wider = np.empty((needed + needed // 4, *column.shape[1:]), column.dtype)
    wider[:size] = column[:size]
    return wider
