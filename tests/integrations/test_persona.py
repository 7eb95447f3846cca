"""The persona where people call a provider or a framework themselves: behind what all share, the same all session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import anthropic
import openai
import pytest
from agents import Agent, RunContextWrapper, Runner, set_tracing_disabled
from agents.models.openai_responses import OpenAIResponsesModel
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage
from langgraph.graph import START, MessagesState, StateGraph
from openai import AsyncOpenAI
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import RunContext
from pydantic_ai.models.function import AgentInfo, FunctionModel

from carryover.core.errors import Invalid
from carryover.core.headings import CHANGED, CHANGES_OVER
from carryover.core.persona import HEADING
from carryover.integrations.messages import Conversation, Provider
from carryover.memories import Memory
from fakes.scripted import Scripted

BULLETS, NO_EMOJIS = "Prefers answers as bullet points.", "Does not want emojis."
PROVIDERS: tuple[Provider, ...] = ("anthropic", "openai", "openai-chat")


@pytest.fixture
def fake() -> Iterator[Scripted]:
    with Scripted(lambda _body: ("So be it.", [])) as running:
        yield running


def pin(memory: Memory, *texts: str) -> None:
    ids = {choice.text: choice.id for choice in memory.profiles.choices()}
    memory.profiles.edit("ann", pins=[ids[text] for text in texts])


def ask(chat: Conversation, fake: Scripted, **more: Any) -> dict[str, Any]:
    """A user's turn, answered; what was sent for it."""
    chat.add("Go on.")
    asked = chat.request(system="Be brief.", persona=True)
    if chat.provider == "anthropic":
        with anthropic.Anthropic(api_key="k", base_url=fake.url, max_retries=0) as client:
            chat.add(client.messages.create(model="m", max_tokens=100, **asked, **more))
    else:
        with openai.OpenAI(api_key="k", base_url=fake.openai_url, max_retries=0) as client:
            if chat.provider == "openai":
                chat.add(client.responses.create(model="m", **asked))
            else:
                chat.add(client.chat.completions.create(model="m", **asked))
    return fake.bodies[-1]


def unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: unmarked(inner) for name, inner in value.items() if name != "cache_control"}
    return [unmarked(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_conversation_begins_with_it_and_ends_with_what_changed(
    memory: Memory, fake: Scripted, provider: Provider
) -> None:
    pin(memory, BULLETS)
    chat = Conversation(memory, "s", provider, user="ann")
    bodies = [ask(chat, fake)]
    pin(memory, NO_EMOJIS)
    bodies.append(ask(chat, fake))
    chat = Conversation(memory, "s", provider, user="ann")  # another process goes on
    bodies.append(ask(chat, fake))
    assert chat.cache is not None
    assert chat.cache.read > 0
    texts = [json.dumps(body) for body in bodies]
    assert all(BULLETS in text for text in texts)
    assert [text.count(NO_EMOJIS) for text in texts] == [0, 1, 1], "told once"
    for before, after in pairwise(bodies):
        said = "input" if provider == "openai" else "messages"
        assert before.get("system") == after.get("system")
        assert before.get("instructions") == after.get("instructions")
        blocks = [
            json.dumps(unmarked([message["role"], message["content"]])).removesuffix("]]")
            for message in before[said]
            if "content" in message
        ]
        later = json.dumps([unmarked([m["role"], m["content"]]) for m in after[said] if "content" in m])
        assert all(block in later for block in blocks)
    pin(memory, BULLETS)
    assert CHANGES_OVER in json.dumps(ask(chat, fake))


def test_what_all_share_has_a_breakpoint_of_its_own(memory: Memory, fake: Scripted) -> None:
    pin(memory, BULLETS)
    chat = Conversation(memory, "s", "anthropic", user="ann")
    shared, persona = ask(chat, fake)["system"]
    assert (shared["text"], persona["text"]) == ("Be brief.", f"{HEADING}\n- {BULLETS}")
    assert "cache_control" in shared
    assert "cache_control" in persona
    for _ in range(15):
        assert json.dumps(ask(chat, fake)).count('"cache_control"') == 4


def test_a_change_that_was_cut_away_is_told_again(memory: Memory, fake: Scripted) -> None:
    trim = {"mode": "trim", "max_user_turns": 3, "keep_last_turns": 1}
    pin(memory, BULLETS)
    chat = Conversation(memory, "s", "anthropic", user="ann", strategy=trim)
    ask(chat, fake)
    pin(memory, NO_EMOJIS)
    for _ in range(8):
        assert json.dumps(ask(chat, fake)).count(CHANGED) == 1


def test_without_it_nothing_is_told(memory: Memory, fake: Scripted) -> None:
    pin(memory, BULLETS)
    chat = Conversation(memory, "s", "anthropic", user="ann")
    chat.add("Hello.")
    assert BULLETS not in json.dumps(chat.request(system="Be brief."))
    nobody = Conversation(memory, "t", "anthropic")
    nobody.add("Hello.")
    with pytest.raises(Invalid, match="user="):
        nobody.request(persona=True)
    stranger = Conversation(memory, "u", "anthropic", user="bob")
    stranger.add("Hello.")
    assert [block["text"] for block in stranger.request(system="Be brief.", persona=True)["system"]] == ["Be brief."]


def test_agents_of_openai_take_it_as_instructions(memory: Memory, fake: Scripted) -> None:
    pin(memory, BULLETS)

    def instructions(run: RunContextWrapper[str], _agent: Agent[str]) -> str:
        return f"Be brief.\n\n{memory.profiles.persona(run.context, session_id='s').text}"

    async def converse() -> None:
        client = AsyncOpenAI(api_key="k", base_url=fake.openai_url, max_retries=0)
        async with client:
            agent = Agent[str](name="Ada", instructions=instructions, model=OpenAIResponsesModel("m", client))
            for _ in range(2):
                await Runner.run(agent, "Hello.", context="ann")
                await asyncio.to_thread(pin, memory, NO_EMOJIS)

    set_tracing_disabled(True)
    asyncio.run(converse())
    first, second = (body["instructions"] for body in fake.bodies)
    assert first == second == f"Be brief.\n\n{HEADING}\n- {BULLETS}"


def test_a_graph_takes_it_as_a_system_message(memory: Memory) -> None:
    pin(memory, BULLETS)
    seen: list[list[AnyMessage]] = []

    def model(state: MessagesState) -> dict[str, Any]:
        persona = memory.profiles.persona("ann", session_id="thread-1").text
        seen.append([SystemMessage(f"Be brief.\n\n{persona}"), *state["messages"]])
        return {"messages": [("assistant", "So be it.")]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_edge(START, "model")
    graph = builder.compile()
    for _ in range(2):
        graph.invoke({"messages": [HumanMessage("Hello.")]})
        pin(memory, NO_EMOJIS)
    first, second = (messages[0].content for messages in seen)
    assert first == second == f"Be brief.\n\n{HEADING}\n- {BULLETS}"


def test_pydantic_ai_takes_it_as_instructions(memory: Memory) -> None:
    pin(memory, BULLETS)
    seen: list[str | None] = []

    def answer(messages: list[Any], info: AgentInfo) -> Any:
        from pydantic_ai.messages import ModelResponse, TextPart

        seen.append(info.instructions)
        return ModelResponse(parts=[TextPart("So be it.")])

    agent = PydanticAgent(FunctionModel(answer), instructions="Be brief.", deps_type=str)

    @agent.instructions
    def persona(run: RunContext[str]) -> str:
        return memory.profiles.persona(run.deps, session_id="s").text

    for _ in range(2):
        asyncio.run(agent.run("Hello.", deps="ann"))
        pin(memory, NO_EMOJIS)
    first, second = seen
    assert first == second == f"Be brief.\n\n{HEADING}\n- {BULLETS}"
