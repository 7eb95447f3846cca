"""Search over the vectors, in full and in codes, always as the table is now."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray

from carryover.core.chunk import Chunk
from carryover.core.scope import Scope
from carryover.store import chunks, copies, vectors
from carryover.store.dialect import Bounds
from carryover.store.store import Store, Tx
from carryover.store.tables import codes, removals
from carryover.store.tables import vectors as vector_rows
from clustered import clustered
from clustered import put as put_clustered
from talk import add_chunks

SPACE = "space/fp32"


@pytest.fixture(params=["full", "codes"], autouse=True)
def full(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether vectors are kept in memory in full; the answers are the same where few are asked for."""
    if request.param == "codes":
        monkeypatch.setattr(copies, "FULL", 0)
    return request.param == "full"


def put(tx: Tx, rows: NDArray[np.float32], **more: Any) -> list[int]:
    """One chunk for each vector; their numbers."""
    given: dict[str, Any] = {
        "kind": "turn", "ref": "t", "agent_id": "ada", "session_id": "s1", "user_id": "u1", "part": 0, "role": "user",
        "name": None, "text": "", "created_at": 1000,
    }  # fmt: skip
    about = {**given, **more}
    added = add_chunks(tx, [Chunk(n=0, first=i, last=i, **about) for i in range(1, len(rows) + 1)])
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
        late = add_chunks(tx, [chunks.by_n(tx, [ns[0]])[ns[0]]])[0].n
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


def test_a_vector_that_is_there_already_stays(store: Store, scope: Scope) -> None:
    rows = unit(2)
    with store.write(scope) as tx:
        (n,) = put(tx, rows[:1])
        assert vectors.add(tx, SPACE, [(n, rows[1])]) == 1  # type: ignore[list-item]
        assert (
            tx.conn.execute(sa.select(sa.func.count()).select_from(codes).where(codes.c.tenant == "acme")).scalar() == 1
        )
    got = near(store, scope, rows[0])
    assert got is not None
    assert got.top == pytest.approx({n: 1.0}, abs=1e-6)


def test_no_code_outlives_its_vector(store: Store, scope: Scope) -> None:
    with store.write(scope) as tx:
        ns = put(tx, unit(5))
        vectors.add(tx, "wider", [(n, [1.0] * 16) for n in ns[:3]])
        assert vectors.remove(tx, ns[1:4]) == 5
        left = tx.conn.execute(sa.select(codes.c.space, codes.c.n).where(codes.c.tenant == "acme")).all()
        assert sorted(map(tuple, left)) == sorted([(SPACE, ns[0]), (SPACE, ns[4]), ("wider", ns[0])])


def test_removals_that_are_no_longer_remembered_are_seen_all_the_same(
    store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "REMEMBERED", 3)
    rows = unit(20)
    with store.write(scope) as tx:
        ns = put(tx, rows)
    near(store, scope, rows[0])
    for n in ns[:6]:
        with store.write(scope) as tx:
            vectors.remove(tx, [n])
    with store.read(scope) as tx:
        kept = tx.conn.execute(sa.select(removals.c.n).where(removals.c.tenant == "acme")).scalars().all()
    assert sorted(kept) == ns[3:6]
    got = near(store, scope, rows[0])
    assert got is not None
    assert set(got.top) == set(ns[6:])


def test_a_repair_matches_codes_and_vectors_again(store: Store, scope: Scope) -> None:
    rows = unit(5)
    with store.write(scope) as tx:
        vectors.recode(tx)  # nothing there: nothing to do
        ns = put(tx, rows)
    near(store, scope, rows[0])
    with store.write(scope) as tx:
        tx.conn.execute(codes.delete().where(codes.c.tenant == "acme", codes.c.n.in_(ns[1:3])))
        tx.conn.execute(vector_rows.delete().where(vector_rows.c.tenant == "acme", vector_rows.c.n == ns[4]))
        vectors.recode(tx)
    with store.read(scope) as tx:
        coded = tx.conn.execute(sa.select(codes.c.n).where(codes.c.tenant == "acme")).scalars().all()
    assert sorted(coded) == ns[:4]
    got = near(store, scope, rows[0])
    assert got is not None
    assert got.top == pytest.approx(dict(zip(ns[:4], (rows[:4] @ rows[0]).tolist(), strict=True)), abs=1e-6)


def test_a_tenant_that_grows_goes_from_full_vectors_to_codes(
    store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "FULL", 100)
    monkeypatch.setattr(copies, "SAMPLE", 10)
    rows = unit(150, dim=384)
    with store.write(scope) as tx:
        ns = put(tx, rows[:90])
    near(store, scope, rows[0])
    before = copies.held(store.engine)["acme", SPACE]
    with store.write(scope) as tx:
        ns += put(tx, rows[90:])
    got = near(store, scope, rows[120], k=200)
    assert got is not None
    assert got.top == pytest.approx(dict(zip(ns, (rows @ rows[120]).tolist(), strict=True)), abs=1e-6)
    assert copies.held(store.engine)["acme", SPACE] < before / 4


def test_among_many_vectors_the_best_are_found_and_the_rest_is_estimated(store: Store, scope: Scope) -> None:
    rows = clustered(8000, 384, seed=1)
    ns = np.array(put_clustered(store, scope, SPACE, rows))
    found: list[float] = []
    for query in clustered(20, 384, seed=2):
        got, exact = near(store, scope, query, k=20), rows @ query
        assert got is not None
        scored = dict(zip(ns.tolist(), exact.tolist(), strict=True))
        assert got.top == pytest.approx({n: scored[n] for n in got.top}, abs=1e-6)
        best = set(ns[np.argsort(-exact)[:10]].tolist())
        found.append(len(best & set(sorted(got.top, key=lambda n: -got.top[n])[:10])) / 10)
        assert got.admitted == 8000
        assert abs(got.mean - exact.mean()) < 0.25 * exact.std()
        assert got.std == pytest.approx(exact.std(), rel=0.25)
        of_sessions = np.sort(exact.reshape(-1, 20), axis=1)[:, -3:].mean(axis=1)
        guessed = [got.sessions[f"agent-{i % 3}", f"session-{i}"] for i in range(400)]
        assert np.corrcoef(of_sessions, guessed)[0, 1] > 0.8
        assert got.among.sessions == len(got.sessions) == 400
        assert abs(got.among.mean - of_sessions.mean()) < 0.5 * of_sessions.std()
    assert np.mean(found) >= 0.95


def test_among_many_vectors_bounds_hold(store: Store, scope: Scope) -> None:
    rows = clustered(4000, 384, seed=1)
    ns = put_clustered(store, scope, SPACE, rows)
    inside = [i for i in range(4000) if i // 20 % 5 == 2 and i >= 1000]
    query = clustered(1, 384, seed=2)[0]
    got = near(store, scope, query, k=20, user="user-2", since=2000)
    assert got is not None
    assert got.admitted == len(inside)
    exact = dict(zip([ns[i] for i in inside], (rows[inside] @ query).tolist(), strict=True))
    best = set(sorted(exact, key=lambda n: -exact[n])[:10])
    assert len(best & set(got.top)) >= 9
    assert set(got.top) <= set(exact)


def test_a_cold_start_reads_only_the_vectors_that_it_scores(store: Store, scope: Scope, full: bool) -> None:
    rows = clustered(4000, 64, seed=1)
    put_clustered(store, scope, SPACE, rows)
    read: list[int] = []

    def watch(*given: Any) -> None:
        statement = given[2]
        if "vectors.vector" in statement and "LIMIT" not in statement:
            read.append(1 if " IN " in statement or " ANY " in statement else 4000)

    sa.event.listen(store.engine, "before_cursor_execute", watch)
    assert near(store, scope, rows[0], k=20) is not None
    assert (max(read) == 4000) == full


def test_the_memory_of_the_copies_is_bounded(store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "CACHE_BYTES", 10_000)
    rows = unit(200)
    tenants = [Scope(f"t{i}") for i in range(5)]
    for tenant in tenants:
        with store.write(tenant) as tx:
            put(tx, rows)
    for tenant in tenants * 2:
        got = near(store, tenant, rows[0])
        assert got is not None
        assert got.admitted == 200
    held = copies.held(store.engine)
    assert set(held) == {("t4", SPACE)}
    assert held["t4", SPACE] > 200 * 8 * 4
