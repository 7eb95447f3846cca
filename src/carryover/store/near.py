"""What a search by meaning answers, whichever index named the candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from carryover.store import hot
from carryover.store.bests import Among
from carryover.store.store import Tx
from carryover.store.tables import vectors


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


def stored(tx: Tx, space: str, ns: Sequence[int]) -> tuple[list[int], NDArray[np.float32]]:
    """Those of the chunks that have a vector in the table, and a row with it for each."""
    rows = hot.read(tx.conn, _stored(tx.dialect.name), {"tenant": tx.tenant, "space": space, "ns": ns}) if ns else ()
    found = [row[0] for row in rows]
    return found, np.frombuffer(b"".join([row[1] for row in rows]), "<f4").reshape(len(rows), -1 if rows else 0)


def exact_scores(tx: Tx, space: str, query: NDArray[np.float32], ns: Sequence[int]) -> dict[int, float]:
    """The scores of these chunks by their rows in the table."""
    found, rows = stored(tx, space, ns)
    return dict(zip(found, (rows @ query).tolist(), strict=True)) if found else {}


@lru_cache
def _stored(engine: str) -> sa.Select[*tuple[Any, ...]]:
    here = vectors.c.tenant == sa.bindparam("tenant"), vectors.c.space == sa.bindparam("space")
    return sa.select(vectors.c.n, vectors.c.vector).where(*here, hot.listed(engine, vectors.c.n, "ns"))
