"""What trimming and compacting sessions are known to get wrong, tried on ours: over the log, and over any session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from agents.memory import SessionSettings, SQLiteSession
from agents.memory.session import Session

from carryover.core.errors import Invalid
from carryover.core.session import Turn, to_json
from carryover.core.strategy import Effective, Strategy
from carryover.core.text import content_tokens
from carryover.integrations.openai_agents import CarryoverSession, StrategySession
from carryover.runtime import Carryover
from carryover.strategies.plan import plan
from carryover.strategies.render import view_items
from carryover.strategies.resolve import RULES
from serving import open_memory
from strategies.logs import sketched

COMPACT: dict[str, Any] = {"mode": "compact", "compact_trigger_turns": 1, "compact_keep": 1, "keep_last_calls": None}
COMPACT |= {"clear_at_least_tokens": 1}
SUMMARIZE: dict[str, Any] = {"mode": "summarize", "max_user_turns": 4, "keep_last_turns": 4, "summary_max_tokens": 50}
OUTPUT = "what the tool has found " * 40


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Carryover]:
    with open_memory(tmp_path / "memory") as opened:
        yield opened


class Opener:
    """Opens sessions with a strategy: over our log, or around a session of the SDK's own."""

    def __init__(self, kind: str, memory: Carryover, folder: Path, closing: ExitStack) -> None:
        self.kind, self.memory, self.path = kind, memory, folder / "sdk.db"
        self._closing = closing
        self.asked: list[tuple[int, str | None]] = []

    def __call__(self, strategy: dict[str, Any], name: str = "s", settings: Any = None) -> Session:
        if self.kind == "carryover":
            return CarryoverSession(name, memory=self.memory, strategy=strategy, session_settings=settings)
        inner = SQLiteSession(name, self.path, session_settings=settings)
        self._closing.callback(inner.close)
        return StrategySession(inner, strategy, summarize=self._summarize)

    def _summarize(self, items: list[Any], before: str | None) -> str:
        self.asked.append((len(items), before))
        return f"summary {len(self.asked)}"

    def make_summaries(self) -> None:
        """What views asked for is there."""
        if self.kind == "carryover":
            self.memory.engine.worker.drain()


@pytest.fixture(params=["carryover", "sqlite"])
def opened(request: pytest.FixtureRequest, memory: Carryover, tmp_path: Path) -> Iterator[Opener]:
    with ExitStack() as closing:
        yield Opener(request.param, memory, tmp_path, closing)


def user(said: str) -> dict[str, Any]:
    return {"role": "user", "content": said}


def answer(said: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": said, "annotations": []}
    return {"type": "message", "id": f"msg_{said[:20]}", "role": "assistant", "status": "completed", "content": [part]}


def call(id: str, tool: str, arguments: str = '{"path": "a"}') -> dict[str, Any]:
    return {"type": "function_call", "call_id": id, "name": tool, "arguments": arguments}


def output(id: str, said: str = OUTPUT) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": said}


def worked(turns: int, tools: tuple[str, ...] = ("look", "write")) -> list[dict[str, Any]]:
    """Turns of a user, in each of which every tool is called once."""
    items: list[dict[str, Any]] = []
    for n in range(turns):
        items.append(user(f"question {n}"))
        items += [call(f"{tool}_{n}", tool, json.dumps({"text": "much to say " * 60})) for tool in tools]
        items += [output(f"{tool}_{n}") for tool in tools]
        items.append(answer(f"answer {n}"))
    return items


def turns_of(items: list[dict[str, Any]]) -> list[Turn]:
    """The items as neutral turns of a log."""
    turns: list[Turn] = []
    for seq, item in enumerate(items, 1):
        kind: Any = {"function_call": "tool_call", "function_call_output": "tool_result"}.get(item.get("type", ""))
        role = {"tool_call": "assistant", "tool_result": "tool"}.get(kind, item.get("role", "assistant"))
        said: Any = item.get("arguments", item.get("output", item.get("content")))
        body, tokens = to_json(said), content_tokens(said)
        told: Any = (item.get("name"), item.get("call_id"))
        turns.append(Turn(seq, f"t{seq}", role, body, kind or "message", seq, tokens, seq, *told))
    return turns


def test_1_adding_rewrites_nothing(opened: Opener) -> None:
    """Twenty at once, each through a session of its own, beside ten that are there: thirty, as they were."""

    async def run() -> None:
        await opened(COMPACT).add_items(worked(2))
        before = await opened(COMPACT).get_items(limit=100)
        assert before == worked(2)
        sessions = [opened(COMPACT) for _ in range(20)]
        await asyncio.gather(*(session.add_items([user(f"more {n}")]) for n, session in enumerate(sessions)))
        found = await opened(COMPACT).get_items(limit=100)
        assert found[:12] == before
        assert sorted(item["content"] for item in found[12:]) == sorted(f"more {n}" for n in range(20))

    asyncio.run(run())


def test_1_what_is_refused_leaves_all_that_was_there(opened: Opener) -> None:
    async def run() -> None:
        session = opened(COMPACT)
        await session.add_items(worked(2))
        with pytest.raises((Invalid, TypeError)):
            await session.add_items([user("fine"), {"role": "user", "content": {1, 2}}])
        assert await session.get_items(limit=100) == worked(2)

    asyncio.run(run())


def test_2_an_excluded_tool_is_known_by_the_id_of_its_calls(opened: Opener) -> None:
    async def run() -> None:
        session = opened({**COMPACT, "compact_exclude_tools": ["look"]})
        await session.add_items(worked(4))
        shown = {item["call_id"]: item for item in await session.get_items() if "output" in item}
        for n in range(4):
            assert shown[f"look_{n}"]["output"] == OUTPUT
        removed = "⟦removed: tool output for write (call_id=write_0); reason=context_compaction⟧"
        assert shown["write_0"]["output"] == removed

    asyncio.run(run())


def test_3_a_call_whose_input_is_cleared_is_still_that_call(opened: Opener) -> None:
    async def run() -> None:
        session = opened({**COMPACT, "clear_tool_inputs": True})
        await session.add_items(worked(4))
        found = await session.get_items()
        calls = [item for item in found if item.get("type") == "function_call"]
        outputs = [item for item in found if item.get("type") == "function_call_output"]
        assert [item["call_id"] for item in calls] == [f"{tool}_{n}" for n in range(4) for tool in ("look", "write")]
        assert sorted(item["call_id"] for item in outputs) == sorted(item["call_id"] for item in calls)
        assert [item["name"] for item in calls] == ["look", "write"] * 4
        arguments = [json.loads(item["arguments"]) for item in calls]
        assert all(isinstance(one, dict) for one in arguments)
        assert "removed: tool input for look" in json.dumps(arguments[0], ensure_ascii=False)
        assert "much to say" in arguments[-1]["text"]

    asyncio.run(run())


def test_4_what_was_cleared_is_not_cleared_again(opened: Opener) -> None:
    async def run() -> None:
        session = opened(COMPACT)
        await session.add_items(worked(4))
        first = await session.get_items()
        for _ in range(3):
            assert await session.get_items() == first
        await session.add_items([user("one more"), answer("and its answer")])
        again = await session.get_items()
        assert json.dumps(again, ensure_ascii=False).count("removed: tool output") == 8
        for was, now in zip(first, again, strict=False):
            assert now == was or "removed" in str(now)

    asyncio.run(run())


def test_5_a_summary_is_made_once_for_what_is_new(opened: Opener) -> None:
    """Twelve turns, of which four stay, with a look at each of them: one summary for each turn that left, no more."""

    async def run() -> list[int]:
        session, made = opened(SUMMARIZE), list[int]()
        for n in range(12):
            await session.add_items([user(f"Please check the crane at berth {n}. " * 12), answer("I did. " * 60)])
            for _ in range(3):
                await session.get_items()
                opened.make_summaries()
            made.append(_summaries_made(opened))
        found = await session.get_items()
        roles = [item["role"] for item in found]
        assert roles == ["user", "assistant"] * 5
        assert found[0]["content"] == "[summary] prior context"
        assert "at berth 8." in found[2]["content"]
        return made

    assert asyncio.run(run()) == [0, 0, 0, 0, *range(1, 9)]


def _summaries_made(opened: Opener) -> int:
    if opened.kind != "carryover":
        return len(opened.asked)
    with opened.memory.engine.store.engine.connect() as conn:
        return conn.exec_driver_sql("SELECT count(*) FROM summaries WHERE status = 'ready'").scalar_one()


def test_5_a_summary_goes_on_from_the_one_before(memory: Carryover, tmp_path: Path) -> None:
    """It is given what is new and the text before it, and from time to time the turns themselves again."""

    async def run() -> None:
        with ExitStack() as closing:
            opener = Opener("sqlite", memory, tmp_path, closing)
            session = opener({**SUMMARIZE, "summary_rebase_every": 2})
            for n in range(9):
                await session.add_items([user(f"question {n} " * 60), answer(f"answer {n}")])
                await session.get_items()
            assert opener.asked == [
                (2, None),
                (2, "summary 1"),
                (2, "summary 2"),
                (8, None),
                (2, "summary 4"),
            ]

    asyncio.run(run())


def test_5_where_no_summary_can_be_made_nothing_is_dressed_as_one(memory: Carryover, tmp_path: Path) -> None:
    def broken(items: list[Any], before: str | None) -> str:
        raise RuntimeError("the model is away")

    async def run() -> None:
        with ExitStack() as closing:
            inner = SQLiteSession("s", tmp_path / "sdk.db")
            closing.callback(inner.close)
            session = StrategySession(inner, {**SUMMARIZE, "token_budget": 2_000}, summarize=broken)
            items = [item for n in range(12) for item in (user(f"question {n} " * 60), answer(f"answer {n}"))]
            await session.add_items(items)
            found = await session.get_items()
            assert [item for item in found if item not in items] == []
            assert found == items[-len(found) :]

    asyncio.run(run())


def test_6_a_session_says_who_it_is(opened: Opener) -> None:
    session = opened({"mode": "trim"}, "support-42", SessionSettings(limit=3))
    assert isinstance(session, Session)
    assert session.session_id == "support-42"
    assert session.session_settings == SessionSettings(limit=3)

    async def run() -> None:
        await session.add_items(worked(2))
        assert await session.get_items() == worked(2)[-3:]

    asyncio.run(run())


def test_7_each_field_is_inherited_by_itself(memory: Carryover) -> None:
    memory.log_turn("s", "user", "Hello.")
    memory.strategies.set_agent("default", {"mode": "trim", "max_user_turns": 9, "token_budget": 5_000})
    told: Effective = memory.strategies.set_conversation("s", {"keep_last_turns": 2})
    found = (
        told.strategy.mode,
        told.strategy.max_user_turns,
        told.strategy.keep_last_turns,
        told.strategy.token_budget,
    )
    assert found == ("trim", 9, 2, 5_000)
    assert {told.sources[name] for name in ("mode", "max_user_turns", "token_budget")} == {"agent"}
    assert told.sources["keep_last_turns"] == "conversation"


def test_7_every_field_can_be_set_for_a_conversation(memory: Carryover) -> None:
    memory.log_turn("s", "user", "Hello.")
    every = {name: value for name, value in vars_of(Strategy()).items() if value is not None}
    assert set(memory.strategies.set_conversation("s", every).stored) == set(every)
    assert set(RULES) >= set(every)


def vars_of(strategy: Strategy) -> dict[str, Any]:
    told = {name: getattr(strategy, name) for name in RULES}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


def test_7_arguments_and_outputs_count(opened: Opener) -> None:
    """Two turns with little talk and much work: the budget sees the work."""

    async def run() -> None:
        session = opened({"mode": "trim", "token_budget": 700})
        await session.add_items(worked(2))
        found = await session.get_items()
        assert found == worked(2)[6:]

    asyncio.run(run())
    turns = turns_of(worked(2))
    made = plan(sketched(turns), Strategy(mode="trim", token_budget=700))
    assert made.tokens_before > 4 * len(OUTPUT) // 4
    assert [item.seq for item in view_items(turns, Strategy(mode="trim", token_budget=700))] == list(range(7, 13))
