"""However a conversation and its strategies change, a view is a function of the log and of what is set by now."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from carryover.core.errors import Invalid, VersionConflict
from carryover.core.scope import Scope
from carryover.core.session import Draft, Turn, retraction
from carryover.core.strategy import FORMATS, MODES, Format, View
from carryover.store.store import Store
from carryover.strategies.kept import Kept
from carryover.strategies.verbs import Strategies
from clocks import FrozenClock
from fuzz.lengths import TIMEOUT_S, lasting
from logbook import Book

pytestmark = pytest.mark.timeout(TIMEOUT_S)
TENANTS = count()
NAMES = st.sampled_from(["s", "t"])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "mode": st.sampled_from(MODES),
    "max_user_turns": st.integers(1, 4),
    "keep_last_turns": st.integers(1, 3),
    "token_budget": st.sampled_from([60, 200, 2_000]),
    "keep_last_calls": st.none() | st.integers(0, 3),
    "compact_trigger_turns": st.integers(1, 4),
    "compact_keep": st.integers(1, 2),
    "clear_at_least_tokens": st.sampled_from([1, 100]),
    "clear_tool_inputs": st.booleans(),
    "placeholder": st.sampled_from(["[gone]", "é"]),
}
SET = st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in FIELDS.items()})
SIZES = st.sampled_from([1, 30, 300])


class Views(RuleBasedStateMachine):
    def __init__(self, store: Store, clock: FrozenClock) -> None:
        super().__init__()
        self.clock = clock
        self.scope = Scope(f"view{next(TENANTS)}")
        self.book = Book(store, scope=self.scope)
        self.kept = Strategies(store, self.scope, Kept())  # one that sees all of it happen, as a server does
        self.inherited: dict[str, Any] = {}
        self.own: dict[str, dict[str, Any]] = {"s": {}, "t": {}}
        self.versions = {"": 0, "s": 0, "t": 0}
        self.calls = count()
        self.open: dict[str, list[str]] = {"s": [], "t": []}

    @initialize(mode=st.sampled_from(MODES))
    def begin(self, mode: str) -> None:
        """Conversations that are long enough for something to be left out."""
        for name in self.own:
            self.book.append(name, Draft("system", "You are helpful."))
            for n in range(4):
                self.say(name, 30, "user")
                self.call(name, 30, "look", at_once=n != 2)
                self.say(name, 1, "assistant")
        self.set_agent({"mode": mode, "max_user_turns": 2, "keep_last_turns": 1, "keep_last_calls": 1,
                        "compact_trigger_turns": 2, "compact_keep": 1, "clear_at_least_tokens": 1})  # fmt: skip

    @rule(name=NAMES, size=SIZES, role=st.sampled_from(["user", "assistant"]))
    def say(self, name: str, size: int, role: Any) -> None:
        self.book.append(name, Draft(role, "word " * size))

    @rule(name=NAMES, size=SIZES, tool=st.sampled_from(["look", "write"]), at_once=st.booleans())
    def call(self, name: str, size: int, tool: str, at_once: bool) -> None:
        id = f"c{next(self.calls)}"
        drafts = [Draft("assistant", [{"path": "a " * size}], kind="tool_call", name=tool, call_id=id)]
        if at_once:
            drafts.append(Draft("tool", "found " * size, kind="tool_result", name=tool, call_id=id))
        else:
            self.open[name].append(id)
        self.book.append(name, *drafts)

    @rule(name=NAMES, size=SIZES)
    def result(self, name: str, size: int) -> None:
        """Of a call that waits for one, or of none that anybody made."""
        id = self.open[name].pop(0) if self.open[name] else "nobodys"
        self.book.append(name, Draft("tool", "late " * size, kind="tool_result", call_id=id))

    @rule(name=NAMES, data=st.data())
    def retract(self, name: str, data: st.DataObject) -> None:
        version = self.book.session(name).version
        first = data.draw(st.integers(1, version))
        self.book.append(name, retraction(first, data.draw(st.integers(first, version))))

    @rule(ms=st.sampled_from([0, 1_000, 400_000, -5_000]))
    def pass_(self, ms: int) -> None:
        self.clock.pass_(ms)

    @rule(name=NAMES, fields=SET, late=st.booleans())
    def set_conversation(self, name: str, fields: dict[str, Any], late: bool) -> None:
        if late:
            with pytest.raises((VersionConflict, Invalid)):
                self.kept.set_conversation(name, fields, expected_version=self.versions[name] + 1)
            return
        try:
            done = self.kept.set_conversation(name, fields, expected_version=self.versions[name])
        except Invalid:
            return  # the fields exclude each other: nothing was set, as the next look tells
        self.own[name] = {k: v for k, v in {**self.own[name], **fields}.items() if v is not None}
        self.versions[name] = done.version

    @rule(fields=SET)
    def set_agent(self, fields: dict[str, Any]) -> None:
        try:
            done = self.kept.set_agent("default", fields, expected_version=self.versions[""])
        except Invalid:
            return
        self.inherited = {name: value for name, value in fields.items() if value is not None}
        self.versions[""] = done.version

    @rule(name=NAMES, format=st.sampled_from(FORMATS), fields=SET, dry=st.booleans())
    def view(self, name: str, format: Format, fields: dict[str, Any], dry: bool) -> None:
        asked: dict[str, Any] = {"strategy": fields, "format": format, "dry_run": dry}
        try:
            seen = self.kept.view(name, **asked)
        except Invalid:
            with pytest.raises(Invalid):
                self.fresh().view(name, **asked)
            return
        again = self.fresh().view(name, **asked)
        assert (seen.items, seen.hash, seen.operations) == (again.items, again.hash, again.operations)
        assert seen.tokens_after == again.tokens_after
        holds(seen, self.book.turns(name))

    @invariant()
    def what_is_kept_is_what_is_made_anew(self) -> None:
        for name in self.own:
            seen, again = self.kept.view(name), self.fresh().view(name)
            assert (seen.items, seen.hash, seen.etag) == (again.items, again.hash, again.etag)
            holds(seen, self.book.turns(name))

    def fresh(self) -> Strategies:
        return Strategies(self.book.store, self.scope, Kept())

    @invariant()
    def what_is_set_is_in_force(self) -> None:
        for name in self.own:
            told = self.kept.effective(name)
            assert (told.stored, told.version) == (self.own[name], self.versions[name])
            layers = {**dict.fromkeys(self.inherited, "agent"), **dict.fromkeys(self.own[name], "conversation")}
            for field, layer in layers.items():
                if told.sources.get(field) == layer:
                    value = self.own[name].get(field, self.inherited.get(field))
                    assert getattr(told.strategy, field) == value
        told = self.kept.agent("default")
        assert (told.stored, told.version) == (self.inherited, self.versions[""])


def holds(view: View, turns: list[Turn]) -> None:
    """What is shown is of the log, in its order; calls go with their results; the budget is kept, or it says so."""
    assert view.version == len(turns)
    assert view.over_budget or view.tokens_after <= view.budget
    told = [seq for one in view.operations if one.op != "insert" for seq in range(one.first, one.last + 1)]
    assert told == [turn.seq for turn in turns]
    if view.format != "generic":
        return
    shown = [item for item in view.items if item.get("seq")]
    assert [item["seq"] for item in shown] == sorted({item["seq"] for item in shown})
    said = {turn.seq: turn for turn in turns}
    calls = {item["call_id"] for item in shown if item["kind"] == "tool_call"}
    results = [item["call_id"] for item in shown if item["kind"] == "tool_result"]
    assert set(results) <= calls
    for item in shown:
        if not item.get("replaced"):
            assert item["content"] == said[item["seq"]].content


def test_views_follow_from_the_log_and_what_is_set(store: Store, clock: FrozenClock, database_url: str) -> None:
    shorter = database_url.startswith("postgresql")
    run_state_machine_as_test(lambda: Views(store, clock), settings=lasting(2 if shorter else 7, 20))
