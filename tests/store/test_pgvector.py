"""Vectors searched inside PostgreSQL, through row-level security and among several tenants' vectors in one table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from carryover.core.errors import Invalid, StoreUnavailable
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import copies, pgvector, spaces, vectors
from carryover.store.dialect import Bounds
from carryover.store.store import Store
from clustered import DIM, SPACE, best, clustered, filled, near, put
from servers.postgres import Server


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    with Store.open(postgres_url) as opened:
        pgvector.enable(opened, SPACE, DIM)
        yield opened


def recall(store: Store, scope: Scope, ns: list[int], rows: NDArray[np.float32], **bounds: Any) -> float:
    found: list[float] = []
    for query in clustered(40, DIM, seed=99):
        got = near(store, scope, query, **bounds)
        assert got is not None
        right = best(dict(zip(ns, (rows @ query).tolist(), strict=True)))
        found.append(len(best(got.top) & right) / len(right))
    return float(np.mean(found))


def serve_from_the_index(store: Store) -> None:
    """Of so few rows the server would rather sort all: now it does not, and only the index is left."""
    with store.write(EVERY_TENANT) as tx:
        name = tx.conn.exec_driver_sql("SELECT current_database()").scalar()
        tx.conn.exec_driver_sql(f"ALTER DATABASE {name} SET enable_sort = off")
    store.engine.dispose()
    with store.read(Scope("large")) as tx:
        asked = pgvector._Asked(tx, SPACE, clustered(1, DIM, seed=5)[0], Bounds())  # pyright: ignore[reportPrivateUsage]
        for plainly, served in (("", True), ("+ 0", False)):
            rows = asked.all("EXPLAIN " + pgvector._BEST, wanted=20, plainly=plainly)  # pyright: ignore[reportPrivateUsage]
            plan = "\n".join(row[0] for row in rows)
            assert ("Order By: ((e)::halfvec" in plan) == served


def test_recall_among_several_tenants_through_row_level_security(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgvector, "EXACT", 500)
    made = filled(store, {"large": 3000, "middle": 1500, "small": 400, "other": 2000})
    serve_from_the_index(store)
    with store.read(Scope("large")) as tx:
        assert (
            tx.conn.exec_driver_sql(
                "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
            ).scalar()
            is False
        )
        assert tx.conn.exec_driver_sql("SELECT count(*) FROM embeddings").scalar() == 3000  # RLS hides the others'
    for tenant, (ns, rows) in made.items():
        assert recall(store, Scope(tenant), ns, rows) >= 0.95
    assert copies.held(store.engine) == {}


def test_the_rest_is_estimated_for_the_ranking(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgvector, "EXACT", 500)
    ns, rows = filled(store, {"large": 3000})["large"]
    for query in clustered(5, DIM, seed=99):
        got, exact = near(store, Scope("large"), query), rows @ query
        assert got is not None
        scored = dict(zip(ns, exact.tolist(), strict=True))
        assert got.top == pytest.approx({n: scored[n] for n in got.top}, abs=1e-6)
        assert len(got.top) == 20  # ten of users, ten of others
        assert got.admitted == 3000
        assert abs(got.mean - exact.mean()) < 0.3 * exact.std()
        assert got.std == pytest.approx(exact.std(), rel=0.3)
        of_sessions = np.sort(exact.reshape(-1, 20), axis=1)[:, -3:].mean(axis=1)
        assert abs(got.among.mean - of_sessions.mean()) < of_sessions.std()
        assert 75 <= got.among.sessions <= 300
        for (_, session), score in got.sessions.items():
            assert score == pytest.approx(of_sessions[int(session.removeprefix("session-"))], abs=1e-3)


def test_few_vectors_are_compared_one_by_one(store: Store) -> None:
    ns, rows = filled(store, {"small": 300, "other": 300})["small"]
    query = clustered(1, DIM, seed=99)[0]
    got, exact = near(store, Scope("small"), query), rows @ query
    assert got is not None
    assert best(got.top) == best(dict(zip(ns, exact.tolist(), strict=True)))
    assert (got.admitted, got.among.sessions, len(got.sessions)) == (300, 15, 15)
    assert (got.mean, got.std) == pytest.approx((exact.mean(), exact.std()), abs=1e-3)
    with store.read(Scope("small")) as tx:
        assert vectors.scores(tx, SPACE, query, ns[:2]) == pytest.approx(
            dict(zip(ns[:2], exact[:2].tolist(), strict=True)), abs=1e-6
        )
    assert near(store, Scope("nobody"), query) is None


def test_bounds_hold_and_a_rare_kind_is_found_though_the_index_gives_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = clustered(1500, DIM, seed=1)
    ns = put(store, Scope("acme"), SPACE, rows, role="tool")
    rare = put(store, Scope("acme"), SPACE, clustered(3, DIM, seed=2), role="user", kind="fact", user_id=None)
    query = clustered(1, DIM, seed=99)[0]
    monkeypatch.setattr(pgvector, "EXACT", 100)
    monkeypatch.setattr(pgvector, "_MOST_SEEN", 100)
    got = near(store, Scope("acme"), query)
    assert got is not None
    assert set(rare) < set(got.top)
    for inside in ({"user": "user-2"}, {"agent": "agent-1", "since": 1200}, {"kinds": ("turn",), "before": 1700}):
        got = near(store, Scope("acme"), query, **inside)
        admitted = {n for i, n in enumerate(ns) if _admits(i, inside)}
        assert got is not None
        assert got.admitted == len(admitted)
        assert set(got.top) <= admitted
        right = best({n: float(rows[i] @ query) for i, n in enumerate(ns) if n in admitted})
        assert len(right & set(got.top)) >= 9
    got = near(store, Scope("acme"), query, kinds=("fact",))
    assert got is not None
    assert set(got.top) == set(rare)
    assert near(store, Scope("acme"), query, session="nowhere") is None


def _admits(i: int, inside: dict[str, Any]) -> bool:
    return (
        inside.get("user") in (None, f"user-{i // 20 % 5}")
        and inside.get("agent") in (None, f"agent-{i // 20 % 3}")
        and inside.get("since", 0) <= 1000 + i < inside.get("before", 10**9)
    )


def test_what_was_there_before_and_what_others_write_is_found(postgres_url: str) -> None:
    """Another process keeps its vectors in memory; it knows nothing of the table."""
    rows = clustered(700, DIM, seed=1)
    acme = Scope("acme")
    with Store.open(postgres_url) as store, Store.open(postgres_url) as other:
        before = put(other, acme, SPACE, rows[:600])
        pgvector.enable(store, SPACE, DIM)
        got = near(store, acme, rows[5], k=400)
        assert got is not None
        assert set(got.top) == set(before)
        theirs = put(other, acme, SPACE, rows[600:650])
        mine = put(store, acme, SPACE, rows[650:])
        with other.write(acme) as tx:
            vectors.remove(tx, before[:500])
        got = near(store, acme, rows[5], k=400)
        assert got is not None
        assert set(got.top) == {*before[500:], *theirs, *mine}
        pgvector.enable(other, SPACE, DIM)  # and again, when everything is there
        assert near(other, acme, rows[5], k=400) == got


def test_without_the_extension_it_says_who_must_do_what(postgres: Server) -> None:
    url = postgres.create("without_pgvector")
    try:
        with Store.open(url) as store, pytest.raises(StoreUnavailable, match=r"superuser.*CREATE EXTENSION vector"):
            pgvector.enable(store, SPACE, DIM)
    finally:
        postgres.drop("without_pgvector")


def test_it_is_for_postgresql(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/db") as store, pytest.raises(Invalid, match='set vector_index to "memory"'):
        pgvector.enable(store, SPACE, DIM)


def test_another_space_is_filled_and_searched_beside_it(store: Store) -> None:
    """As while the embedding model is changed: the space that this process did not open is searched in memory."""
    acme, other = Scope("acme"), "another space"
    ns, rows = filled(store, {"acme": 300})["acme"]
    wider = clustered(300, 2 * DIM, seed=7)
    with store.write(acme) as tx:
        vectors.add(tx, other, list(zip(ns, wider, strict=True)))  # type: ignore[arg-type]
    with store.read(acme) as tx:
        assert pgvector.serves(tx, SPACE)
        assert not pgvector.serves(tx, other)
        for space, own in ((SPACE, rows), (other, wider)):
            got = vectors.nearest(tx, space, own[5], Bounds(), 5)
            assert got is not None
            assert max(got.top, key=lambda n: got.top[n]) == ns[5]
    pgvector.enable(store, other, 2 * DIM)
    with store.write(acme) as tx:
        spaces.want(tx, SPACE, 1)
        spaces.want(tx, other, 2)
        spaces.serve(tx, other)
        while spaces.clear(tx, SPACE, 100):
            pass
        assert tx.conn.exec_driver_sql("SELECT DISTINCT space FROM embeddings").scalars().all() == [other]
    with store.read(acme) as tx:
        got = vectors.nearest(tx, other, wider[5], Bounds(), 5)
        assert got is not None
        assert got.admitted == 300
