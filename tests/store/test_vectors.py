"""Exact search over the vectors, always as the table is now."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from carryover.core.chunk import Chunk
from carryover.core.scope import Scope
from carryover.store import chunks, vectors
from carryover.store.dialect import Bounds
from carryover.store.store import Store, Tx

SPACE = "space/fp32"


def put(tx: Tx, rows: NDArray[np.float32], **more: Any) -> list[int]:
    """One chunk for each vector; their numbers."""
    given: dict[str, Any] = {
        "kind": "turn", "ref": "t", "agent_id": "ada", "session_id": "s1", "user_id": "u1", "part": 0, "role": "user",
        "name": None, "text": "", "created_at": 1000,
    }  # fmt: skip
    about = {**given, **more}
    added = chunks.add(tx, [Chunk(n=0, first=i, last=i, **about) for i in range(1, len(rows) + 1)])
    assert vectors.add(tx, SPACE, [(c.n, row) for c, row in zip(added, rows, strict=True)]) == len(added)  # type: ignore[misc]
    return [c.n for c in added]


def unit(count: int, dim: int = 8, seed: int = 1) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def near(store: Store, scope: Scope, vector: Any, k: int = 100, **bounds: Any) -> vectors.Nearest | None:
    with store.read(scope) as tx:
        return vectors.nearest(tx, SPACE, vector, Bounds(**bounds), k)


def test_scores_are_exact_and_the_rest_is_their_summary(store: Store, scope: Scope) -> None:
    rows = unit(50)
    with store.write(scope) as tx:
        ns = put(tx, rows[:20]) + put(tx, rows[20:48], session_id="s2") + put(tx, rows[48:], agent_id="bob")
    query = unit(1, seed=2)[0]
    exact = rows @ query
    got = near(store, scope, query)
    assert got is not None
    assert got.top == pytest.approx(dict(zip(ns, exact.tolist(), strict=True)), abs=1e-6)
    assert got.admitted == 50
    assert (got.mean, got.std) == pytest.approx((exact.mean(), exact.std()), abs=1e-6)
    best = {("ada", "s1"): exact[:20], ("ada", "s2"): exact[20:48], ("bob", "s1"): exact[48:]}
    assert got.sessions == pytest.approx({key: np.sort(of)[-3:].mean() for key, of in best.items()}, abs=1e-6)


def test_the_best_of_users_and_of_all_others_are_kept_apart(store: Store, scope: Scope) -> None:
    rows = unit(60)
    query = rows[0]
    with store.write(scope) as tx:
        users, others = put(tx, rows[:30]), put(tx, rows[30:], role="assistant")
    got = near(store, scope, query, k=4)
    assert got is not None
    scored = dict(zip(users + others, (rows @ query).tolist(), strict=True))
    expected = {n for group in (users, others) for n in sorted(group, key=lambda n: -scored[n])[:4]}
    assert set(got.top) == expected


def test_bounds_and_tenants(store: Store, scope: Scope) -> None:
    query = unit(1)[0]
    with store.write(scope) as tx:
        variants: list[dict[str, Any]] = [
            {}, {"agent_id": "bob"}, {"user_id": "u2"}, {"user_id": None}, {"session_id": "s2"}, {"kind": "fact"},
            {"created_at": 2000},
        ]  # fmt: skip
        n = [put(tx, unit(1), **variant)[0] for variant in variants]
    with store.write(Scope("other")) as tx:
        put(tx, unit(1))

    def admitted(**bounds: Any) -> set[int]:
        got = near(store, scope, query, **bounds)
        return set() if got is None else set(got.top)

    assert admitted() == set(n)
    assert admitted(agent="bob") == {n[1]}
    assert admitted(user="u2") == {n[2]}
    assert admitted(user="nobody") == set()
    assert admitted(agent="nobody") == set()
    assert admitted(session="s2") == {n[4]}
    assert admitted(session="nowhere") == set()
    assert admitted(kinds=("fact",)) == {n[5]}
    assert admitted(since=1500) == {n[6]}
    assert admitted(before=2000) == set(n[:6])
    assert admitted(agent="ada", user="u1", session="s1", kinds=("turn",), since=1000, before=1001) == {n[0]}


def test_a_search_sees_what_was_added_and_removed_since_the_last(store: Store, scope: Scope) -> None:
    rows = unit(30)
    query = rows[0]
    assert near(store, scope, query) is None
    with store.write(scope) as tx:
        first = put(tx, rows[:10])
    assert near(store, scope, query) is not None
    with store.write(scope) as tx:
        second = put(tx, rows[10:20], session_id="s2")
    got = near(store, scope, query)
    assert got is not None
    assert set(got.top) == {*first, *second}
    with store.write(scope) as tx:
        chunks.erase(tx, "ada", "s1")
        third = put(tx, rows[20:], session_id="s3")
    got = near(store, scope, query)
    assert got is not None
    assert set(got.top) == {*second, *third}
    assert set(got.sessions) == {("ada", "s2"), ("ada", "s3")}
    exact = dict(zip(second + third, (rows[10:] @ query).tolist(), strict=True))
    assert got.top == pytest.approx(exact, abs=1e-6)


def test_what_another_process_writes_is_seen(store: Store, scope: Scope) -> None:
    rows = unit(6)
    with store.write(scope) as tx:
        mine = put(tx, rows[:2])
    near(store, scope, rows[0])
    with Store.open(store.url, clock=store.clock) as other:
        with other.write(scope) as tx:
            theirs = put(tx, rows[2:], session_id="s2")
        got = near(store, scope, rows[0])
        assert got is not None
        assert set(got.top) == {*mine, *theirs}
        with other.write(scope) as tx:
            chunks.erase(tx, "ada", "s2")
    got = near(store, scope, rows[0])
    assert got is not None
    assert set(got.top) == set(mine)


def test_named_chunks_are_scored_as_far_as_they_have_vectors(store: Store, scope: Scope) -> None:
    rows = unit(9)
    with store.write(scope) as tx:
        ns = put(tx, rows)
    with store.read(scope) as tx:
        got = vectors.scores(tx, SPACE, rows[0], [ns[3], ns[7], 9999, 0])
        assert got == pytest.approx({ns[3]: float(rows[3] @ rows[0]), ns[7]: float(rows[7] @ rows[0])}, abs=1e-6)
        assert vectors.scores(tx, SPACE, rows[0], []) == {}
        assert vectors.scores(tx, "empty", rows[0], ns) == {}


def test_numbers_out_of_order_are_found_all_the_same(store: Store, scope: Scope) -> None:
    rows = unit(4)
    with store.write(scope) as tx:
        ns = put(tx, rows[:3])
        late = chunks.add(tx, [chunks.by_n(tx, [ns[0]])[ns[0]]])[0].n
        after = put(tx, rows[3:])
    near(store, scope, rows[0])
    with store.write(scope) as tx:
        vectors.add(tx, SPACE, [(late, rows[1])])  # type: ignore[list-item]
    with store.read(scope) as tx:
        got = vectors.scores(tx, SPACE, rows[1], [late, ns[2], after[0]])
    exact = rows @ rows[1]
    assert got == pytest.approx({late: exact[1], ns[2]: exact[2], after[0]: exact[3]}, abs=1e-6)


def test_spaces_and_widths_are_never_mixed(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        (n,) = put(tx, unit(1))
        vectors.add(tx, "wider", [(n, [1.0] * 16)])
        assert vectors.spaces(tx) == [SPACE, "wider"]
    with store.read(scope) as tx:
        wide = vectors.nearest(tx, "wider", [1.0] * 16, Bounds(), 5)
        assert wide is not None
        assert wide.top == {n: 16.0}
        assert vectors.nearest(tx, SPACE, [1.0] * 16, Bounds(), 5) is None
        assert vectors.nearest(tx, "unknown", [1.0] * 16, Bounds(), 5) is None
    with store.write(scope) as tx:
        assert vectors.remove(tx, [n]) == 2
        assert vectors.remove(tx, [n]) == 0
        assert vectors.spaces(tx) == []


def test_only_chunks_that_exist_get_vectors(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        assert vectors.add(tx, SPACE, [(77, [1.0])]) == 0
        assert vectors.add(tx, SPACE, []) == 0
    with store.write(Scope("other")) as tx:
        ns = put(tx, unit(1))
    with store.write(scope) as tx:
        assert vectors.add(tx, SPACE, [(ns[0], [1.0])]) == 0  # another tenant's


def test_the_memory_of_the_copies_is_bounded(store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "CACHE_BYTES", 10_000)
    rows = unit(200)
    tenants = [Scope(f"t{i}") for i in range(5)]
    for tenant in tenants:
        with store.write(tenant) as tx:
            put(tx, rows)
    for tenant in tenants * 2:
        got = near(store, tenant, rows[0])
        assert got is not None
        assert got.admitted == 200
    held = vectors.held(store.engine)
    assert set(held) == {("t4", SPACE)}
    assert held["t4", SPACE] > 200 * 8 * 4
