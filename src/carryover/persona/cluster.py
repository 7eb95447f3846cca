"""Clusters of vectors: many small ones first, then those that lie together as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carryover.persona.book import Matrix, unit

BATCH = 4096
STARTS = 3
SEED = 20
_NEVER = -2.0


def clustered(
    rows: Matrix, weights: Matrix, most: int, *, seed: int = SEED, warm: Matrix | None = None
) -> tuple[Matrix, NDArray[np.intp]]:
    """At most `most` centroids of the rows, and by row which is its own; `warm` ones are where it begins.

    k-means over large batches, on one thread: more are slower wherever the processor is shared. Rows that are no more
    than `most` are their own centroids.
    """
    different = {row.tobytes(): n for n, row in reversed(list(enumerate(rows)))}
    if len(different) <= most:
        kept = sorted(different.values())
        place = {at: n for n, at in enumerate(kept)}
        return rows[kept], np.array([place[different[row.tobytes()]] for row in rows], np.intp)
    # Loaded by whoever fits something: most processes never do.
    from sklearn import cluster
    from threadpoolctl import threadpool_limits

    sklearn: Any = cluster  # it has no types of its own
    with threadpool_limits(limits=1):
        begin: dict[str, Any] = {"n_init": STARTS}
        if warm is not None and 0 < len(warm) <= most:
            more, _ = sklearn.kmeans_plusplus(rows, most, sample_weight=weights, random_state=seed)
            begin = {"n_init": 1, "init": np.concatenate([warm, more[len(warm) :]])}
        means = sklearn.MiniBatchKMeans(most, batch_size=BATCH, random_state=seed, **begin)
        which: NDArray[np.intp] = np.asarray(means.fit(rows, sample_weight=weights).labels_, np.intp)
    used = np.unique(which)
    centres = np.stack([(weights[which == c, None] * rows[which == c]).sum(axis=0) for c in used])
    return unit(centres.astype(np.float32)), np.searchsorted(used, which)


def together(parts: Sequence[Matrix], fixed: int, alike: float) -> list[int]:
    """By part, the first of those that it lies together with: in the mean, their vectors are `alike` (cosine) or more.

    The first `fixed` ones never come together.
    """
    belongs = list(range(len(parts)))
    if len(parts) < 2:
        return belongs
    sums = np.stack([part.sum(axis=0) for part in parts])
    counts = np.array([len(part) for part in parts], np.float32)
    near = (sums @ sums.T) / np.outer(counts, counts)
    near[:fixed, :fixed] = _NEVER
    np.fill_diagonal(near, _NEVER)
    while True:
        first, second = sorted(map(int, np.unravel_index(near.argmax(), near.shape)))
        if near[first, second] < alike:
            return belongs
        belongs = [first if at == second else at for at in belongs]
        sums[first] += sums[second]
        counts[first] += counts[second]
        gone = near[second] == _NEVER
        near[first] = near[:, first] = np.where(
            gone | (near[first] == _NEVER), _NEVER, (sums @ sums[first]) / (counts * counts[first])
        )
        near[second] = near[:, second] = _NEVER
        near[first, first] = _NEVER
