"""Vectors as texts have them: in heaps, with a common direction; and chunks that carry them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from carryover.core.chunk import Chunk
from carryover.core.scope import Scope
from carryover.store import vectors
from carryover.store.dialect import Bounds
from carryover.store.store import Store
from talk import add_chunks

# A name that no engine takes as it stands.
SPACE, DIM = "a space: 'fp32'", 32


def clustered(count: int, dim: int, *, seed: int) -> NDArray[np.float32]:
    """Unit rows around 40 centres that are the same for every seed."""
    centres = np.random.default_rng(0).normal(size=(40, dim)) + 0.3
    chance = np.random.default_rng(seed + 1)
    drawn = centres[chance.integers(40, size=count)] + chance.normal(scale=0.8, size=(count, dim))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def put(store: Store, scope: Scope, space: str, rows: NDArray[np.float32], **more: Any) -> list[int]:
    """One chunk for each row, users' and others' in turn, 20 to a session; their numbers."""
    with store.write(scope) as tx:
        added = add_chunks(tx, [_chunk(i, more) for i in range(len(rows))])
        vectors.add(tx, space, [(c.n, row) for c, row in zip(added, rows, strict=True)])  # type: ignore[misc]
    return [c.n for c in added]


def near(store: Store, scope: Scope, query: Any, k: int = 10, **bounds: Any) -> vectors.Nearest | None:
    """What a search by meaning finds in the space of the tests."""
    with store.read(scope) as tx:
        return vectors.nearest(tx, SPACE, query, Bounds(**bounds), k)


def best(scores: dict[int, float], k: int = 10) -> set[int]:
    """The numbers with the `k` highest scores."""
    return set(sorted(scores, key=lambda n: -scores[n])[:k])


def filled(store: Store, tenants: dict[str, int]) -> dict[str, tuple[list[int], NDArray[np.float32]]]:
    """So many rows for each tenant, with their numbers."""
    made: dict[str, tuple[list[int], NDArray[np.float32]]] = {}
    for seed, (tenant, size) in enumerate(tenants.items()):
        rows = clustered(size, DIM, seed=seed)
        made[tenant] = put(store, Scope(tenant), SPACE, rows), rows
    return made


def _chunk(i: int, more: dict[str, Any]) -> Chunk:
    given: dict[str, Any] = {
        "kind": "turn", "ref": "t", "agent_id": f"agent-{i // 20 % 3}", "session_id": f"session-{i // 20}",
        "user_id": f"user-{i // 20 % 5}", "first": i + 1, "last": i + 1, "part": 0,
        "role": "user" if i % 2 else "assistant", "name": None, "text": "", "created_at": 1000 + i,
    }  # fmt: skip
    return Chunk(n=0, **{**given, **more})
