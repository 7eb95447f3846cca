"""A tenant's vectors in memory, with what a search filters by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carryover.core.chunk import CHUNK_KINDS
from carryover.store.dialect import Bounds

_DATA = np.dtype(
    [
        ("n", "<i8"),
        ("agent", "<i4"),
        ("session", "<i4"),
        ("user", "<i4"),
        ("kind", "<i1"),
        ("is_user", "?"),
        ("created_at", "<i8"),
    ]
)
_NOBODY, _UNKNOWN = -1, -2  # chunks of sessions that name no user; a name that no row has
_KINDS = {kind: code for code, kind in enumerate(CHUNK_KINDS)}


class Matrix:
    """Rows of vectors and of their chunks' data.

    A matrix never changes under its reader: growing writes behind the rows that an older one shows, and what is
    taken out leaves a new matrix.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._size = 0
        self._vectors = np.empty((0, dim), np.float32)
        self._data = np.empty(0, _DATA)
        self._ascending = True  # whether the numbers are in order, as they are where one writer hands them out
        # Names as numbers; shared by all that grew from one matrix, where a number never changes its meaning.
        self._codes: dict[tuple[str, ...], int] = {}
        self._sessions: list[tuple[str, str]] = []

    @property
    def n(self) -> NDArray[np.int64]:
        return self._data["n"][: self._size]

    @property
    def is_user(self) -> NDArray[np.bool_]:
        return self._data["is_user"][: self._size]

    @property
    def nbytes(self) -> int:
        return self._vectors.nbytes + self._data.nbytes

    def extended(self, rows: Sequence[Any]) -> Matrix:
        """With these rows behind it: n, agent, session, user, kind, role, created_at, vector."""
        data = np.array([self._coded(row) for row in rows], _DATA)
        block = np.frombuffer(b"".join(row.vector for row in rows), "<f4").reshape(len(rows), self.dim)
        size = self._size + len(rows)
        grown = self._like(size)
        grown._vectors, grown._data = self._vectors, self._data
        numbers = np.concatenate((self.n[-1:], data["n"]))
        grown._ascending = self._ascending and bool((numbers[1:] > numbers[:-1]).all())
        if size > len(self._data):
            room = max(size, 2 * self._size)
            grown._vectors = np.empty((room, self.dim), np.float32)
            grown._data = np.empty(room, _DATA)
            grown._vectors[: self._size] = self._vectors[: self._size]
            grown._data[: self._size] = self._data[: self._size]
        grown._vectors[self._size : size] = block
        grown._data[self._size : size] = data
        return grown

    def keeping(self, ns: NDArray[np.int64]) -> Matrix:
        """Only the rows of these numbers."""
        stays = np.isin(self.n, ns)
        kept = self._like(int(stays.sum()))
        kept._ascending = self._ascending
        kept._vectors = self._vectors[: self._size][stays]
        kept._data = self._data[: self._size][stays]
        return kept

    def admitted(self, bounds: Bounds) -> NDArray[np.intp]:
        """The positions of the rows inside the bounds."""
        data = self._data[: self._size]
        mask = np.ones(self._size, np.bool_)
        if bounds.agent is not None:
            mask &= data["agent"] == self._codes.get(("agent", bounds.agent), _UNKNOWN)
        if bounds.user is not None:
            mask &= data["user"] == self._codes.get(("user", bounds.user), _UNKNOWN)
        if bounds.session is not None:
            mask &= np.isin(
                data["session"], [i for i, (_, name) in enumerate(self._sessions) if name == bounds.session]
            )
        if bounds.kinds is not None:
            mask &= np.isin(data["kind"], [_KINDS[kind] for kind in bounds.kinds])
        if bounds.since is not None:
            mask &= data["created_at"] >= bounds.since
        if bounds.before is not None:
            mask &= data["created_at"] < bounds.before
        return np.flatnonzero(mask)

    def rows_of(self, ns: NDArray[np.int64]) -> NDArray[np.intp]:
        """The positions of those of the numbers that are here."""
        if self._size == 0:
            return np.empty(0, np.intp)
        order = None if self._ascending else np.argsort(self.n)
        at = np.searchsorted(self.n, ns, sorter=order).clip(max=self._size - 1)
        rows = at if order is None else order[at]
        return rows[self.n[rows] == ns]

    def scores(self, vector: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The inner products of these rows with the vector: cosines, as vectors have length 1."""
        if rows.size == self._size:
            return self._vectors[: self._size] @ vector
        if rows.size * 4 > self._size:  # reading all is faster than picking many
            return (self._vectors[: self._size] @ vector)[rows]
        return self._vectors[rows] @ vector

    def best_of_sessions(
        self, scores: NDArray[np.float32], rows: NDArray[np.intp], of: int = 3
    ) -> dict[tuple[str, str], float]:
        """For each session of these rows the mean of its best scores (of as many as it has, where it has fewer)."""
        session = self._data["session"][rows]
        best = np.full((of, len(self._sessions)), -np.inf, np.float32)
        left = scores.copy()
        for round in best:
            np.maximum.at(round, session, left)
            left[left == round[session]] = -np.inf  # equal scores in one session count once
        count = np.isfinite(best).sum(axis=0)
        held = np.flatnonzero(count)
        means = np.where(np.isfinite(best), best, 0).sum(axis=0)[held] / count[held]
        return {self._sessions[code]: mean for code, mean in zip(held.tolist(), means.tolist(), strict=True)}

    def _like(self, size: int) -> Matrix:
        other = Matrix(self.dim)
        other._size, other._codes, other._sessions = size, self._codes, self._sessions
        return other

    def _coded(self, row: Any) -> tuple[int, int, int, int, int, bool, int]:
        key = ("session", row.agent, row.session)
        session = self._codes.get(key)
        if session is None:
            session = self._codes[key] = len(self._sessions)
            self._sessions.append((row.agent, row.session))
        user = _NOBODY if row.user is None else self._code("user", row.user)
        return (
            row.n,
            self._code("agent", row.agent),
            session,
            user,
            _KINDS[row.kind],
            row.role == "user",
            row.created_at,
        )

    def _code(self, *name: str) -> int:
        return self._codes.setdefault(name, len(self._codes))
