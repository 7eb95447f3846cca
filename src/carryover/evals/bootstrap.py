"""How sure a mean is, and a difference of two runs: a bootstrap that draws whole conversations.

Questions about one conversation stand or fall together, so that a draw of single questions would make every interval
too narrow. (Field and Welsh, Journal of the Royal Statistical Society B 69(3), 2007.)
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

RESAMPLES = 10_000
SEED = 0
_AT_ONCE = 1_000  # resamples that are in memory together
FEW = 5  # clusters; from fewer an interval says little


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % interval; `low` and `high` are None where there is one cluster only."""

    mean: float
    low: float | None
    high: float | None
    n: int
    clusters: int

    @property
    def sure(self) -> bool:
        """Whether 0 lies outside."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def interval(values: Sequence[float], clusters: Sequence[Hashable]) -> Interval:
    """The mean of the values with its percentile interval over resampled clusters; the same one every time."""
    if not values:
        return Interval(0.0, None, None, 0, 0)
    numbers = {cluster: n for n, cluster in enumerate(dict.fromkeys(clusters))}
    of = np.array([numbers[cluster] for cluster in clusters])
    found = ratio(np.bincount(of, weights=np.array(values, dtype=float)).tolist(), np.bincount(of).tolist())
    return replace(found, n=len(values))


def ratio(sums: Sequence[float], counts: Sequence[float]) -> Interval:
    """All sums over all counts, one of each for a cluster, with its percentile interval over resampled clusters."""
    above, below = np.array(sums, dtype=float), np.array(counts, dtype=float)
    if not below.sum():
        return Interval(0.0, None, None, 0, 0)
    found = float(above.sum() / below.sum())
    if len(above) == 1:
        return Interval(found, None, None, 1, 1)
    draw = np.random.default_rng(SEED)
    means: list[np.ndarray] = []
    for _ in range(RESAMPLES // _AT_ONCE):
        picked = draw.integers(0, len(above), size=(_AT_ONCE, len(above)))
        drawn = below[picked].sum(axis=1)
        means.append(above[picked].sum(axis=1)[drawn > 0] / drawn[drawn > 0])
    low, high = np.percentile(np.concatenate(means), (2.5, 97.5))
    return Interval(found, float(low), float(high), len(above), len(above))
