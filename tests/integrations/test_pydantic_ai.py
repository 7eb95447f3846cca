"""What a model sees of a run's messages, and the log of them, with agents that run."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI
from pydantic_ai import Agent, BinaryContent, ImageUrl, ModelRetry
from pydantic_ai.messages import (
    CachePoint,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    NativeToolCallPart,
    NativeToolReturnPart,
    RetryFeedbackPart,
    RetryInfo,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from carryover.core.errors import Invalid
from carryover.integrations.messages import Conversation
from carryover.integrations.pydantic_ai import SessionLog, ViewHistory, load_messages, load_view, log_run, view
from carryover.memories import Memory
from fakes.scripted import Call, Scripted
from strategies.formats import shapes

COMPACT = {"mode": "compact", "compact_trigger_turns": 3, "compact_keep": 1, "clear_at_least_tokens": 1}
TRIM = {"mode": "trim", "max_user_turns": 4, "keep_last_turns": 2}
STRATEGIES = ({"mode": "none"}, TRIM, COMPACT, COMPACT | {"clear_tool_inputs": True}, TRIM | {"token_budget": 300})
LONG = "line of output\n" * 40


class Script:
    """A model that calls two tools at once for what a user says, and then answers; what it saw is in `seen`."""

    def __init__(self) -> None:
        self.seen: list[list[ModelMessage]] = []

    def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        check(messages)
        self.seen.append(list(messages))
        if not any(isinstance(part, UserPromptPart) for part in messages[-1].parts):
            return ModelResponse([TextPart("That is what I found.")])
        n = len(self.seen)
        calls = [ToolCallPart("look", {"q": letter * 80}, f"call_{n}{letter}") for letter in "ab"]
        return ModelResponse([ThinkingPart("hm", signature="x"), TextPart("Let me look."), *calls])

    async def stream(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        parts = self(messages, info).parts
        calls = any(isinstance(part, ToolCallPart) for part in parts)
        for n, part in enumerate(parts):
            if isinstance(part, ToolCallPart):
                yield {n: DeltaToolCall(part.tool_name, part.args_as_json_str(), tool_call_id=part.tool_call_id)}
            elif isinstance(part, TextPart) and not calls:  # a text that is streamed first is a run's output
                for letter in part.content:
                    yield letter

    def agent(self, *capabilities: Any) -> Agent[None, str]:
        model = FunctionModel(self, stream_function=self.stream)
        agent = Agent(model, capabilities=capabilities, instructions="Be brief.")
        agent.tool_plain(look)
        return agent


def run(agent: Agent[None, Any], prompt: str, **kwargs: Any) -> Any:
    """The run, in an event loop that is closed afterwards."""
    return asyncio.run(agent.run(prompt, **kwargs))


def look(q: str) -> str:
    """Look something up."""
    return LONG


def check(messages: Sequence[ModelMessage]) -> None:
    """Each result has its call in the response before it, and each call its result in the request after it."""
    asked: set[str] = set()
    assert messages[-1].kind == "request"
    for message in messages:
        assert message.parts
        if isinstance(message, ModelResponse):
            assert not asked, f"calls without results: {asked}"
            asked = {part.tool_call_id for part in message.parts if isinstance(part, ToolCallPart)}
            continue
        for part in message.parts:
            if isinstance(part, ToolReturnPart):
                assert part.tool_call_id in asked, f"nobody asked for {part!r}"
                asked.remove(part.tool_call_id)
            elif isinstance(part, UserPromptPart):
                assert not asked, f"calls without results: {asked}"


def test_a_long_conversation_keeps_its_history_and_shows_a_view() -> None:
    script = Script()
    agent = script.agent(ViewHistory(COMPACT))
    history: list[ModelMessage] = []
    for n in range(8):
        history = run(agent, f"question {n}", message_history=history).all_messages()
    assert len(history) == 8 * 4
    assert "removed" not in str(history)
    last = script.seen[-1]
    results = [part for message in last for part in message.parts if isinstance(part, ToolReturnPart)]
    cleared = [part for part in results if part.content != LONG]
    assert len(results) == 16
    assert len(cleared) >= 8
    first = cleared[0]
    assert first.content == "⟦removed: tool output for look (call_id=call_1a); reason=context_compaction⟧"
    assert (first.tool_name, first.tool_call_id) == ("look", "call_1a")


def test_the_beginning_stays_from_request_to_request() -> None:
    script = Script()
    agent = script.agent(ViewHistory(TRIM))
    history: list[ModelMessage] = []
    for n in range(30):
        history = run(agent, f"question {n}", message_history=history).all_messages()
    # The newest request is stamped when it is sent, so that only what is before it is compared.
    seen = [[ModelMessagesTypeAdapter.dump_json([message]) for message in messages[:-1]] for messages in script.seen]
    breaks = sum(before != after[: len(before)] for before, after in itertools.pairwise(seen))
    assert breaks == 9
    assert max(map(len, script.seen)) <= 4 * 4 + 3


def test_runs_are_logged_as_they_end(memory: Memory) -> None:
    script = Script()
    agent = script.agent(ViewHistory(TRIM), SessionLog(memory, "s", user="ada"))
    for n in range(6):
        run(agent, f"question {n}", message_history=load_messages(memory, "s"))
    history = load_messages(memory, "s")
    assert len(history) == 6 * 4
    assert [part.content for message in history for part in message.parts if isinstance(part, UserPromptPart)] == [
        f"question {n}" for n in range(6)
    ]
    session, turns = memory.turns("s")
    assert (session.version, session.user_id) == (6 * 7, "ada")
    told = [(turn.kind, turn.role) for turn in turns[:7]]
    assert told == [
        ("message", "user"),
        ("message", "assistant"),
        *[("tool_call", "assistant")] * 2,
        *[("tool_result", "tool")] * 2,
        ("message", "assistant"),
    ]
    assert json.loads(turns[2].content) == {"q": "a" * 80}  # type: ignore[arg-type]
    assert turns[4].content == LONG


def test_a_run_is_logged_once_and_comes_back_as_it_was(memory: Memory) -> None:
    agent = Script().agent()
    first = run(agent, "question 0")
    done = log_run(memory, "s", first)
    assert done is not None
    assert done.saved
    again = log_run(memory, "s", first)
    assert again is not None
    assert not again.saved
    second = run(agent, "question 1", message_history=load_messages(memory, "s"))
    log_run(memory, "s", second)
    assert load_messages(memory, "s") == second.all_messages()
    assert load_messages(memory, "nothing") == []


def test_streamed_and_failed_runs_are_logged(memory: Memory) -> None:
    script = Script()
    agent = script.agent(SessionLog(memory))

    async def work() -> tuple[str, str]:
        async with agent.run_stream("question 0", conversation_id="c1") as streamed:
            said = await streamed.get_output()
        async with agent.run_stream_events("question 1", conversation_id="c2") as events:
            assert [event async for event in events]
        return said, "c2"

    assert asyncio.run(work())[0] == "That is what I found."
    for conversation in ("c1", "c2"):
        assert [message.kind for message in load_messages(memory, conversation)] == ["request", "response"] * 2

    def broken(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if len(messages) > 1:
            raise RuntimeError("the model is gone")
        return ModelResponse([ToolCallPart("look", {"q": "a"}, "c1")])

    failing = Agent(FunctionModel(broken), capabilities=[SessionLog(memory, "failed")])
    failing.tool_plain(look)
    with pytest.raises(RuntimeError, match="gone"):
        run(failing, "question 0")
    kept = load_messages(memory, "failed")
    assert [message.kind for message in kept] == ["request", "response", "request"]
    # The next run goes on from there.
    again = run(script.agent(SessionLog(memory, "failed")), "question 1", message_history=kept)
    assert len(load_messages(memory, "failed")) == 3 + len(again.new_messages())


def test_parts_of_every_kind_come_back(memory: Memory) -> None:
    told: list[ModelMessage] = [
        ModelRequest(
            [
                SystemPromptPart("Be brief."),
                UserPromptPart(
                    ["Look", ImageUrl("https://a.example/b.png"), BinaryContent(b"\x00\xff", media_type="image/png")]
                ),
                UserPromptPart([CachePoint(), "again"]),
            ],
            instructions="Be kind.",
        ),
        ModelResponse(
            [
                ThinkingPart("hm", signature="x", provider_name="anthropic"),
                NativeToolCallPart("web_search", {"query": "q"}, "n1", provider_name="anthropic"),
                NativeToolReturnPart("web_search", [{"url": "u"}], "n1", provider_name="anthropic"),
                TextPart("So", provider_details={"k": 1}),
                ToolCallPart("look", '{"q": 1}', "c1"),
                ToolCallPart("look", {"q": 2}, "c2"),
            ],
            provider_details={"a": [1]},
            finish_reason="tool_call",
        ),
        ModelRequest(
            [
                ToolReturnPart("look", {"rows": [1, 2.5]}, "c1", metadata={"kept": True}),
                ToolReturnPart("look", "wrong", "c2", outcome="failed"),
                RetryFeedbackPart("Say it again.", retry=RetryInfo(cause="model_retry")),
            ]
        ),
    ]
    run: Any = SimpleNamespace(run_id="run-1", new_messages=lambda: told)
    log_run(memory, "s", run)
    loaded = load_messages(memory, "s")
    assert ModelMessagesTypeAdapter.dump_json(loaded) == ModelMessagesTypeAdapter.dump_json(told)
    assert view(told, {"mode": "none"})[0] is told[0]
    assert [turn.kind for turn in memory.turns("s")[1]] == [
        *("message", "message", "message"),
        *("message", "tool_call", "tool_call"),
        *("tool_result", "tool_result", "message"),
    ]


def test_the_view_of_a_log(memory: Memory) -> None:
    agent = Script().agent(SessionLog(memory, "s"))
    for n in range(8):
        run(agent, f"question {n}", message_history=load_messages(memory, "s"))
    whole = load_messages(memory, "s")
    assert load_view(memory, "s") == whole
    shown = load_view(memory, "s", strategy=COMPACT)
    assert len(shown) == len(whole)
    assert "⟦removed" in str(shown[2])
    memory.strategies.set_conversation("s", TRIM)
    cut = load_view(memory, "s")
    assert cut == whole[-len(cut) :]
    assert len(cut) == 2 * 4
    check([*cut, ModelRequest([UserPromptPart("next")])])


def test_what_others_logged_is_shown_too(memory: Memory) -> None:
    memory.log_turn("s", "system", "Be brief.")
    memory.log_turn("s", "user", "question 0")
    memory.log_turn("s", "assistant", "That is it.")
    for found in (load_messages(memory, "s"), load_view(memory, "s")):
        parts = [part for message in found for part in message.parts]
        assert [(type(part), getattr(part, "content", None)) for part in parts] == [
            (SystemPromptPart, "Be brief."),
            (UserPromptPart, "question 0"),
            (TextPart, "That is it."),
        ]


def test_what_a_provider_was_told_is_shown_too(memory: Memory) -> None:
    chat = Conversation(memory, "s", "anthropic")
    calls = [{"type": "tool_use", "id": f"c{n}", "name": "look", "input": {"q": n}} for n in (1, 2)]
    results = [{"type": "tool_result", "tool_use_id": f"c{n}", "content": f"out {n}"} for n in (1, 2)]
    chat.add("question", {"role": "assistant", "content": [{"type": "text", "text": "Let me look."}, *calls]})
    chat.add({"role": "user", "content": results})
    for found in (load_messages(memory, "s"), load_view(memory, "s")):
        check(found)
        assert [[part.part_kind for part in message.parts] for message in found] == [
            ["user-prompt"],
            ["text", "tool-call", "tool-call"],
            ["tool-return", "tool-return"],
        ]
        asked = found[1].parts[2]
        assert isinstance(asked, ToolCallPart)
        assert (asked.tool_name, asked.args_as_dict(), asked.tool_call_id) == ("look", {"q": 2}, "c2")
        assert [part.tool_name for part in found[2].parts if isinstance(part, ToolReturnPart)] == ["look", "look"]


def test_a_strategy_that_cannot_be() -> None:
    with pytest.raises(Invalid, match="mode"):
        ViewHistory({"mode": "trimm"})


def answers(body: dict[str, Any]) -> tuple[str, list[Call]]:
    """Two calls at once for what a user says; a text once their results are there. What is asked is valid."""
    if "messages" in body:
        shapes.messages(json.loads(json.dumps(body["messages"])))
        last = body["messages"][-1]["content"]
        answered = any(block["type"] == "tool_result" for block in last)
    else:
        shapes.responses(body["input"])
        answered = body["input"][-1].get("type") == "function_call_output"
    if answered:
        return "That is what I found.", []
    n = json.dumps(body).count("question")
    return "Let me look.", [(f"call_{n}a", "look", {"q": "a"}), (f"call_{n}b", "look", {"q": "b"})]


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_with_the_models_of_providers(memory: Memory, provider: str) -> None:
    async def work(fake: Scripted) -> None:
        if provider == "anthropic":
            client: Any = AsyncAnthropic(api_key="k", base_url=fake.url)
            model: Any = AnthropicModel("claude-x", provider=AnthropicProvider(anthropic_client=client))
        else:
            client = AsyncOpenAI(api_key="k", base_url=fake.openai_url)
            model = OpenAIResponsesModel("gpt-x", provider=OpenAIProvider(openai_client=client))
        agent = Agent(model, capabilities=[ViewHistory(COMPACT), SessionLog(memory, "s")])
        agent.tool_plain(look)
        async with client:
            for n in range(6):
                await agent.run(f"question {n}", message_history=load_messages(memory, "s"))

    with Scripted(answers) as fake:
        asyncio.run(work(fake))
        assert "removed: tool output for look" in json.dumps(fake.bodies[-1])
    history = load_messages(memory, "s")
    assert len(history) == 6 * 4
    assert "removed" not in str(history)


def test_a_retried_tool_and_a_structured_output(memory: Memory) -> None:
    tries = iter(range(10))
    agent = Agent(TestModel(), output_type=int, capabilities=[ViewHistory(TRIM), SessionLog(memory, "s")])

    @agent.tool_plain
    def flaky(x: int) -> int:
        if next(tries) == 0:
            raise ModelRetry("once more")
        return x

    told: list[ModelMessage] = []
    for n in range(6):
        result = run(agent, f"question {n}", message_history=load_messages(memory, "s"))
        told += result.new_messages()
        assert isinstance(result.output, int)
    assert load_messages(memory, "s") == told
    assert any(part.part_kind == "tool-return" and part.outcome == "retried" for part in told[2].parts)


def test_the_last_message_is_always_there() -> None:
    nobody = ModelRequest([ToolReturnPart("look", "out", "c9")])
    told: list[ModelMessage] = [ModelRequest([UserPromptPart("question")]), ModelResponse([TextPart("x")]), nobody]
    assert view(told, {"mode": "none"}) == told
    assert view([], {"mode": "none"}) == []


AT = datetime(2026, 11, 21, tzinfo=UTC)


@st.composite
def histories(draw: st.DrawFn) -> list[ModelMessage]:
    """Messages as runs leave them: several calls at once, thinking, results in any order, or none for some."""
    ids = itertools.count()
    at = AT
    made: list[ModelMessage] = []
    waiting: list[ToolReturnPart] = []
    for n in range(draw(st.integers(1, 12))):
        at += timedelta(minutes=draw(st.sampled_from([1, 1, 1, 30])))
        prompt = UserPromptPart(f"question {n}", timestamp=at)
        made.append(ModelRequest([*waiting, prompt]))
        waiting = []
        for _ in range(draw(st.integers(0, 3))):
            parts: list[Any] = [ThinkingPart("hm")] if draw(st.booleans()) else []
            parts += [TextPart("Let me look.")] if draw(st.booleans()) else []
            calls = [
                ToolCallPart("look", {"q": "y" * draw(st.integers(0, 200))}, f"call_{next(ids)}")
                for _ in range(draw(st.integers(0 if parts else 1, 3)))
            ]
            made.append(ModelResponse([*parts, *calls], timestamp=at))
            answered = draw(st.permutations([call for call in calls if draw(st.integers(0, 9)) < 9]))
            results = [
                ToolReturnPart("look", "o" * draw(st.integers(0, 400)), call.tool_call_id, timestamp=at)
                for call in answered
            ]
            if not results or len(results) < len(calls):
                waiting = results
                break
            made.append(ModelRequest(results))
        else:
            made.append(ModelResponse([TextPart("That is it.")], timestamp=at))
    made.append(ModelRequest([*waiting, UserPromptPart("and now?", timestamp=at)]))
    return made


@given(histories(), st.sampled_from(STRATEGIES))
def test_views_are_valid_and_of_the_same_objects(told: list[ModelMessage], strategy: dict[str, Any]) -> None:
    before = ModelMessagesTypeAdapter.dump_json(told)
    shown = view(told, strategy)
    check(shown)
    assert any(part is told[-1].parts[-1] for part in shown[-1].parts)
    messages = {id(message) for message in told}
    parts = {id(part) for message in told for part in message.parts}
    for message in shown:
        if id(message) not in messages:
            assert message not in told  # only what differs is a copy
            for part in message.parts:
                assert id(part) in parts or "removed" in str(part)
    assert ModelMessagesTypeAdapter.dump_json(told) == before
    assert view(told, strategy) == shown
