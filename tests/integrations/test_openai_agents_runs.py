"""Whole runs of the OpenAI Agents SDK, against a provider on this machine: what the model is sent, and what is kept."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    InputGuardrailTripwireTriggered,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    RunState,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from agents.exceptions import UserError
from agents.memory import Session, SessionSettings
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from carryover.core.errors import Invalid, StoreUnavailable
from carryover.integrations import openai_agents_log
from carryover.integrations.openai_agents import CarryoverSession, StrategySession
from carryover.runtime import Carryover
from fakes.scripted import Scripted
from serving import open_memory

Items = list[Any]
LONG = "a parcel that is on its way " * 60


@dataclass
class Shop:
    """An agent with tools and its provider; `script` says what the model answers to an input."""

    fake: Scripted
    script: list[Callable[[Items], tuple[str, list[Any]]]] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    broken: bool = False

    def agent(self, **more: Any) -> Agent[Any]:
        def look(parcel: str) -> str:
            """Where a parcel is."""
            self.looked.append(parcel)
            return f"{parcel}: {LONG}"

        tools = [function_tool(look, needs_approval=more.pop("needs_approval", False))]
        http = DefaultAsyncHttpxClient(limits=httpx.Limits(max_keepalive_connections=0))  # loops come and go
        client = AsyncOpenAI(base_url=self.fake.openai_url, api_key="k", max_retries=0, http_client=http)
        return Agent(name="Ada", tools=tools, model=OpenAIResponsesModel("gpt-5", client), **more)

    @property
    def inputs(self) -> list[Items]:
        return [body["input"] for body in self.fake.bodies]


def rounds(said: Items) -> tuple[str, list[Any]]:
    """One call, then two at once, then the answer; anew for each question."""
    last = max(n for n, item in enumerate(said) if item.get("role") == "user")
    asked = text_of(said[last])
    done = sum(item.get("type") == "function_call_output" for item in said[last:])
    if done == 0:
        return "", [(f"{asked}-1", "look", {"parcel": f"{asked}-1"})]
    if done == 1:
        return "", [(f"{asked}-{n}", "look", {"parcel": f"{asked}-{n}"}) for n in (2, 3)]
    return f"all about {asked}", []


def text_of(item: Any) -> str:
    content = item["content"]
    return content if isinstance(content, str) else content[0]["text"]


@pytest.fixture
def shop() -> Iterator[Shop]:
    set_tracing_disabled(True)
    made: list[Shop] = []
    with Scripted(lambda body: made[0].script[0](body["input"]) if made[0].script else rounds(body["input"])) as fake:
        made.append(Shop(fake))
        yield made[0]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Carryover]:
    with open_memory(tmp_path / "memory") as opened:
        yield opened


@pytest.fixture(params=["log", "inner"])
def session(request: pytest.FixtureRequest, memory: Carryover, tmp_path: Path) -> Iterator[Any]:
    """A session over the log, and one around a session of the SDK."""
    if request.param == "log":
        yield CarryoverSession("s", memory=memory)
        return
    inner = SQLiteSession("s", tmp_path / "sdk.db")
    yield StrategySession(inner, "none")
    inner.close()


def kinds(items: Any) -> list[str]:
    return [str(item.get("type", item.get("role"))) for item in items]


def paired(items: Items) -> None:
    """Every result has its call before it, every call its result, and no reasoning stands last."""
    calls = [item["call_id"] for item in items if item.get("type") == "function_call"]
    results = [item["call_id"] for item in items if item.get("type") == "function_call_output"]
    assert sorted(calls) == sorted(results)
    assert all(kinds(items)[n + 1] != "user" for n, kind in enumerate(kinds(items)[:-1]) if kind == "reasoning")


ROUND = [
    "reasoning", "function_call", "function_call_output",
    "reasoning", "function_call", "function_call", "function_call_output", "function_call_output",
    "reasoning", "message",
]  # fmt: skip


async def ask(how: str, agent: Agent[Any], question: Any, session: Any, **more: Any) -> Any:
    if how == "run_streamed":
        result = Runner.run_streamed(agent, question, session=session, **more)
        async for _ in result.stream_events():
            pass
        return result
    if how == "run_sync":
        return await asyncio.to_thread(in_a_loop, lambda: Runner.run_sync(agent, question, session=session, **more))
    return await Runner.run(agent, question, session=session, **more)


def in_a_loop(work: Callable[[], Any]) -> Any:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return work()
    finally:
        loop.close()
        asyncio.set_event_loop(None)


@pytest.mark.parametrize("how", ["run", "run_streamed", "run_sync"])
def test_two_rounds_of_calls_are_kept_and_told_in_the_next_run(shop: Shop, session: Any, how: str) -> None:
    async def work() -> None:
        first = await ask(how, shop.agent(), "one", session)
        assert first.final_output == "all about one"
        assert [len(given) for given in shop.inputs] == [1, 4, 9]
        second = await ask(how, shop.agent(), "two", session)
        assert second.final_output == "all about two"
        stored = await session.get_items(limit=-1)
        assert kinds(stored) == ["user", *ROUND, "user", *ROUND]
        assert shop.inputs[3] == [*stored[:11], stored[11]]  # exactly what was kept, and the question
        assert all(given[: len(before)] == before for before, given in zip(shop.inputs, shop.inputs[1:], strict=False))
        assert shop.looked == ["one-1", "one-2", "one-3", "two-1", "two-2", "two-3"]

    asyncio.run(work())


def strategic(memory: Carryover, tmp_path: Path, kind: str, strategy: Any) -> Any:
    if kind == "log":
        return CarryoverSession("s", memory=memory, strategy=strategy)
    return StrategySession(SQLiteSession("s", tmp_path / "sdk.db"), strategy)


@pytest.mark.parametrize("kind", ["log", "inner"])
@pytest.mark.parametrize("how", ["run", "run_streamed"])
@pytest.mark.parametrize(
    "strategy",
    [
        {"mode": "trim", "max_user_turns": 4, "keep_last_turns": 2},
        {"mode": "compact", "compact_trigger_turns": 3, "compact_keep": 1, "clear_at_least_tokens": 100},
        {"mode": "trim", "token_budget": 4_000, "token_soft_budget": 3_000},
    ],
    ids=["trim", "compact", "budget"],
)
def test_a_strategy_bounds_what_the_model_is_sent_and_nothing_that_is_kept(
    shop: Shop, memory: Carryover, tmp_path: Path, kind: str, how: str, strategy: dict[str, Any]
) -> None:
    async def work() -> None:
        session = strategic(memory, tmp_path, kind, strategy)
        config = RunConfig(call_model_input_filter=session.as_input_filter())
        for n in range(10):
            await ask(how, shop.agent(), f"q{n}", session, run_config=config)
        stored = await session.get_items(limit=-1)
        assert kinds(stored) == ["user", *ROUND] * 10
        assert len(stored) == 110
        breaks = 0
        for before, given in zip(shop.inputs, shop.inputs[1:], strict=False):
            paired(given)
            breaks += given[: len(before)] != before
        assert 1 <= breaks <= 6  # of 29
        sizes = [len(json.dumps(given)) for given in shop.inputs]
        assert max(sizes) < 0.75 * len(json.dumps(stored))
        assert all(item in stored for given in shop.inputs for item in given if "removed: tool" not in str(item))

    asyncio.run(work())


@pytest.mark.parametrize("kind", ["log", "inner"])
def test_one_long_run_is_bounded_while_it_goes_on(shop: Shop, memory: Carryover, tmp_path: Path, kind: str) -> None:
    """Forty calls in one run; without the filter the SDK sends them all, each time."""

    def script(said: Items) -> tuple[str, list[Any]]:
        done = len(shop.looked)
        return ("", [(f"c{done}", "look", {"parcel": f"p{done}"})]) if done % 40 != 39 else ("done", [])

    async def work() -> None:
        shop.script = [script]
        strategy = {"mode": "compact", "compact_trigger_calls": 10, "keep_last_calls": 3, "clear_at_least_tokens": 100}
        session = strategic(memory, tmp_path, kind, strategy)
        config = RunConfig(call_model_input_filter=session.as_input_filter())
        await Runner.run(shop.agent(), "look after all", session=session, run_config=config, max_turns=60)
        stored = await session.get_items(limit=-1)
        assert kinds(stored).count("function_call_output") == 39
        assert "removed: tool" not in str(stored)
        breaks = 0
        for before, given in zip(shop.inputs, shop.inputs[1:], strict=False):
            paired(given)
            assert kinds(given)[0] == "user"
            assert LONG.strip() in str(given[-1])
            breaks += given[: len(before)] != before
        assert 2 <= breaks <= 6
        assert max(str(given).count(LONG) for given in shop.inputs) < 20
        shop.looked += ["before the next"]
        before = len(shop.inputs)
        await Runner.run(shop.agent(), "and again", session=session, run_config=config, max_turns=60)
        assert shop.inputs[before][: len(shop.inputs[before - 1])] == shop.inputs[before - 1]  # no break between runs

    asyncio.run(work())


def test_an_input_that_the_log_does_not_have_is_bounded_too(shop: Shop, memory: Carryover) -> None:
    async def work() -> None:
        session = CarryoverSession(
            "s", memory=memory, strategy={"mode": "trim", "max_user_turns": 4, "keep_last_turns": 2}
        )
        config = RunConfig(call_model_input_filter=session.as_input_filter())
        shop.script = [lambda said: (f"answer {len(said)}", [])]
        given = [{"role": "user" if n % 2 == 0 else "assistant", "content": f"line {n}"} for n in range(20)]
        await Runner.run(shop.agent(), given, run_config=config)  # type: ignore[arg-type]
        (sent,) = shop.inputs
        assert sent == given[-len(sent) :]
        assert 3 <= len(sent) <= 8
        assert memory.sessions()[0] == []  # nothing was written

    asyncio.run(work())


@pytest.mark.parametrize("how", ["run", "run_streamed"])
@pytest.mark.parametrize("fate", ["lost", "saved"])
def test_a_run_resumes_after_an_append_that_failed(
    shop: Shop, memory: Carryover, how: str, fate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an approved call the result could not be written, or was and nobody was told: it is there once."""
    monkeypatch.setattr(openai_agents_log, "PAUSES_S", ())
    append = Carryover.append

    async def work() -> None:
        session = CarryoverSession(
            "s", memory=memory, strategy={"mode": "trim", "max_user_turns": 1, "keep_last_turns": 1}
        )
        for n in range(3):
            await ask(how, shop.agent(), f"before {n}", session)
        agent = shop.agent(needs_approval=True)
        stopped = await ask(how, agent, "one", session)
        state = stopped.to_state()
        state.approve(stopped.interruptions[0])

        def fail(self: Carryover, request: Any) -> Any:
            monkeypatch.setattr(Carryover, "append", append)
            if fate == "saved":
                append(self, request)
            raise StoreUnavailable

        monkeypatch.setattr(Carryover, "append", fail)
        with pytest.raises(StoreUnavailable):
            await ask(how, agent, state, session)
        looked = list(shop.looked)
        again = await RunState.from_json(agent, state.to_json())
        resumed = await ask(how, agent, again, session)
        assert shop.looked == looked  # the call was not made twice
        while resumed.interruptions:
            state = resumed.to_state()
            for interruption in resumed.interruptions:
                state.approve(interruption)
            resumed = await ask(how, agent, state, session)
        assert resumed.final_output == "all about one"
        stored = await session.get_items(limit=-1)
        results = [item["call_id"] for item in stored if item.get("type") == "function_call_output"]
        assert results[-3:] == ["one-1", "one-2", "one-3"]
        assert len(results) == 12
        paired(stored)

    asyncio.run(work())


def test_a_run_that_waits_for_approval_goes_on_in_another_process(shop: Shop, session: Any) -> None:
    async def work() -> None:
        agent = shop.agent(needs_approval=True)
        result = await Runner.run(agent, "one", session=session)
        assert shop.looked == []
        while result.interruptions:
            state = await RunState.from_json(agent, json.loads(json.dumps(result.to_state().to_json())))
            for interruption in state.get_interruptions():
                state.approve(interruption)
            result = await Runner.run(agent, state, session=session)
        stored = await session.get_items(limit=-1)
        assert kinds(stored) == ["user", *ROUND]
        assert result.final_output == "all about one"

    asyncio.run(work())


def test_a_guardrail_that_trips_keeps_what_was_asked(shop: Shop, session: Any) -> None:
    async def refuse(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info="no", tripwire_triggered=True)

    async def work() -> None:
        agent = shop.agent(input_guardrails=[InputGuardrail(refuse, run_in_parallel=False)])
        with pytest.raises(InputGuardrailTripwireTriggered):
            await Runner.run(agent, "a bad question", session=session)
        assert await session.get_items() == [{"role": "user", "content": "a bad question"}]
        assert (await Runner.run(shop.agent(), "two", session=session)).final_output == "all about two"

    asyncio.run(work())


@pytest.mark.parametrize("kind", ["log", "inner"])
def test_a_callback_may_order_history_but_not_write_what_a_view_put_in(
    shop: Shop, memory: Carryover, tmp_path: Path, kind: str
) -> None:
    strategy = {"mode": "compact", "compact_trigger_turns": 2, "compact_keep": 1, "clear_at_least_tokens": 100}

    def last_first(history: Items, new: Items) -> Items:
        return [item for item in history if item.get("role") == "user"] + new

    def twice(history: Items, new: Items) -> Items:
        return history + [copy.deepcopy(item) for item in history if "removed: tool output" in str(item)] + new

    async def work() -> None:
        session = strategic(memory, tmp_path, kind, strategy)
        for n in range(5):
            await Runner.run(shop.agent(), f"q{n}", session=session)
        before = await session.get_items(limit=-1)
        await Runner.run(shop.agent(), "q5", session=session, run_config=RunConfig(session_input_callback=last_first))
        stored = await session.get_items(limit=-1)
        assert kinds(stored) == [*kinds(before), "user", *ROUND]
        with pytest.raises(Invalid, match="stands for other items in a view"):
            await Runner.run(shop.agent(), "q6", session=session, run_config=RunConfig(session_input_callback=twice))
        assert "removed: tool" not in str(await session.get_items(limit=-1))

    asyncio.run(work())


def test_what_a_filter_adds_is_sent_and_not_kept(shop: Shop, session: Any) -> None:
    async def work() -> None:
        bound = session.as_input_filter()

        async def with_note(data: Any) -> Any:
            sent = await bound(data)
            sent.input = [{"role": "developer", "content": "be brief"}, *sent.input]
            return sent

        await Runner.run(shop.agent(), "one", session=session, run_config=RunConfig(call_model_input_filter=with_note))
        assert all(given[0] == {"role": "developer", "content": "be brief"} for given in shop.inputs)
        assert kinds(await session.get_items()) == ["user", *ROUND]

    asyncio.run(work())


def test_the_limit_of_a_run_goes_before_the_strategy(shop: Shop, memory: Carryover, tmp_path: Path) -> None:
    async def work() -> None:
        session = CarryoverSession(
            "s", memory=memory, strategy={"mode": "trim", "max_user_turns": 2, "keep_last_turns": 1}
        )
        for n in range(4):
            await Runner.run(shop.agent(), f"q{n}", session=session)
        before, stored = len(shop.inputs), await session.get_items(limit=-1)
        for limit in (0, 1, 14):
            config = RunConfig(session_settings=SessionSettings(limit=limit))
            await Runner.run(shop.agent(), f"last {limit}", session=session, run_config=config)
        firsts = [given for given in shop.inputs[before:] if given[-1].get("role") == "user"]
        assert [len(given) for given in firsts][:2] == [1, 2]
        assert firsts[0][0]["content"] == "last 0"
        assert firsts[2][-1]["content"] == "last 14"
        paired(firsts[2])
        assert (await session.get_items(limit=-1))[: len(stored)] == stored

    asyncio.run(work())


@pytest.mark.parametrize("how", ["run", "run_streamed"])
def test_a_run_that_is_cancelled_in_mid_write_leaves_whole_batches(shop: Shop, memory: Carryover, how: str) -> None:
    """Cancelled at each write in turn; what the next run is told has calls with their results only."""

    async def work() -> None:
        for at in range(4):
            session = CarryoverSession(f"s{at}", memory=memory)
            add, count = session.add_items, 0
            started = asyncio.Event()

            async def slow(
                items: Any, *, wrapper: Any = None, at: int = at, add: Any = add, started: Any = started
            ) -> None:
                nonlocal count
                count += 1
                if count == at + 1:
                    started.set()
                await add(items, wrapper=wrapper)

            session.add_items = slow  # type: ignore[method-assign]
            running = asyncio.create_task(ask(how, shop.agent(), f"q{at}", session))
            await started.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            stored = await session.get_items(limit=-1)
            batches = [1, 3, 5, 2]
            assert len(stored) in {sum(batches[:n]) for n in range(5)}, stored
            session.add_items = add  # type: ignore[method-assign]
            result = await ask("run", shop.agent(), f"again {at}", session)
            assert result.final_output == f"all about again {at}"
            paired(shop.inputs[-1])

    asyncio.run(work())


def test_sessions_and_conversations_of_the_provider_do_not_mix(shop: Shop, session: Any) -> None:
    """Only there would the SDK compare a whole session with what it sent, and it refuses to begin."""

    async def work() -> None:
        with pytest.raises(UserError, match="Session persistence cannot be combined"):
            await Runner.run(shop.agent(), "one", session=session, conversation_id="conv_1")

    asyncio.run(work())
    assert isinstance(session, Session)
