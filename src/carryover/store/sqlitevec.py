"""Vectors searched inside SQLite by sqlite-vec: a virtual table of full vectors for each space.

sqlite-vec compares every vector of a tenant with the query. It takes no memory of the process, and far longer than a
search in codes. The table follows `vectors`: what a newer generation added is taken over by the next `add`, and what
is removed goes with it. A process that is not set to use the table cannot write to it; what it removed meanwhile is
taken out when the next one that is set to opens the store.
"""

from __future__ import annotations

import hashlib
import importlib
import sqlite3
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import event

from carryover.core.chunk import CHUNK_KINDS
from carryover.core.errors import Invalid
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import counters, faults, following, hashed
from carryover.store.bests import Groups, SessionKey, Sessions, weighed
from carryover.store.dialect import Bounds
from carryover.store.near import Nearest, exact_scores
from carryover.store.sqlite import connected
from carryover.store.store import Store, Tx
from carryover.store.tables import chunks, codes, vectors

EXACT = 2_000  # up to so many vectors are read and compared one by one
_COUNTED = 100_000  # vectors that a search counts at most
_SAMPLE, _SESSIONS = 256, 32

# Whose a chunk is stands in the table as numbers: compared faster than words, and never longer. A part of the table
# for each tenant has room for 64 vectors at least.
_TABLE = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS {table} USING vec0(tenant text PARTITION KEY, agent integer, session integer, "
    "user integer, kind integer, by_user integer, created_at integer, e float[{dim}] distance_metric=cosine, "
    "chunk_size=64)"
)
_INSERT = (
    "INSERT INTO {table} (rowid, tenant, agent, session, user, kind, by_user, created_at, e) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_BEST = "SELECT rowid FROM {table} WHERE e MATCH ? AND k = ? AND tenant = ? AND by_user = ?{inside}"

# Which spaces are searched so, and how wide they are.
_opened: WeakKeyDictionary[sa.Engine, dict[str, int]] = WeakKeyDictionary()


def serves(tx: Tx, space: str) -> bool:
    """Whether this process searches the space's vectors here."""
    return space in _opened.get(tx.conn.engine, ())


def driver(engine: str = "sqlite") -> ModuleType:
    """A module for SQLite that can load extensions: Python's own, or else pysqlite3.

    Raises Invalid for another engine, and where there is no such module or no sqlite-vec, with what to do.
    """
    if engine != "sqlite":
        raise _refused("needs SQLite; name a file in database_url")
    try:
        importlib.import_module("sqlite_vec")
    except ModuleNotFoundError as cause:
        raise _refused("is not installed; run `pip install 'carryover-memory[sqlite-vec]'`") from cause
    if hasattr(sqlite3.Connection, "enable_load_extension"):
        return sqlite3
    try:
        return importlib.import_module("pysqlite3")
    except ModuleNotFoundError as cause:
        raise _refused(
            "cannot be loaded by this Python's SQLite; run `pip install pysqlite3`, or use a Python whose SQLite loads "
            "extensions"
        ) from cause


def enable(store: Store, space: str, dim: int) -> None:
    """Vectors of the space are searched by sqlite-vec from now on; those that are there are taken over first.

    Nobody uses the store meanwhile. Raises Invalid for another engine than SQLite, and where sqlite-vec cannot be
    loaded.
    """
    module = driver(store.dialect.name)
    if store.engine not in _opened:
        faults.DRIVERS.add(module.Error)
        # One file is never open by way of two SQLite libraries: the store's connections so far are closed.
        store.reopen(connected(store.url, store.engine.pool.size(), module))  # type: ignore[attr-defined]
        event.listen(store.engine, "connect", _load)
    table = _table(space)
    with store.write(EVERY_TENANT) as tx:
        tx.conn.exec_driver_sql(_TABLE.format(table=table, dim=dim))
    _opened.setdefault(store.engine, {})[space] = dim
    for tenant in following.behind(store, _mark(space)):
        while store.transact(Scope(tenant), lambda tx: follow(tx, space)):
            pass
    for tenant in following.behind(store, _mark_of_gone(space), "removals"):
        store.transact(Scope(tenant), lambda tx: _take_out(tx, space))


def follow(tx: Tx, space: str) -> int:
    """The next of the vectors that the table lacks are in it; how many."""
    rows = following.new(tx, space, _mark(space))
    if rows:
        table = _table(space)
        tx.conn.exec_driver_sql(f"DELETE FROM {table} WHERE rowid = ?", [(row["n"],) for row in rows])
        tx.conn.exec_driver_sql(_INSERT.format(table=table), [_entry(tx.tenant, row) for row in rows])
    return len(rows)


def remove(tx: Tx, ns: Sequence[int]) -> None:
    """The tables have nothing of these chunks any more, as `vectors` has nothing; its `removals` say so already."""
    for space in _opened.get(tx.conn.engine, ()):
        tx.conn.exec_driver_sql(f"DELETE FROM {_table(space)} WHERE rowid = ?", [(n,) for n in ns])
        removals, seen = counters.values(tx, ["removals", _mark_of_gone(space)])
        if seen == removals - 1:  # else there are others still to be taken out
            counters.bump(tx, _mark_of_gone(space))


def clear(tx: Tx, space: str) -> None:
    """The space's table has nothing of the tenant any more, where this process can write to it."""
    there = "SELECT 1 FROM sqlite_master WHERE name = ?"
    if tx.conn.engine in _opened and tx.conn.exec_driver_sql(there, (_table(space),)).first() is not None:
        tx.conn.exec_driver_sql(f"DELETE FROM {_table(space)} WHERE tenant = ?", (tx.tenant,))


def nearest(tx: Tx, space: str, query: NDArray[np.float32], bounds: Bounds, k: int) -> Nearest | None:
    """As `vectors.nearest`. Where more than 2,000 are admitted all but the best are estimates.

    Then `admitted` counts to 100,000 at most.
    """
    if _opened[tx.conn.engine][space] != query.size:
        return None
    here = codes.c.tenant == tx.tenant, codes.c.space == space, *_within(codes, bounds)
    some = sa.select(codes.c.n, codes.c.agent, codes.c.session, codes.c.role).where(*here)
    few = tx.conn.execute(some.limit(EXACT + 1)).all()
    if not few:
        return None
    if len(few) <= EXACT:
        return _compared(tx, space, query, few, k)
    counted = sa.select(sa.literal(1)).select_from(codes).where(*here).limit(_COUNTED).subquery()
    admitted = tx.conn.execute(sa.select(sa.func.count()).select_from(counted)).scalar_one()
    return _searched(tx, space, query, bounds, k, admitted)


def _compared(tx: Tx, space: str, query: NDArray[np.float32], rows: Sequence[Any], k: int) -> Nearest | None:
    """Every admitted vector scored."""
    exact = exact_scores(tx, space, query, [row.n for row in rows])
    rows = [row for row in rows if row.n in exact]
    found = np.array([exact[row.n] for row in rows], np.float32)
    top: dict[int, float] = {}
    for by_user in (True, False):
        group = [row.n for row in rows if (row.role == "user") is by_user]
        top |= {n: exact[n] for n in sorted(group, key=lambda n: -exact[n])[:k]}
    places: dict[SessionKey, int] = {}
    of = np.array([places.setdefault((row.agent, row.session), len(places)) for row in rows], np.int32)
    sessions = Sessions(places, Groups.of(of), found.__getitem__)
    return Nearest(top, len(rows), float(found.mean()), float(found.std()), sessions, sessions.among())


def _searched(tx: Tx, space: str, query: NDArray[np.float32], bounds: Bounds, k: int, admitted: int) -> Nearest:
    """The best named by sqlite-vec, all else judged by a sample."""
    inside, values = _inside(tx.tenant, bounds)
    named = _BEST.format(table=_table(space), inside=inside)
    top: dict[int, float] = {}
    for by_user in (1, 0):
        rows = tx.conn.exec_driver_sql(named, (query.tobytes(), k, tx.tenant, by_user, *values))
        top |= exact_scores(tx, space, query, [row[0] for row in rows])
    drawn = _drawn(tx, space, bounds)
    scores = exact_scores(tx, space, query, [row.n for row in drawn])
    of_drawn = list(dict.fromkeys((row.agent, row.session) for row in drawn))
    some = of_drawn[:: max(1, len(of_drawn) // _SESSIONS)]
    likely = sa.select(chunks.c.agent, chunks.c.session).where(
        chunks.c.tenant == tx.tenant, chunks.c.n.in_(sorted(top, key=lambda n: -top[n])[:_SESSIONS])
    )
    keys = dict.fromkeys([*some, *(tuple(row) for row in tx.conn.execute(likely))])
    best = {key: one for key in keys if (one := _best_of(tx, space, query, bounds, key))}
    told = np.array(list(scores.values()))
    return Nearest(
        top=top,
        admitted=admitted,
        mean=float(told.mean()),
        std=float(told.std()),
        sessions={key: mean for key, (mean, _) in best.items()},
        among=weighed(best, some, admitted),
    )


def _drawn(tx: Tx, space: str, bounds: Bounds) -> Sequence[Any]:
    """Chunks whose numbers lie evenly among the space's: the next admitted one after each of so many places."""
    here = vectors.c.tenant == tx.tenant, vectors.c.space == space
    low, high = tx.conn.execute(sa.select(sa.func.min(vectors.c.n), sa.func.max(vectors.c.n)).where(*here)).one()
    spread = [low + (high - low) * place // _SAMPLE for place in range(_SAMPLE)]
    places = sa.func.json_each(str(spread)).table_valued("value")
    both = sa.and_(chunks.c.tenant == vectors.c.tenant, chunks.c.n == vectors.c.n)
    next_one = sa.select(vectors.c.n).join_from(vectors, chunks, both)
    next_one = next_one.where(*here, vectors.c.n >= places.c.value, *_within(chunks, bounds)).order_by(vectors.c.n)
    drawn = sa.select(next_one.limit(1).scalar_subquery()).select_from(places).distinct()
    about = sa.select(chunks.c.n, chunks.c.agent, chunks.c.session)
    return tx.conn.execute(about.where(chunks.c.tenant == tx.tenant, chunks.c.n.in_(drawn))).all()


def _best_of(
    tx: Tx, space: str, query: NDArray[np.float32], bounds: Bounds, key: SessionKey
) -> tuple[float, int] | None:
    """The mean of the session's three best scores, and how many of its vectors are admitted; None where none is."""
    agent, session = key
    here = chunks.c.tenant == tx.tenant, chunks.c.agent == agent, chunks.c.session == session
    ns = tx.conn.execute(sa.select(chunks.c.n).where(*here, *_within(chunks, bounds))).scalars().all()
    scores = sorted(exact_scores(tx, space, query, list(ns)).values())
    return (float(np.mean(scores[-3:])), len(scores)) if scores else None


def _take_out(tx: Tx, space: str) -> None:
    """The table has nothing that `vectors` has not."""
    table = _table(space)
    held = set(tx.conn.exec_driver_sql(f"SELECT rowid FROM {table} WHERE tenant = ?", (tx.tenant,)).scalars())
    there = sa.select(vectors.c.n).where(vectors.c.tenant == tx.tenant, vectors.c.space == space)
    gone = sorted(held.difference(tx.conn.execute(there).scalars()))
    if gone:
        tx.conn.exec_driver_sql(f"DELETE FROM {table} WHERE rowid = ?", [(n,) for n in gone])
    removals, seen = counters.values(tx, ["removals", _mark_of_gone(space)])
    counters.bump(tx, _mark_of_gone(space), removals - seen)


def _load(connection: Any, _: object) -> None:
    connection.enable_load_extension(True)
    importlib.import_module("sqlite_vec").load(connection)
    connection.enable_load_extension(False)


def _entry(tenant: str, row: Any) -> tuple[Any, ...]:
    owners = _number(tenant, "a", row["agent"]), _number(tenant, "s", row["session"]), _number(tenant, "u", row["user"])
    kind = CHUNK_KINDS.index(row["kind"])
    return (row["n"], tenant, *owners, kind, int(row["role"] == "user"), row["created_at"], row["vector"])


def _number(tenant: str, sign: str, value: str | None) -> int:
    """A number for whose chunk it is; 0 for nobody's."""
    return 0 if value is None else int(hashed.owner(tenant, sign, value)[1:], 16) - (1 << 63)


def _inside(tenant: str, bounds: Bounds) -> tuple[str, list[int]]:
    """The bounds as conditions on the table, and their values."""
    asked = ("agent", "a", bounds.agent), ("session", "s", bounds.session), ("user", "u", bounds.user)
    tests = [(f"{name} = ?", [_number(tenant, sign, value)]) for name, sign, value in asked if value is not None]
    if bounds.kinds is not None:
        marks = ", ".join("?" * len(bounds.kinds))
        tests.append((f"kind IN ({marks})", [CHUNK_KINDS.index(kind) for kind in bounds.kinds]))
    if bounds.moments is not None:
        tests.append(("created_at >= ? AND created_at < ?", list(bounds.moments)))
    return "".join(f" AND {test}" for test, _ in tests), [value for _, values in tests for value in values]


def _within(table: sa.Table, bounds: Bounds) -> list[sa.ColumnElement[bool]]:
    """The bounds as conditions on a table that has what they name."""
    equal = {"agent": bounds.agent, "session": bounds.session, "user": bounds.user}
    tests = [table.c[name] == value for name, value in equal.items() if value is not None]
    if bounds.kinds is not None:
        tests.append(table.c.kind.in_(bounds.kinds))
    if bounds.moments is not None:
        since, before = bounds.moments
        tests += [table.c.created_at >= since, table.c.created_at < before]
    return tests


def _table(space: str) -> str:
    return f"embeddings_{hashlib.blake2b(space.encode(), digest_size=8).hexdigest()}"


def _mark(space: str) -> str:
    """The counter that says up to which generation the table has a tenant's vectors."""
    return f"sqlite-vec/{space}"


def _mark_of_gone(space: str) -> str:
    """The counter that says up to which removal the table lacks what was removed."""
    return f"sqlite-vec-removed/{space}"


def _refused(reason: str) -> Invalid:
    return Invalid(f'vector_index "sqlite-vec" {reason}, or set vector_index to "memory"', field="vector_index")
