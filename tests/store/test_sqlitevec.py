"""Vectors searched inside SQLite by sqlite-vec, several tenants' in one table; where it can be loaded."""

from __future__ import annotations

import builtins
import importlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carryover.core.errors import Invalid, StoreUnavailable
from carryover.core.scope import Scope
from carryover.store import chunks, copies, spaces, sqlitevec, vectors
from carryover.store.dialect import Bounds
from carryover.store.store import Store
from clustered import DIM, SPACE, best, clustered, filled, near, put
from servers.postgres import Server


def _is_loadable() -> bool:
    try:
        sqlitevec.driver()
    except Invalid:
        return False
    return True


needs_it = pytest.mark.skipif(
    not _is_loadable(), reason="sqlite-vec cannot be loaded: pip install sqlite-vec pysqlite3"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/db") as opened:
        sqlitevec.enable(opened, SPACE, DIM)
        yield opened


@needs_it
def test_several_tenants_each_find_their_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlitevec, "EXACT", 500)
    made = filled(store, {"large": 3000, "middle": 1500, "small": 400, "other": 2000})
    for tenant, (ns, rows) in made.items():
        for query in clustered(10, DIM, seed=99):
            got, exact = near(store, Scope(tenant), query), rows @ query
            assert got is not None
            scored = dict(zip(ns, exact.tolist(), strict=True))
            users = {n for n in ns if ns.index(n) % 2}
            expected = best({n: scored[n] for n in users}) | best({n: scored[n] for n in set(ns) - users})
            assert got.top == pytest.approx({n: scored[n] for n in expected}, abs=1e-6)
    assert copies.held(store.engine) == {}


@needs_it
def test_the_rest_is_estimated_for_the_ranking(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlitevec, "EXACT", 500)
    _, rows = filled(store, {"large": 3000})["large"]
    for query in clustered(5, DIM, seed=99):
        got, exact = near(store, Scope("large"), query), rows @ query
        assert got is not None
        assert got.admitted == 3000
        assert abs(got.mean - exact.mean()) < 0.3 * exact.std()
        assert got.std == pytest.approx(exact.std(), rel=0.3)
        of_sessions = np.sort(exact.reshape(-1, 20), axis=1)[:, -3:].mean(axis=1)
        assert abs(got.among.mean - of_sessions.mean()) < of_sessions.std()
        assert 75 <= got.among.sessions <= 300
        for (_, session), score in got.sessions.items():
            assert score == pytest.approx(of_sessions[int(session.removeprefix("session-"))], abs=1e-6)


@needs_it
def test_few_vectors_are_compared_one_by_one(store: Store) -> None:
    ns, rows = filled(store, {"small": 300, "other": 300})["small"]
    query = clustered(1, DIM, seed=99)[0]
    got, exact = near(store, Scope("small"), query), rows @ query
    assert got is not None
    assert best(got.top) == best(dict(zip(ns, exact.tolist(), strict=True)))
    assert (got.admitted, got.among.sessions, len(got.sessions)) == (300, 15, 15)
    assert (got.mean, got.std) == pytest.approx((exact.mean(), exact.std()), abs=1e-6)
    with store.read(Scope("small")) as tx:
        scored = vectors.scores(tx, SPACE, query, ns[:2])
    assert scored == pytest.approx(dict(zip(ns[:2], exact[:2].tolist(), strict=True)), abs=1e-6)
    assert near(store, Scope("nobody"), query) is None
    assert near(store, Scope("small"), np.ones(DIM * 2, np.float32)) is None


@needs_it
@pytest.mark.parametrize("exact", [100, 10_000])
def test_bounds_hold(store: Store, monkeypatch: pytest.MonkeyPatch, exact: int) -> None:
    monkeypatch.setattr(sqlitevec, "EXACT", exact)
    rows = clustered(1500, DIM, seed=1)
    ns = put(store, Scope("acme"), SPACE, rows, role="tool")
    rare = put(store, Scope("acme"), SPACE, clustered(3, DIM, seed=2), role="user", kind="fact", user_id=None)
    query = clustered(1, DIM, seed=99)[0]
    got = near(store, Scope("acme"), query)
    assert got is not None
    assert set(rare) < set(got.top)
    asked: list[dict[str, Any]] = [
        {"user": "user-2"}, {"agent": "agent-1", "since": 1200}, {"kinds": ("turn", "task"), "before": 1700},
    ]  # fmt: skip
    for inside in asked:
        got = near(store, Scope("acme"), query, **inside)
        admitted = {n: float(rows[i] @ query) for i, n in enumerate(ns) if _admits(i, inside)}
        assert got is not None
        assert got.admitted == len(admitted)
        assert set(got.top) == best(admitted)
    got = near(store, Scope("acme"), query, kinds=("fact",))
    assert got is not None
    assert set(got.top) == set(rare)
    got = near(store, Scope("acme"), query, agent="agent-0", session="session-3")
    assert got is not None
    assert set(got.top) == best({ns[i]: float(rows[i] @ query) for i in range(60, 80)})
    assert near(store, Scope("acme"), query, session="nowhere") is None


def _admits(i: int, inside: dict[str, Any]) -> bool:
    return (
        inside.get("user") in (None, f"user-{i // 20 % 5}")
        and inside.get("agent") in (None, f"agent-{i // 20 % 3}")
        and inside.get("since", 0) <= 1000 + i < inside.get("before", 10**9)
    )


@needs_it
def test_what_is_removed_is_not_found_and_its_vector_is_in_no_file(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlitevec, "EXACT", 100)
    ns, rows = filled(store, {"acme": 600})["acme"]
    erased = rows[25].tobytes()
    query = rows[25]
    got = near(store, Scope("acme"), query, k=600)
    assert got is not None
    assert set(got.top) == set(ns)
    with store.write(Scope("acme")) as tx:
        chunks.erase(tx, "agent-1", "session-1")
    got = near(store, Scope("acme"), query, k=600)
    assert got is not None
    assert set(got.top) == {*ns[:20], *ns[40:]}
    store.settle()
    store.close()
    assert not any(erased in file.read_bytes() for file in tmp_path.iterdir())


@needs_it
def test_a_space_that_leaves_takes_the_tenants_rows_with_it(store: Store) -> None:
    filled(store, {"acme": 30, "other": 40})
    with store.write(Scope("acme")) as tx:
        spaces.want(tx, SPACE, 1)
        spaces.want(tx, "another", 2)
        spaces.serve(tx, "another")
        while spaces.clear(tx, SPACE, 20):
            pass
        table = sqlitevec._table(SPACE)  # pyright: ignore[reportPrivateUsage]
        assert tx.conn.exec_driver_sql(f"SELECT DISTINCT tenant FROM {table}").scalars().all() == ["other"]
        sqlitevec.clear(tx, "a space that nobody had")


@needs_it
def test_two_spaces_have_a_table_each(store: Store) -> None:
    sqlitevec.enable(store, "wider", 64)
    narrow, wide = clustered(50, DIM, seed=1), clustered(50, 64, seed=2)
    ns = put(store, Scope("acme"), SPACE, narrow)
    with store.write(Scope("acme")) as tx:
        vectors.add(tx, "wider", [(n, row) for n, row in zip(ns, wide, strict=True)])  # type: ignore[misc]
    with store.read(Scope("acme")) as tx:
        got = vectors.nearest(tx, "wider", wide[3], Bounds(), 1)  # type: ignore[arg-type]
    assert got is not None
    assert max(got.top, key=lambda n: got.top[n]) == ns[3]
    with store.write(Scope("acme")) as tx:
        assert vectors.remove(tx, ns[:10]) == 20
    got = near(store, Scope("acme"), narrow[3])
    assert got is not None
    assert not set(got.top) & set(ns[:10])


@needs_it
def test_what_was_there_before_and_what_others_write_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others keep their vectors in memory and cannot write to the table."""
    monkeypatch.setattr(sqlitevec, "EXACT", 10)
    url = f"sqlite:///{tmp_path}/db"
    rows = clustered(700, DIM, seed=1)
    acme = Scope("acme")
    with Store.open(url) as other:
        before = put(other, acme, SPACE, rows[:600])
    with Store.open(url) as store:
        sqlitevec.enable(store, SPACE, DIM)
        got = near(store, acme, rows[5], k=400)
        assert got is not None
        assert set(got.top) == set(before)
    with Store.open(url) as other:
        theirs = put(other, acme, SPACE, rows[600:650])
        with other.write(acme) as tx:
            vectors.remove(tx, before[:500])
        got = near(other, acme, rows[5], k=400)
        assert got is not None
        assert set(got.top) == {*before[500:], *theirs}
    with Store.open(url) as store:
        sqlitevec.enable(store, SPACE, DIM)
        mine = put(store, acme, SPACE, rows[650:])
        got = near(store, acme, rows[5], k=400)
        assert got is not None
        assert set(got.top) == {*before[500:], *theirs, *mine}
        with store.read(acme) as tx:
            (table,) = tx.conn.exec_driver_sql("SELECT name FROM sqlite_master WHERE sql LIKE '%USING vec0%'").scalars()
            assert tx.conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 200
        sqlitevec.enable(store, SPACE, DIM)  # and again, when everything is there
        assert near(store, acme, rows[5], k=400) == got


@needs_it
def test_a_failure_of_its_driver_is_told_as_any_other(store: Store) -> None:
    module: Any = importlib.import_module(sqlitevec.driver().__name__)
    with pytest.raises(StoreUnavailable, match="another process is writing; retry"), store.read(Scope("acme")):
        raise module.OperationalError("database is locked")


@needs_it
def test_it_is_for_sqlite(postgres: Server) -> None:
    url = postgres.create("no_sqlite")
    try:
        with Store.open(url) as store, pytest.raises(Invalid, match=r"needs SQLite.*set vector_index to \"memory\""):
            sqlitevec.enable(store, SPACE, DIM)
    finally:
        postgres.drop("no_sqlite")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"sqlite_vec"}
    really = importlib.import_module

    def find(name: str, package: str | None = None) -> Any:
        if name in missing:
            raise ModuleNotFoundError(name)
        return sqlite3 if name == "sqlite_vec" else really(name, package)

    monkeypatch.setattr(importlib, "import_module", find)
    with pytest.raises(Invalid, match=r"pip install 'carryover-memory\[sqlite-vec\]'"):
        sqlitevec.driver()
    missing = {"pysqlite3"}
    monkeypatch.setattr(sqlitevec, "hasattr", lambda _of, _name: False, raising=False)
    with pytest.raises(Invalid, match="pip install pysqlite3"):
        sqlitevec.driver()
    monkeypatch.setattr(sqlitevec, "hasattr", builtins.hasattr, raising=False)
    if hasattr(sqlite3.Connection, "enable_load_extension"):
        assert sqlitevec.driver() is sqlite3
