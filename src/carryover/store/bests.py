"""The best scores of each session: worked out for those that are asked for, and estimated for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BEST = 3

SessionKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Among:
    """How the numbers of all sessions lie."""

    sessions: int
    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Groups:
    """Positions of rows by the places of their sessions: `order` holds them session by session, `sizes` how many.

    What was added since is not sorted in yet: `later` holds the places of the last rows.
    """

    places: NDArray[np.int32]
    sizes: NDArray[np.intp]
    ends: NDArray[np.intp]
    order: NDArray[np.int32]
    later: NDArray[np.int32]

    @classmethod
    def of(cls, places: NDArray[np.int32]) -> Groups:
        """The groups of rows whose sessions have these places."""
        order = np.argsort(places, kind="stable").astype(np.int32)
        counted = np.bincount(places)
        held = counted.nonzero()[0]
        sizes = counted[held]
        return cls(held.astype(np.int32), sizes, sizes.cumsum(), order, places[:0])

    def and_later(self, places: NDArray[np.int32]) -> Groups:
        """The same with these rows behind them."""
        return Groups(self.places, self.sizes, self.ends, self.order, places)

    @property
    def nbytes(self) -> int:
        return self.places.nbytes + self.sizes.nbytes + self.ends.nbytes + self.order.nbytes

    def count(self) -> int:
        """How many sessions there are."""
        later = np.unique(self.later)
        if later.size == 0:
            return len(self.places)
        at = np.searchsorted(self.places, later).clip(max=len(self.places) - 1)
        return len(self.places) + int((self.places[at] != later).sum())

    def rows(self, place: int) -> NDArray[np.intp]:
        """Those of one session."""
        at = int(np.searchsorted(self.places, place))
        sorted_in = slice(0, 0)
        if at < len(self.places) and self.places[at] == place:
            sorted_in = slice(self.ends[at] - self.sizes[at], self.ends[at])
        found = self.order[sorted_in].astype(np.intp)
        if self.later.size == 0:
            return found
        return np.concatenate((found, (self.later == place).nonzero()[0] + self.order.size))

    def some(self, looked_at: int | None) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The rows of sessions spread evenly over all that are sorted in, one session after the other; their sizes."""
        rows = self.order.size
        wanted = max(1, len(self.places) * min(looked_at or rows, rows) // rows)
        drawn = np.linspace(0, len(self.places) - 1, wanted).astype(np.intp)
        sizes = self.sizes[drawn]
        starts = self.ends[drawn] - sizes
        within = np.arange(int(sizes.sum())) - np.repeat(sizes.cumsum() - sizes, sizes)
        return self.order[np.repeat(starts, sizes) + within].astype(np.intp), sizes


class Sessions(Mapping[SessionKey, float]):
    """For each session the mean of its three best scores; nothing is made of those that nobody asks about."""

    def __init__(
        self,
        places: Mapping[SessionKey, int],
        groups: Groups,
        scores: Callable[[NDArray[np.intp]], NDArray[np.float32]],
    ) -> None:
        self._places, self._groups, self._scores = places, groups, scores
        self._known: dict[int, float] = {}

    def __getitem__(self, key: SessionKey) -> float:
        place = self._places[key]
        if place not in self._known:
            rows = self._groups.rows(place)
            if rows.size == 0:
                raise KeyError(key)
            best = sorted(self._scores(rows).tolist())[-_BEST:]
            self._known[place] = sum(best) / len(best)
        return self._known[place]

    def __iter__(self) -> Iterator[SessionKey]:
        return (key for key, place in list(self._places.items()) if self._groups.rows(place).size)

    def __len__(self) -> int:
        return self._groups.count()

    def among(self, looked_at: int | None = None) -> Among:
        """How they lie; sessions that hold about so many rows tell (None: all)."""
        rows, sizes = self._groups.some(looked_at)
        numbers = _means_of_best(self._scores(rows), sizes)
        return Among(len(self), float(numbers.mean()), float(numbers.std()))


def weighed(best: Mapping[SessionKey, tuple[float, int]], drawn: Sequence[SessionKey], rows: int) -> Among:
    """How the numbers of all sessions lie, by those of sessions that were found by drawing some of all `rows`.

    `best` holds the number and the rows of each of them.
    """
    # A long session is drawn more often: each counts by its shortness.
    lie = np.array([best[key][0] for key in drawn])
    weights = np.array([1 / best[key][1] for key in drawn])
    mean = float(np.average(lie, weights=weights))
    std = float(np.sqrt(np.average((lie - mean) ** 2, weights=weights)))
    return Among(max(len(best), round(rows * float(weights.mean()))), mean, std)


def _means_of_best(scores: NDArray[np.float32], sizes: NDArray[np.intp]) -> NDArray[np.float64]:
    """For each run of so many scores the mean of its best three, or of as many as it has."""
    starts = sizes.cumsum() - sizes
    run = np.repeat(np.arange(sizes.size), sizes)
    left, total = scores.copy(), np.zeros(sizes.size)
    for _ in range(_BEST):
        best = np.maximum.reduceat(left, starts)
        total += np.where(np.isfinite(best), best, 0)
        equal = (left == best[run]).nonzero()[0]
        left[equal[np.unique(run[equal], return_index=True)[1]]] = -np.inf
    return total / np.minimum(sizes, _BEST)
