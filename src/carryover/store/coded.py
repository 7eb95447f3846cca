"""A search among one-bit codes: the best by their codes are scored exactly, all others are estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carryover.store import codes
from carryover.store.matrix import Matrix, Rows
from carryover.store.near import Nearest, exact_scores
from carryover.store.store import Tx

# So many times as many as are wanted are scored exactly, and so many at least; before that, so many times more are
# put in order by a finer reading of their codes.
_EXACT, _FEWEST, _FINER = 1.25, 100, 16
_SAMPLE = 256  # exact scores that tell at least how distances and scores hang together
_COUNTED = 100_000  # distances that mean and deviation are taken of
_LOOKED_AT = 20_000  # rows whose sessions tell how those of all lie


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query, and the rows of the matrix that it is about."""

    tx: Tx
    space: str
    matrix: Matrix
    query: NDArray[np.float32]
    rows: Rows

    def of_matrix(self, at: NDArray[np.intp]) -> NDArray[np.intp]:
        """Where in the matrix these positions of `rows` are."""
        return at if isinstance(self.rows, slice) else self.rows[at]

    def among_rows(self, at: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Where in `rows` these positions of the matrix are, and which of them are there."""
        if isinstance(self.rows, slice):
            return at, np.ones(at.size, np.bool_)
        found = np.searchsorted(self.rows, at).clip(max=self.rows.size - 1)
        return found, self.rows[found] == at


@dataclass(frozen=True, slots=True)
class _Scored:
    """Positions and their exact scores."""

    at: NDArray[np.intp]
    scores: NDArray[np.float32]

    def best(self, k: int) -> _Scored:
        first = np.argsort(-self.scores, kind="stable")[:k]
        return _Scored(self.at[first], self.scores[first])


def nearest(tx: Tx, space: str, matrix: Matrix, query: NDArray[np.float32], rows: Rows, k: int) -> Nearest:
    """The best `k` of users' chunks and of all others among these rows, of which there is one at least."""
    asked = _Asked(tx, space, matrix, query, rows)
    distances = matrix.distances(query, rows)
    users = matrix.is_user[rows]
    near = [_read(asked, _nearby(asked, distances, group, k)) for group in (users, ~users)]
    sample = _sampled(asked, distances.size)
    exact = _together([*near, sample])
    if exact.at.size == distances.size:
        mean, std = float(exact.scores.mean()), float(exact.scores.std())
    else:
        mean, std = _spread(distances, sample)
    sessions = matrix.sessions(rows, _Estimates(distances, exact, mean, std).scores)
    best = _together([group.best(k) for group in near])
    top = dict(zip(matrix.n[asked.of_matrix(best.at)].tolist(), best.scores.tolist(), strict=True))
    return Nearest(top, distances.size, mean, std, sessions, sessions.among(_LOOKED_AT))


def _nearby(asked: _Asked, distances: NDArray[np.uint16], group: NDArray[np.bool_], k: int) -> NDArray[np.intp]:
    """Those of the group that are worth an exact score."""
    wanted = max(int(_EXACT * k), _FEWEST)
    near = codes.lowest(distances, group, wanted * _FINER)
    if near.size <= wanted:
        return near
    return near[np.argpartition(-asked.matrix.refined(asked.query, asked.of_matrix(near)), wanted)[:wanted]]


def _read(asked: _Asked, at: NDArray[np.intp]) -> _Scored:
    """Their scores by their vectors in the table; the transaction may see less there than the matrix holds."""
    numbers = asked.matrix.n[asked.of_matrix(at)].tolist()
    found = exact_scores(asked.tx, asked.space, asked.query, numbers)
    there = np.array([n in found for n in numbers], np.bool_)
    return _Scored(at[there], np.array([found[n] for n in numbers if n in found], np.float32))


def _sampled(asked: _Asked, size: int) -> _Scored:
    """Scores of rows that nothing chose: of the sample in memory, or of others where too few of it are among these."""
    sample = asked.matrix.sample
    if sample is not None:
        at, here = asked.among_rows(asked.matrix.rows_of(sample.n))
        if here.sum() >= min(_SAMPLE, size):
            return _Scored(at[here], sample.vectors[here] @ asked.query)
    return _read(asked, np.unique(np.linspace(0, size - 1, _SAMPLE).astype(np.intp)))


def _together(some: Sequence[_Scored]) -> _Scored:
    """All of them, each once."""
    at, first = np.unique(np.concatenate([one.at for one in some]), return_index=True)
    return _Scored(at, np.concatenate([one.scores for one in some])[first])


def _spread(distances: NDArray[np.uint16], sample: _Scored) -> tuple[float, float]:
    """Mean and standard deviation of all scores, from those of the sample and the distances of all.

    What is known is a small sample; how its distances differ from all distances tells how its scores do.
    """
    if sample.at.size == 0:
        return 0.0, 0.0
    known = distances[sample.at].astype(np.float32)
    away = known - known.mean()
    slope = float(away @ (sample.scores - sample.scores.mean())) / (float(away @ away) or 1.0)
    rest = sample.scores - sample.scores.mean() - slope * away
    mean, deviation = _lie(distances)
    return (
        float(sample.scores.mean()) + slope * (mean - float(known.mean())),
        float(np.hypot(slope * deviation, rest.std())),
    )


def _lie(distances: NDArray[np.uint16]) -> tuple[float, float]:
    """Mean and standard deviation of the distances; where there are many, of every so many'th."""
    some = distances[:: max(1, distances.size // _COUNTED) | 1]
    return float(some.mean()), float(some.std())


class _Estimates:
    """A score for every position: exact where it is known."""

    def __init__(self, distances: NDArray[np.uint16], exact: _Scored, mean: float, std: float) -> None:
        self._distances, self._exact = distances, np.append(np.float32(0), exact.scores)
        self._place = np.zeros(distances.size, np.uint16)  # of its exact score; 0 where there is none
        self._place[exact.at] = np.arange(1, self._exact.size)
        # Stretched to the true deviation: a straight fit would draw all that is estimated towards the mean, and with
        # it the sessions that hold nothing exact.
        middle, away = _lie(distances)
        self._slope = std / (away or 1.0)
        self._from = mean + middle * self._slope

    def scores(self, at: NDArray[np.intp]) -> NDArray[np.float32]:
        place = self._place[at]
        guessed = (self._from - self._distances[at] * self._slope).astype(np.float32)
        return np.where(place, self._exact[place], guessed)
