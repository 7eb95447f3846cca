"""The activity stream: ids grow with the commits, and none is ever used twice."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from carryover.core.clock import DAY_MS
from carryover.core.event import Event, Filter
from carryover.core.scope import Scope
from carryover.jobs.upkeep import upkeep
from carryover.log import lifecycle
from carryover.store import events
from carryover.store.store import Store
from clocks import FrozenClock
from guard.test_redact import TOKENS
from logbook import Book

ACME = Scope("acme")


def add(store: Store, *happened: tuple[str, str, str, str | None], scope: Scope = ACME) -> None:
    with store.write(scope) as tx:
        events.add(tx, [(action, agent, session, user, {"n": 1}) for action, agent, session, user in happened])  # type: ignore[misc]


def newest(store: Store, agent: str = "a", scope: Scope = ACME, limit: int = 100, **want: Any) -> list[Event]:
    with store.read(scope) as tx:
        return events.newest(tx, agent, Filter(**want), limit=limit)


def test_ids_grow_within_an_agent_in_the_order_given(store: Store, clock: Any) -> None:
    add(store, ("open", "a", "s", None), ("append", "a", "s", None), ("open", "b", "s", None))
    add(store, ("append", "a", "s", None))
    found = newest(store)
    assert [e.action for e in found] == ["append", "append", "open"]
    ids = [e.id for e in found]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 3
    assert {e.at for e in found} == {clock.at}
    with store.read(ACME) as tx:
        assert events.last_id(tx, "a") == ids[0]
        assert events.last_id(tx, "nobody") == 0


def test_ids_grow_even_when_the_clock_is_set_back(store: Store, clock: Any) -> None:
    add(store, ("open", "a", "s", None))
    clock.pass_(-3_600_000)
    add(store, ("append", "a", "s", None))
    later, earlier = newest(store)
    assert (later.action, earlier.action) == ("append", "open")


def test_a_reader_who_resumes_after_an_erasure_misses_nothing(store: Store, clock: Any) -> None:
    book = Book(store)
    book.append("s", "one")
    book.append("s", "two")
    with store.read(ACME) as tx:
        seen = events.last_id(tx, "default")
    clock.pass_(-3_600_000)
    lifecycle.delete(store, ACME, "default", "s")
    book.append("s", "again")
    lifecycle.delete(store, ACME, "default", "s")
    with store.read(ACME) as tx:
        followed = events.after(tx, "default", Filter(), id=seen, limit=100)
    assert [e.action for e in followed] == ["delete"]
    book.append("t", "more")
    with store.read(ACME) as tx:
        rest = events.after(tx, "default", Filter(), id=followed[-1].id, limit=100)
    assert [(e.action, e.session_id) for e in rest] == [("open", "t"), ("append", "t")]


def test_filters(store: Store, clock: Any) -> None:
    add(store, ("open", "a", "s", "u"), ("append", "a", "s", "u"), ("append", "a", "t", None))
    clock.pass_(10)
    add(store, ("append", "a", "t", "v"))
    assert len(newest(store)) == 4
    assert [e.session_id for e in newest(store, action="append")] == ["t", "t", "s"]
    assert [e.action for e in newest(store, session="s")] == ["append", "open"]
    assert [e.user_id for e in newest(store, user="v")] == ["v"]
    assert [e.user_id for e in newest(store, since=clock.at)] == ["v"]
    assert len(newest(store, until=clock.at)) == 3
    assert newest(store, action="append", session="s", user="v") == []
    assert [e.session_id for e in newest(store, limit=1)] == ["t"]
    assert newest(store)[0].detail == {"n": 1}


@pytest.mark.parametrize(
    ("scope", "user", "count"),
    [(Scope("acme", user="u"), None, 1), (Scope("acme", user="u"), "v", 0), (Scope("zeta"), None, 0)],
)
def test_a_scope_narrows_what_is_seen(store: Store, scope: Scope, user: str | None, count: int) -> None:
    add(store, ("append", "a", "s", "u"), ("append", "a", "t", "v"), ("append", "a", "t", None))
    assert len(newest(store, scope=scope, user=user)) == count


def test_pages_forwards_and_backwards_meet(store: Store) -> None:
    for n in range(7):
        add(store, ("append", "a", f"s{n}", None))
    with store.read(ACME) as tx:
        everything = events.newest(tx, "a", Filter(), limit=100)
        first = events.newest(tx, "a", Filter(), limit=3)
        second = events.newest(tx, "a", Filter(), limit=100, before=first[-1].id)
        forwards = events.after(tx, "a", Filter(), id=0, limit=100)
        tail = events.after(tx, "a", Filter(), id=forwards[4].id, limit=1)
    assert first + second == everything == forwards[::-1]
    assert tail == [forwards[5]]


def test_old_events_are_gone_and_their_ids_are_not_used_again(store: Store, clock: FrozenClock, scope: Scope) -> None:
    clock.at = int(datetime(2031, 1, 15, tzinfo=UTC).timestamp() * 1000)
    upkeep(store)  # PostgreSQL keeps each month apart
    with store.write(scope) as tx:
        events.add(tx, [("open", "ada", "s", None, {})])
        old = events.last_id(tx, "ada")
    clock.pass_(100 * DAY_MS)
    upkeep(store)
    assert len(newest(store, "ada", scope)) == 1
    with store.write(scope) as tx:
        events.add(tx, [("append", "ada", "s", None, {})])
    upkeep(store, keep_events_ms=30 * DAY_MS)
    (left,) = newest(store, "ada", scope)
    assert left.action == "append"
    assert left.id > old


def test_secrets_are_masked_however_deep_they_lie(store: Store) -> None:
    token = TOKENS["github token"][0](random.Random(1))
    with store.write(ACME) as tx:
        events.add(
            tx, [("edit", "a", "s", None, {"title": f"use {token}", "steps": [{"input": {"password": "hunter2"}}]})]
        )  # type: ignore[list-item]
    (found,) = newest(store)
    told = json.dumps(found.detail)
    assert token not in told
    assert "hunter2" not in told
    assert "use [secret: github token]" in told
