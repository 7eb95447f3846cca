"""Sessions: found by name, listed newest first, page by page without a gap."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.core.errors import NotFound
from carryover.core.scope import Scope
from carryover.store import sessions
from carryover.store.sessions import Head
from carryover.store.store import Store

ACME = Scope("acme")
TENANTS = count()


def head(session: str, agent: str = "a", user: str | None = None, updated_at: int = 5) -> Head:
    return Head(agent, session, user, 1, 2, 3, updated_at, 10, None, None, None, '{"k":1}')


def put(store: Store, *heads: Head, scope: Scope = ACME) -> None:
    with store.write(scope) as tx:
        sessions.put(tx, heads)


def names(store: Store, scope: Scope = ACME, agent: str | None = "a", **how: Any) -> list[str]:
    with store.read(scope) as tx:
        return [f"{one.agent}/{one.session}" for one in sessions.listed(tx, agent, **{"limit": 100, **how})]


def test_what_was_put_is_found_whether_new_or_known(store: Store) -> None:
    first = head("s")
    put(store, first, head("t"))
    put(store, replace(first, version=9, metadata="{}", created_at=99), head("u", "b"))
    with store.read(ACME) as tx:
        found = sessions.find(tx, [("a", "s"), ("a", "t"), ("b", "u"), ("b", "s"), ("a", "x")])
    assert found == {
        ("a", "s"): replace(first, version=9, metadata="{}"),
        ("a", "t"): head("t"),
        ("b", "u"): head("u", "b"),
    }


def test_thousands_are_found_at_once(store: Store) -> None:
    put(store, *(head(f"s{n}") for n in range(2500)))
    with store.read(ACME) as tx:
        assert len(sessions.find(tx, [("a", f"s{n}") for n in range(3000)])) == 2500
        assert sessions.find(tx, []) == {}


@pytest.mark.parametrize("scope", [Scope("zeta"), Scope("acme", agent="b"), Scope("acme", user="v")])
def test_what_lies_outside_does_not_exist(store: Store, scope: Scope) -> None:
    put(store, head("s", user="u"))
    with store.read(scope) as tx, pytest.raises(NotFound, match="session 's' of agent 'a' does not exist here"):
        sessions.get(tx, "a", "s")
    assert names(store, scope) == []
    assert names(store, scope, user="u") == []


def test_filters_narrow_and_never_widen(store: Store) -> None:
    put(store, head("1", "a", "u"), head("2", "a", "v"), head("3", "b", "u"), head("4", "b"))
    assert names(store, agent=None) == ["b/4", "b/3", "a/2", "a/1"]
    assert names(store, agent=None, user="u") == ["b/3", "a/1"]
    assert names(store, Scope("acme", agent="b"), agent=None) == ["b/4", "b/3"]
    assert names(store, Scope("acme", user="u"), agent=None) == ["b/3", "a/1"]
    assert names(store, Scope("acme", agent="b"), agent="a") == []
    assert names(store, Scope("acme", user="u"), agent=None, user="v") == []


ROWS = st.sets(st.tuples(st.integers(1, 3), st.sampled_from("abc"), st.integers(1, 4)), max_size=14)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.integers(1, 5))
def test_pages_hold_every_session_once(store: Store, rows: set[tuple[int, str, int]], size: int) -> None:
    latest: dict[tuple[str, int], int] = {}
    for updated_at, agent, n in sorted(rows):
        latest[agent, n] = updated_at
    scope = Scope(f"tenant-{next(TENANTS)}")
    put(store, *(head(f"s{n}", agent, updated_at=at) for (agent, n), at in latest.items()), scope=scope)
    seen: list[Head] = []
    before = None
    while True:
        with store.read(scope) as tx:
            page = sessions.listed(tx, None, limit=size, before=before)
        seen += page
        if len(page) < size:
            break
        before = (page[-1].updated_at, page[-1].session, page[-1].agent)
    assert sorted((one.agent, one.session) for one in seen) == sorted((agent, f"s{n}") for agent, n in latest)
    assert [one.updated_at for one in seen] == sorted((one.updated_at for one in seen), reverse=True)


def test_the_status_follows_the_clock(store: Store) -> None:
    one = head("s")
    assert [sessions.status(one, now) for now in (9, 10)] == ["active", "idle"]
    assert sessions.status(replace(one, closed_at=7), 9) == "closed"
    assert sessions.shown(one, 9).metadata == {"k": 1}
