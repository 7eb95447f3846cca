"""Tiers lie beside the findings: what is told changes, no state of a finding and no snapshot does."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from carryover.core.scope import Scope
from carryover.core.tier import Step, TierCounts
from carryover.log import lifecycle
from carryover.store import queue, reach, snapshots, tiers
from carryover.store.snapshots import Link
from carryover.store.store import Store
from carryover.store.tables import findings
from carryover.store.tables import tiers as rows
from talk import note, remember, say

KEY = [("ada", "s1")]


@pytest.fixture
def two(store: Store, scope: Scope) -> Store:
    """A session with two findings."""
    say(store, scope, "s1", ["Hello."])
    remember(store, scope, "s1", [note("The door is red.", id="f1"), note("The wall is blue.", id="f2", at=2)])
    return store


def step(id: str, tier: Any, text: str, **more: Any) -> Step:
    return Step(id, more.pop("since", 1), "ada", "s1", tier, text, 1, more.pop("freed", 4), **more)


def put(store: Store, scope: Scope, *steps: Step) -> None:
    with store.write(scope) as tx:
        tiers.put(tx, steps, user=None)


def texts(store: Store, scope: Scope) -> list[str]:
    with store.read(scope) as tx:
        return [finding.text for finding in snapshots.live(tx, KEY)]


def test_what_is_told_follows_the_steps_and_no_row_of_the_findings_changes(two: Store, scope: Scope) -> None:
    def states() -> list[Any]:
        with two.read(scope) as tx:
            return list(tx.conn.execute(sa.select(findings).where(findings.c.tenant == tx.tenant)))

    before = states()
    put(two, scope, step("f1", "compressed", "door red"), step("f2", "summarised", "wall blue", period="2026-01"))
    assert texts(two, scope) == ["door red"]
    with two.read(scope) as tx:
        assert [(gist.period, gist.text) for gist in tiers.gists(tx, "ada", None)] == [("2026-01", "wall blue")]
        assert tiers.tally(tx) == TierCounts(0, 1, 1, 1, 8)
        assert queue.get(tx, "index", "ada/s1") is not None
    put(two, scope, step("f2", "summarised", "", freed=9))
    with two.read(scope) as tx:
        assert tiers.gists(tx, "ada", None) == []
        assert tiers.tally(tx) == TierCounts(0, 1, 1, 0, 17)
        assert [held.id for held in tiers.held(tx, "ada", None)] == ["f1"]
    assert states() == before


def test_a_step_changes_what_contexts_compare(two: Store, scope: Scope) -> None:
    def seen() -> object:
        with two.read(scope) as tx:
            return reach.changes(tx, None)

    before = seen()
    put(two, scope, step("f1", "compressed", "door red"))
    assert seen() != before


def test_a_step_about_a_state_that_ended_meanwhile_says_nothing(two: Store, scope: Scope) -> None:
    remember(
        two, scope, "s1", [note("The door is red.", id="f1", salience=0.9), note("The wall is blue.", id="f2", at=2)]
    )
    put(two, scope, step("f1", "summarised", "door red", period="2026-01"))
    assert texts(two, scope) == ["The door is red.", "The wall is blue."]
    with two.read(scope) as tx:
        assert tiers.gists(tx, "ada", None) == []
        assert {held.id for held in tiers.held(tx, "ada", None)} == {"f1", "f2"}


def test_what_another_session_closed_is_no_longer_held(two: Store, scope: Scope) -> None:
    put(two, scope, step("f1", "summarised", "door red", period="2026-01"))
    say(two, scope, "s2", ["Hello."])
    remember(
        two, scope, "s2", [], links=[Link("f1", "superseded", None, "painted"), Link("f2", "superseded", None, "x")]
    )
    with two.read(scope) as tx:
        assert tiers.gists(tx, "ada", None) == tiers.held(tx, "ada", None) == []
        assert tiers.tally(tx) == TierCounts()
    with two.write(scope) as tx:
        assert tiers.restore(tx, "ada", "s1") == 0


def test_a_finding_weighs_by_when_it_was_said_last(store: Store, scope: Scope) -> None:
    say(store, scope, "s1", ["Hello."])
    remember(store, scope, "s1", [note("The door is red.", id="f1", at=1)])
    with store.read(scope) as tx:
        (held,) = tiers.held(tx, "ada", None)
        assert (held.at, held.said, held.tier, held.told) == (tx.now, 1, "full", "The door is red.")
    put(store, scope, step("f1", "full", "The door is red."))
    with store.read(scope) as tx:
        assert tiers.held(tx, "ada", None)[0].at == 1


def test_erasing_the_one_that_was_told_instead_tells_its_twin_again(two: Store, scope: Scope) -> None:
    say(two, scope, "s2", ["Hello."])
    remember(two, scope, "s2", [note("The door is red now.", id="twin", session="s2")])
    put(two, scope, step("f1", "summarised", "", twin="twin"), step("f2", "compressed", "wall blue"))
    assert texts(two, scope) == ["wall blue"]
    lifecycle.delete(two, scope, "ada", "s2")
    assert texts(two, scope) == ["The door is red.", "wall blue"]
    lifecycle.delete(two, scope, "ada", "s1")
    with two.read(scope) as tx:
        assert tx.conn.execute(sa.select(rows).where(rows.c.tenant == tx.tenant)).all() == []


def test_wishes_are_found_in_any_session_and_only_of_their_user(two: Store, scope: Scope) -> None:
    say(two, scope, "s3", ["Hello."], user="mara")
    wish = note("Always answer in French.", id="w", pinned=True, session="s3")
    remember(two, scope, "s3", [wish, note("The sky is grey.", session="s3")], user="mara")
    with two.read(scope) as tx:
        assert [f.id for f in snapshots.wishes(tx, "ada", "mara")] == ["w"]
        assert snapshots.wishes(tx, None, "nils") == snapshots.wishes(tx, None, None) == []
    with two.read(Scope("acme", agent="bob")) as tx:
        assert snapshots.wishes(tx, None, "mara") == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_contexts_and_eviction_read_is_found_by_an_index(two: Store, scope: Scope) -> None:
    asked: list[str] = []

    def note_plan(conn: Any, _cursor: Any, statement: str, given: Any, *_rest: Any) -> None:
        if statement.startswith("SELECT findings"):
            plan = conn.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", given)
            asked.extend(row[3] for row in plan)

    sa.event.listen(two.engine, "before_cursor_execute", note_plan)
    with two.read(scope) as tx:
        snapshots.latest(tx, "ada", "s1")
        snapshots.live(tx, KEY)
        snapshots.wishes(tx, "ada", None)
        tiers.held(tx, "ada", None)
        tiers.gists(tx, "ada", None)
    assert any("findings_now" in line for line in asked)
    assert any("findings_pinned" in line for line in asked)
    assert any("tiers_told" in line for line in asked)
    assert not [line for line in asked if line.startswith("SCAN")]
