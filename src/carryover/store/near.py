"""What a search by meaning answers, whichever index named the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import vectors


@dataclass(frozen=True, slots=True)
class Among:
    """How the numbers of all sessions lie."""

    sessions: int
    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Nearest:
    """The best of the admitted vectors, and what is needed to compare their scores with others.

    `mean` and `std` are of the scores of all `admitted` vectors; `sessions` holds for each (agent, session) the
    mean of its three best scores, and `among` how these lie. Among many vectors all but `top` are estimates.
    """

    top: dict[int, float]
    admitted: int
    mean: float
    std: float
    sessions: Mapping[tuple[str, str], float]
    among: Among


def exact_scores(tx: Tx, space: str, query: NDArray[np.float32], ns: Sequence[int]) -> dict[int, float]:
    """The scores of these chunks by their rows in the table."""
    found: dict[int, float] = {}
    for part in parts(ns):
        here = vectors.c.tenant == tx.tenant, vectors.c.space == space, vectors.c.n.in_(part)
        rows = tx.conn.execute(sa.select(vectors.c.n, vectors.c.vector).where(*here)).all()
        block = np.frombuffer(b"".join(row.vector for row in rows), "<f4").reshape(len(rows), -1)
        if rows:
            found |= dict(zip([row.n for row in rows], (block @ query).tolist(), strict=True))
    return found
