"""Strategies as they are kept: versions from 1, nothing lost between writers, nobody else's seen."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from carryover.core.errors import VersionConflict
from carryover.core.scope import Scope
from carryover.store import strategies
from carryover.store.store import Store
from carryover.store.strategy_tables import strategies as rows

ACME, BELL = Scope("acme"), Scope("bell")
WRITERS, EACH = 6, 5


def got(store: Store, session: str = "s", scope: Scope = ACME) -> tuple[dict[str, object], int]:
    with store.read(scope) as tx:
        return strategies.get(tx, "a", session)


def put(store: Store, fields: dict[str, object], session: str = "s", expected: int | None = None) -> int:
    with store.write(ACME) as tx:
        return strategies.put(tx, "a", session, fields, expected)


def test_what_was_never_set_is_empty_at_version_0(store: Store) -> None:
    assert got(store) == ({}, 0)
    with store.read(ACME) as tx:
        assert strategies.get(tx, "a") == ({}, 0)
    assert put(store, {}) == 0
    assert got(store) == ({}, 0)


def test_it_comes_back_as_it_was_set_with_the_next_version(store: Store) -> None:
    fields = {"mode": "trim", "token_keep_pct": 0.25, "compact_exclude_tools": ["ré ad"], "clear_tool_inputs": False}
    assert put(store, fields) == 1
    assert got(store) == (fields, 1)
    assert put(store, fields) == 1  # nothing is another
    assert put(store, {"mode": "none"}) == 2
    assert got(store) == ({"mode": "none"}, 2)


def test_what_is_cleared_keeps_its_row_and_its_version_goes_on(store: Store) -> None:
    put(store, {"mode": "trim"})
    assert put(store, {}) == 2
    assert got(store) == ({}, 2)
    assert put(store, {"mode": "trim"}, expected=2) == 3


def test_agents_and_sessions_and_tenants_are_apart(store: Store) -> None:
    put(store, {"mode": "trim"}, session="")
    put(store, {"mode": "none"}, session="s")
    assert got(store, "") == ({"mode": "trim"}, 1)
    assert got(store, "s") == ({"mode": "none"}, 1)
    assert got(store, "t") == ({}, 0)
    assert got(store, "s", BELL) == ({}, 0)
    with store.read(ACME) as tx:
        assert strategies.get(tx, "b", "s") == ({}, 0)


def test_another_version_than_expected_is_a_conflict_that_changes_nothing(store: Store) -> None:
    put(store, {"mode": "trim"}, expected=0)
    for expected in (0, 2, -1):
        with pytest.raises(VersionConflict) as refusal:
            put(store, {"mode": "none"}, expected=expected)
        assert refusal.value.facts == {"current_version": 1}
        assert refusal.value.message == (
            f"the strategy of session 's' is at version 1, not {expected}; read it again and retry"
        )
    with pytest.raises(VersionConflict, match="the strategy of agent 'a' is at version 0, not 1"):
        put(store, {"mode": "none"}, session="", expected=1)
    assert got(store) == ({"mode": "trim"}, 1)
    with store.read(ACME) as tx:
        assert tx.conn.execute(sa.select(sa.func.count()).where(rows.c.tenant == "acme")).scalar() == 1


@pytest.mark.parametrize("session", ["", "s"])
def test_writers_at_once_lose_nothing_of_each_other(store: Store, session: str) -> None:
    """Each adds fields to what is there; the first of them find no row at all."""
    start = threading.Barrier(WRITERS)
    failures: list[BaseException] = []

    def write(n: int) -> None:
        try:
            start.wait()
            for i in range(EACH):
                with store.write(ACME) as tx:
                    before, _ = strategies.held(tx, "a", session)
                    strategies.put(tx, "a", session, {**before, f"{n}/{i}": n})
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    fields, version = got(store, session)
    assert version == WRITERS * EACH
    assert fields == {f"{n}/{i}": n for n in range(WRITERS) for i in range(EACH)}


def test_of_writers_that_expect_the_same_version_one_wins(store: Store) -> None:
    put(store, {"mode": "none"})
    start = threading.Barrier(WRITERS)
    said: list[str] = []

    def write(n: int) -> None:
        start.wait()
        try:
            put(store, {"max_user_turns": n + 1}, expected=1)
            said.append(f"won {n + 1}")
        except VersionConflict as refusal:
            said.append(f"at {refusal.facts['current_version']}")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    fields, version = got(store)
    assert sorted(said) == ["at 2"] * (WRITERS - 1) + [f"won {fields['max_user_turns']}"]
    assert version == 2
