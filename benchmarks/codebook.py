"""How near the codebook's clustering comes to k-means run to the end, and in how much of its time.

    python -m benchmarks.codebook [signals] [rounds]

Vectors are made up: as long as MiniLM's, around as many meanings as users have, more or less alike. Every round runs
both, one after the other on one thread, from a seed of its own; the goal is within 0.5 % of the inertia at no more than
0.35 of the time, in the median.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from carryover.persona.book import Matrix, unit
from carryover.persona.cluster import clustered

DIM, MEANINGS, CENTROIDS = 384, 300, (64, 128)
SIGNALS, ROUNDS = 100_000, 3
INERTIA, TIME = 1.005, 0.35


def main() -> int:
    signals = int(sys.argv[1]) if len(sys.argv) > 1 else SIGNALS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    weights = np.ones(signals, np.float32)
    good = True
    print(
        f"{signals} vectors of {DIM} numbers, {rounds} rounds, one thread; ratios to Lloyd's algorithm run to the end"
    )
    print(f"{'centroids':>9} {'inertia':>8} {'worst':>8} {'time':>6} {'best':>6} {'s':>6} {'Lloyd s':>8}")
    for most in CENTROIDS:
        ratios: list[tuple[float, float, float, float]] = []
        for seed in range(rounds):
            rows = made_up(signals, seed)
            with threadpool_limits(limits=1):
                start = time.perf_counter()
                _, ours = clustered(rows, weights, most, seed=seed)
                mine = time.perf_counter() - start
                start = time.perf_counter()
                lloyd = KMeans(most, n_init=1, random_state=seed, algorithm="lloyd").fit(rows).labels_
                theirs = time.perf_counter() - start
            ratios.append((inertia(rows, ours) / inertia(rows, lloyd), mine / theirs, mine, theirs))
        inertias, times, mine_s, theirs_s = zip(*ratios, strict=True)
        near, quick = statistics.median(inertias), statistics.median(times)
        good &= near <= INERTIA and quick <= TIME
        print(
            f"{most:>9} {near:>8.4f} {max(inertias):>8.4f} {quick:>6.2f} {min(times):>6.2f} "
            f"{statistics.median(mine_s):>6.1f} {statistics.median(theirs_s):>8.1f}"
        )
    print("within the goal" if good else f"NOT within the goal: {INERTIA} of the inertia at {TIME} of the time")
    return 0 if good else 1


def made_up(count: int, seed: int) -> Matrix:
    """Unit vectors: each a meaning, a way to put it and chance; some meanings are said far more often than others."""
    draw = np.random.default_rng(seed)
    meanings = unit(draw.standard_normal((MEANINGS, DIM)).astype(np.float32))
    ways = meanings[:, None] + 0.7 * unit(draw.standard_normal((MEANINGS * 12, DIM)).astype(np.float32)).reshape(
        MEANINGS, 12, DIM
    )
    odds = (np.arange(MEANINGS) + 1.0) ** -0.8
    which = draw.choice(MEANINGS, size=count, p=odds / odds.sum())
    chance = unit(draw.standard_normal((count, DIM)).astype(np.float32))
    rows = unit(ways[which, draw.integers(12, size=count)] + 0.6 * chance)
    return unit(rows - rows.mean(axis=0))


def inertia(rows: Matrix, which: np.ndarray) -> float:
    """The squared distances of all rows to the mean of their own cluster."""
    total = 0.0
    for cluster in np.unique(which):
        here = rows[which == cluster]
        total += float(((here - here.mean(axis=0)) ** 2).sum())
    return total


if __name__ == "__main__":
    sys.exit(main())
