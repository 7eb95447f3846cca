"""Strategies and views, embedded and over HTTP: same verbs, same answers, same errors."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carryover.client.aclient import AsyncClient
from carryover.client.client import Client
from carryover.core.errors import CarryoverError, Invalid, NotFound, VersionConflict
from carryover.core.session import Append, Draft
from carryover.core.strategy import FIELDS, FORMATS, MODES, Format, Mode
from carryover.runtime import Carryover
from serving import Running, open_memory, serving

Memory = Carryover | Client
TURNS = tuple(
    draft for n in range(50) for draft in (Draft("user", f"question {n}"), Draft("assistant", f"answer {n} " * 20))
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with open_memory(tmp_path) as embedded:
        embedded.append(Append("s", TURNS))
        with serving(embedded) as server:
            yield server


def test_nobody_has_set_anything(memory: Memory) -> None:
    found = memory.strategies.effective("s")
    assert (found.agent_id, found.session_id, found.stored, found.version) == ("default", "s", {}, 0)
    assert found.strategy.mode == "none"
    assert found.sources == dict.fromkeys(FIELDS, "default")
    agent = memory.strategies.agent("default")
    assert (agent.agent_id, agent.session_id, agent.stored, agent.version) == ("default", None, {}, 0)


def test_fields_are_set_inherited_cleared_and_told_with_their_sources(memory: Memory) -> None:
    tools = ("read", "rg")
    agent = memory.strategies.set_agent(
        "default", {"mode": "trim", "max_user_turns": 30, "compact_exclude_tools": tools, "token_keep_pct": 1}
    )
    assert agent.stored == {
        "mode": "trim", "max_user_turns": 30, "compact_exclude_tools": list(tools), "token_keep_pct": 1.0,
    }  # fmt: skip
    assert (agent.version, agent.strategy.compact_exclude_tools, agent.sources["mode"]) == (1, tools, "agent")
    mine = memory.strategies.set_conversation("s", {"max_user_turns": 20})
    assert (mine.stored, mine.version) == ({"max_user_turns": 20}, 1)
    assert (mine.strategy.mode, mine.strategy.max_user_turns, mine.strategy.keep_last_turns) == ("trim", 20, 10)
    assert [mine.sources[name] for name in ("mode", "max_user_turns", "keep_last_turns")] == [
        "agent", "conversation", "default",
    ]  # fmt: skip
    assert memory.strategies.effective("s") == mine
    more = memory.strategies.set_conversation("s", {"keep_last_turns": 15, "max_user_turns": None})
    assert (more.stored, more.version, more.strategy.max_user_turns) == ({"keep_last_turns": 15}, 2, 30)
    assert memory.strategies.set_conversation("s", {"mode": "none"}).strategy.mode == "none"
    cleared = memory.strategies.set_conversation("s", {"mode": None, "keep_last_turns": None})
    assert (cleared.stored, cleared.version) == ({}, 4)
    assert (cleared.strategy, cleared.sources) == (agent.strategy, agent.sources)
    assert memory.strategies.set_conversation("s", {}) == cleared
    replaced = memory.strategies.set_agent("default", {"mode": "compact"})
    assert (replaced.stored, replaced.version) == ({"mode": "compact"}, 2)
    assert memory.strategies.agent("default") == replaced
    assert memory.strategies.set_agent("default", {"mode": None}).stored == {}


def test_a_view_follows_what_is_set_and_a_request_changes_nothing(memory: Memory) -> None:
    whole = memory.strategies.view("s")
    assert (len(whole.items), whole.version, whole.cut_seq, whole.over_budget) == (100, 100, 1, False)
    assert whole.tokens_before == whole.tokens_after
    this_once = memory.strategies.view("s", strategy={"mode": "trim", "max_user_turns": 10}, dry_run=True)
    assert (this_once.strategy.mode, this_once.sources["mode"]) == ("trim", "request")
    assert len(this_once.items) < 25
    assert [one.op for one in this_once.operations] == ["omit", "keep"]
    assert (this_once.operations[0].first, this_once.operations[-1].last) == (1, 100)
    assert memory.strategies.effective("s").version == 0
    assert memory.strategies.view("s") == whole
    memory.strategies.set_conversation("s", {"mode": "trim", "max_user_turns": 10})
    now = memory.strategies.view("s")
    assert (now.items, now.hash) == (this_once.items, this_once.hash)
    assert now.etag != this_once.etag  # it says who said so, too
    assert now.sources["mode"] == "conversation"
    assert memory.strategies.view("s", strategy={"mode": "none"}).items == whole.items
    assert memory.strategies.view("s", strategy={"mode": None}).items == now.items
    assert memory.strategies.view("s", strategy={}).items == now.items


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", MODES)
def test_a_view_is_the_same_over_http(running: Running, format: Format, mode: Mode) -> None:
    calls = [
        Draft("assistant", [{"arguments": '{"path": "ä"}'}], kind="tool_call", name="read", call_id="c1"),
        Draft("tool", "text \u0000 " * 999, kind="tool_result", call_id="c1"),
        Draft("assistant", [{"type": "text", "text": "done", "n": 1.5}], metadata={"k": None}),
    ]
    running.memory.append(Append("s", tuple(calls)))
    asked = {"mode": mode, "max_user_turns": 10, "compact_keep": 0, "keep_last_calls": 0, "memory_injection": True}
    embedded = running.memory.strategies.view("s", strategy=asked, format=format, dry_run=True)
    with Client(running.url) as client:
        assert client.strategies.view("s", strategy=asked, format=format, dry_run=True) == embedded
    assert embedded.format == format


def test_what_gave_way_is_told(memory: Memory) -> None:
    memory.strategies.set_agent("default", {"mode": "trim", "max_user_turns": 10})
    found = memory.strategies.set_conversation("s", {"keep_last_turns": 30})
    assert (found.strategy.keep_last_turns, found.sources["keep_last_turns"]) == (5, "default")
    assert "keep_last_turns 30 (said by the conversation) is above" in found.warnings[0]
    assert len(memory.strategies.view("s").items) <= 20


def test_a_version_that_is_not_expected_is_a_conflict(memory: Memory) -> None:
    first = memory.strategies.set_conversation("s", {"mode": "trim"}, expected_version=0)
    assert memory.strategies.set_conversation("s", {"mode": "none"}, expected_version=first.version).version == 2
    for act in (
        lambda: memory.strategies.set_conversation("s", {"mode": "trim"}, expected_version=1),
        lambda: memory.strategies.set_agent("default", {}, expected_version=2),
    ):
        with pytest.raises(VersionConflict) as refusal:
            act()
        assert set(refusal.value.facts) == {"current_version"}
    assert memory.strategies.effective("s").stored == {"mode": "none"}


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    stored=st.fixed_dictionaries(
        {},
        optional={
            "mode": st.sampled_from(["none", "trim", "compact"]),
            "max_user_turns": st.integers(10, 20),
            "memory_injection": st.booleans(),
            "token_keep_pct": st.floats(0, 1),
        },
    )
)
def test_what_is_set_and_cleared_is_as_never_set(running: Running, stored: dict[str, Any]) -> None:
    memory = running.memory
    before = memory.strategies.effective("s")
    assert memory.strategies.set_conversation("s", stored).stored == stored
    after = memory.strategies.set_conversation("s", dict.fromkeys(stored))
    assert (after.stored, after.strategy, after.sources, after.warnings) == (
        {}, before.strategy, before.sources, before.warnings,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "field", "act"),
    [
        (NotFound, None, lambda s: s.effective("nobody")),
        (NotFound, None, lambda s: s.effective("s", agent="nobody")),
        (NotFound, None, lambda s: s.effective("a/b")),
        (NotFound, None, lambda s: s.set_conversation("nobody", {"mode": "trim"})),
        (NotFound, None, lambda s: s.view("nobody")),
        (NotFound, None, lambda s: s.view("s", agent="é")),
        (Invalid, "agent_id", lambda s: s.agent("é")),
        (Invalid, "agent_id", lambda s: s.set_agent("a b", {})),
        (Invalid, "agent_id", lambda s: s.set_agent("a" * 129, {})),
        (Invalid, "mdoe", lambda s: s.set_conversation("s", {"mdoe": "trim"})),
        (Invalid, "7", lambda s: s.set_conversation("s", {7: "trim"})),
        (Invalid, "é\u0000", lambda s: s.set_conversation("s", {"é\0": "trim"})),
        (Invalid, "expected_version", lambda s: s.set_agent("default", {"expected_version": 0})),
        (Invalid, "expected_version", lambda s: s.view("s", strategy={"expected_version": 0})),
        (Invalid, "mode", lambda s: s.set_conversation("s", {"mode": b"trim"})),
        (Invalid, "mode", lambda s: s.view("s", strategy={"mode": object()})),
        (Invalid, "mode", lambda s: s.set_conversation("s", {"mode": "trm"})),
        (Invalid, "mode", lambda s: s.set_agent("default", {"mode": ["trim"]})),
        (Invalid, "max_user_turns", lambda s: s.set_agent("default", {"max_user_turns": True})),
        (Invalid, "max_user_turns", lambda s: s.set_agent("default", {"max_user_turns": 10**50})),
        (Invalid, "token_keep_pct", lambda s: s.set_conversation("s", {"token_keep_pct": math.nan})),
        (Invalid, "token_keep_pct", lambda s: s.view("s", strategy={"token_keep_pct": 2})),
        (Invalid, "placeholder", lambda s: s.view("s", strategy={"placeholder": "{who}"})),
        (Invalid, "placeholder", lambda s: s.view("s", strategy={"placeholder": "\ud800"})),
        (Invalid, "keep_last_turns", lambda s: s.view("s", strategy={"keep_last_turns": 3, "max_user_turns": 2})),
        (Invalid, "keep_last_turns", lambda s: (s.set_agent("default", {"max_user_turns": 2}),
                                                s.set_agent("default", {"keep_last_turns": 3, "max_user_turns": 2}))),
        (Invalid, "keep_last_turns", lambda s: (s.set_conversation("s", {"max_user_turns": 2}),
                                                s.set_conversation("s", {"keep_last_turns": 3}))),
        (Invalid, "memory_strategy", lambda s: s.set_conversation("s", ["mode"])),
        (Invalid, "memory_strategy", lambda s: s.set_agent("default", None)),
        (Invalid, "memory_strategy", lambda s: s.view("s", strategy="trim")),
        (Invalid, "provider", lambda s: s.view("s", format="gemini")),
    ],
)  # fmt: skip
def test_errors_are_the_same(memory: Memory, kind: type[CarryoverError], field: str | None, act: Any) -> None:
    with pytest.raises(CarryoverError) as refusal:
        act(memory.strategies)
    assert type(refusal.value) is kind
    assert refusal.value.facts.get("field") == field


def test_an_async_program_does_the_same(running: Running) -> None:
    async def act() -> None:
        async with AsyncClient(running.url) as client:
            agent = await client.strategies.set_agent("default", {"mode": "trim", "max_user_turns": 12})
            assert await client.strategies.agent("default") == agent
            mine = await client.strategies.set_conversation("s", {"keep_last_turns": 4})
            assert await client.strategies.effective("s") == mine
            shown = await client.strategies.view("s", strategy={"keep_last_turns": 6})
            assert (shown.sources["keep_last_turns"], shown.sources["mode"]) == ("request", "agent")

    asyncio.run(act())
