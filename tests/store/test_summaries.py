"""Summaries in the store: asked for once, made once, and of no use once a turn of theirs was taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carryover.core.errors import NotFound
from carryover.core.scope import Scope
from carryover.core.strategy import Strategy, Summary
from carryover.log import lifecycle
from carryover.store import check, derived, sessions, summaries
from carryover.store.store import Store
from carryover.store.strategy_tables import summaries as rows
from carryover.store.strategy_tables import views as view_rows
from clocks import FrozenClock
from condensed import ready, retraction
from talk import say

RECIPE = Strategy(mode="summarize")
OTHER = replace(RECIPE, summary_max_tokens=50)


def want(store: Store, scope: Scope, last: int, strategy: Strategy = RECIPE) -> None:
    with store.write(scope) as tx:
        summaries.want(tx, sessions.get(tx, "ada", "s1"), strategy, last)


def put(store: Store, scope: Scope, last: int, text: str = "It went well.", version: int = 6) -> Summary:
    made = Summary("", "ada", "s1", last, RECIPE.recipe, text, 4, "rules", 0, user_id="mia")
    with store.write(scope) as tx:
        return summaries.put(tx, made, version=version, attempts=1)


def status(store: Store, scope: Scope, last: int) -> str | None:
    with store.read(scope) as tx:
        return summaries.status(tx, "ada", "s1", RECIPE.recipe, last)


@pytest.fixture
def logged(store: Store, scope: Scope) -> Store:
    say(store, scope, "s1", [f"Line {n}." for n in range(6)], user="mia")
    return store


def test_a_summary_is_wanted_then_ready(logged: Store, scope: Scope) -> None:
    assert status(logged, scope, 4) is None
    want(logged, scope, 4)
    assert status(logged, scope, 4) == "wanted"
    assert ready(logged, scope, RECIPE) == []
    made = put(logged, scope, 4)
    assert ready(logged, scope, RECIPE) == [made]
    assert (made.first, made.last, made.user_id, made.text) == (1, 4, "mia", "It went well.")
    assert status(logged, scope, 4) == "ready"
    with logged.read(scope) as tx:
        assert summaries.wanted(tx, "ada", "s1") is None


def test_the_same_is_never_made_twice(logged: Store, scope: Scope, clock: FrozenClock) -> None:
    first = put(logged, scope, 4)
    clock.pass_(1000)
    assert put(logged, scope, 4, "It went otherwise.") == first
    assert ready(logged, scope, RECIPE) == [first]


def test_the_id_says_nothing_but_what_the_summary_says(logged: Store, scope: Scope, clock: FrozenClock) -> None:
    first = put(logged, scope, 4)
    with logged.write(scope) as tx:
        tx.conn.execute(rows.delete().where(rows.c.tenant == tx.tenant))
    clock.pass_(1000)
    assert put(logged, scope, 4).id == first.id
    assert put(logged, scope, 5).id != first.id


def test_what_was_asked_first_is_made_first_however_it_is_made(logged: Store, scope: Scope, clock: FrozenClock) -> None:
    want(logged, scope, 5)
    clock.pass_(1)
    want(logged, scope, 3)
    want(logged, scope, 2, OTHER)
    seen: list[tuple[int, int]] = []
    for _ in range(3):
        with logged.write(scope) as tx:
            wanted = summaries.wanted(tx, "ada", "s1")
            assert wanted is not None
            assert wanted.strategy.recipe == wanted.recipe
            seen.append((wanted.last, wanted.strategy.summary_max_tokens))
            summaries.skip(tx, "ada", "s1", wanted.recipe, wanted.last, version=6)
    assert seen == [(5, 600), (2, 50), (3, 600)]


def test_recipes_do_not_mix(logged: Store, scope: Scope) -> None:
    put(logged, scope, 4)
    assert ready(logged, scope, OTHER) == []
    assert ready(logged, scope, RECIPE, session="s2") == []


def test_a_failed_one_stays_out_of_the_way(logged: Store, scope: Scope) -> None:
    want(logged, scope, 4)
    with logged.write(scope) as tx:
        summaries.fail(tx, "ada", "s1", RECIPE.recipe, 4, version=6, attempts=3)
    assert status(logged, scope, 4) == "failed"
    assert ready(logged, scope, RECIPE) == []
    with logged.read(scope) as tx:
        assert summaries.wanted(tx, "ada", "s1") is None
        assert summaries.tally(tx) == {"failed": 1}
        row = tx.conn.execute(rows.select().where(rows.c.tenant == tx.tenant)).one()
    assert (row.text, row.attempts) == ("", 3)


def test_a_ready_one_does_not_fail_any_more(logged: Store, scope: Scope) -> None:
    made = put(logged, scope, 4)
    with logged.write(scope) as tx:
        summaries.fail(tx, "ada", "s1", RECIPE.recipe, 4, version=6, attempts=3)
    assert ready(logged, scope, RECIPE) == [made]


def test_taking_a_turn_back_ends_those_that_stand_for_it(logged: Store, scope: Scope) -> None:
    short, long = put(logged, scope, 2), put(logged, scope, 5)
    say(logged, scope, "s1", [retraction(3, 3)])
    assert ready(logged, scope, RECIPE) == [short]
    assert (status(logged, scope, 2), status(logged, scope, 5)) == ("ready", None)
    want(logged, scope, 5)
    again = put(logged, scope, 5, "Without the third.", version=7)
    assert ready(logged, scope, RECIPE) == [short, again]
    assert again.id != long.id


def test_what_was_taken_back_while_it_was_made_ends_it_too(logged: Store, scope: Scope, clock: FrozenClock) -> None:
    say(logged, scope, "s1", [retraction(3, 3)])
    clock.pass_(1000)
    put(logged, scope, 5, version=6)  # its turns were read before
    assert ready(logged, scope, RECIPE) == []


def test_turns_that_follow_end_nothing(logged: Store, scope: Scope) -> None:
    made = put(logged, scope, 4)
    say(logged, scope, "s1", ["More.", "And more.", retraction(7, 8)])
    assert ready(logged, scope, RECIPE) == [made]


def test_nobody_else_sees_them(logged: Store, scope: Scope) -> None:
    put(logged, scope, 4)
    assert ready(logged, Scope("other"), RECIPE) == []
    assert status(logged, Scope("other"), 4) is None


def test_erasure_takes_them(logged: Store, scope: Scope) -> None:
    put(logged, scope, 4)
    want(logged, scope, 5, OTHER)
    assert lifecycle.delete(logged, scope, "ada", "s1").counts["summaries"] == 2
    assert ready(logged, scope, RECIPE) == []
    with logged.read(scope) as tx:
        assert summaries.tally(tx) == {}
    with pytest.raises(NotFound), logged.read(scope) as tx:
        sessions.get(tx, "ada", "s1")


def test_what_has_no_log_under_it_is_found_and_removed(logged: Store, scope: Scope) -> None:
    put(logged, scope, 4)
    assert check.check(logged) == []
    stray = {"tenant": scope.tenant, "agent": "ada", "session": "gone", "strategy": "x"}
    with logged.write(scope) as tx:
        tx.conn.execute(view_rows.insert().values(**stray, moves=1, cut=1, cleared=1, updated_at=1))
        tx.conn.execute(rows.update().where(rows.c.tenant == tx.tenant).values(last=9))
    found = check.check(logged)
    assert [(fault.check, fault.repairable) for fault in found] == [("summaries", True), ("views", True)]
    assert "stands for turn 9, which is not there" in found[0].detail
    check.repair(logged)
    assert check.check(logged) == []
    with logged.read(scope) as tx:
        assert list(derived.faults(tx)) == []
        assert summaries.tally(tx) == {}
