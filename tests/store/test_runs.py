"""Runs: what happened in them is kept in its order, and they are found by session, by turn and by time."""

from __future__ import annotations

import pytest

from carryover.core.chat import RunEventType
from carryover.core.scope import Scope
from carryover.store import erasure, runs
from carryover.store.store import Store
from clocks import FrozenClock


def begun(
    store: Store, scope: Scope, run: str, seq: int, *, session: str = "s", end: RunEventType | None = None
) -> None:
    with store.write(scope) as tx:
        runs.add(tx, "a", session, run, 1, [("run_started", seq, {"model": "m"})])
        if end is not None:
            runs.add(tx, "a", session, run, 2, [("text", seq + 1, {"text": "ok"}), (end, None, {"reason": "r"})])


def test_events_come_back_as_they_were(store: Store, scope: Scope, clock: FrozenClock) -> None:
    output = {"output": "nul \x00, half a pair \ud800, emoji 🦆, and 'quotes\"", "n": [1, 2.5, None]}
    with store.write(scope) as tx:
        runs.add(tx, "a", "s", "run_1", 1, [("run_started", 1, {"model": "m"}), ("tool_output", 3, output)])
        runs.add(tx, "a", "s", "run_1", 3, [])
    clock.pass_(5)
    with store.write(scope) as tx:
        runs.add(tx, "a", "s", "run_1", 3, [("run_finished", None, {})])
    with store.read(scope) as tx:
        found = runs.events(tx, "a", "s", "run_1")
        assert runs.last_at(tx, "a", "s") == clock.at
    assert [(event.n, event.type, event.seq) for event in found] == [
        (1, "run_started", 1),
        (2, "tool_output", 3),
        (3, "run_finished", None),
    ]
    assert found[1].payload == output
    assert found[2].at == found[0].at + 5


def test_runs_are_listed_newest_first_with_their_last_events(store: Store, scope: Scope, clock: FrozenClock) -> None:
    begun(store, scope, "run_1", 1, end="run_finished")
    clock.pass_(1)
    begun(store, scope, "run_2", 5, end="run_failed")
    begun(store, scope, "run_3", 9)
    begun(store, scope, "run_4", 1, session="other")
    with store.read(scope) as tx:
        found = runs.listed(tx, "a", "s", limit=10)
        assert [(span.run_id, span.last.type, span.is_over) for span in found] == [
            ("run_3", "run_started", False),
            ("run_2", "run_failed", True),
            ("run_1", "run_finished", True),
        ]
        assert [span.run_id for span in runs.listed(tx, "a", "s", limit=1)] == ["run_3"]
        after = runs.listed(tx, "a", "s", limit=10, before=(found[0].first.at, "run_3"))
        assert [span.run_id for span in after] == ["run_2", "run_1"]
        assert [span.run_id for span in runs.of_turn(tx, "a", "s", 5)] == ["run_2"]
        assert runs.find(tx, "a", "s", "run_4") is None
        newest = runs.newest(tx, "a", "s", "text")
        assert newest is not None
        assert newest.seq == 6
        assert runs.newest(tx, "a", "s", "head") is None
        assert runs.last_at(tx, "a", "nobody") is None


def test_no_other_tenant_sees_a_run(store: Store, scope: Scope) -> None:
    begun(store, scope, "run_1", 1, end="run_finished")
    with store.read(Scope("other")) as tx:
        assert runs.listed(tx, "a", "s", limit=10) == []
        assert runs.events(tx, "a", "s", "run_1") == []
        assert runs.last_at(tx, "a", "s") is None


def test_an_erased_session_leaves_no_run(store: Store, scope: Scope) -> None:
    begun(store, scope, "run_1", 1, end="run_finished")
    begun(store, scope, "run_2", 1, session="other")
    with store.write(scope) as tx:
        assert erasure.erase(tx, "a", "s")["agent_run_events"] == 3
        assert runs.listed(tx, "a", "s", limit=10) == []
        assert len(runs.listed(tx, "a", "other", limit=10)) == 1


def test_an_event_is_written_once(store: Store, scope: Scope) -> None:
    begun(store, scope, "run_1", 1)
    with pytest.raises(Exception, match=r"(?i)unique"), store.write(scope) as tx:
        runs.add(tx, "a", "s", "run_1", 1, [("run_started", 1, {})])
