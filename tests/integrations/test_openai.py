"""Conversations by OpenAI's own client, over responses and over chat completions: loops of tools, streams, the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from carryover.integrations.messages import CacheUse, Conversation, Provider
from carryover.memories import Memory
from carryover.strategies.formats import catalog
from fakes.scripted import Call, Scripted
from strategies.formats import shapes

PROVIDERS: tuple[Provider, ...] = ("openai", "openai-chat")
TRIM = {"mode": "trim", "max_user_turns": 4, "keep_last_turns": 2}
COMPACT = {"mode": "compact", "compact_trigger_turns": 3, "compact_keep": 1, "clear_at_least_tokens": 1}
LONG = "line of output\n" * 60


def answers(body: dict[str, Any]) -> tuple[str, list[Call]]:
    """Two calls at once for what a user says; a text once their results are there. What is asked is valid."""
    said = body["messages"] if "messages" in body else body["input"]
    shapes.check("openai-chat" if "messages" in body else "openai", said)
    if said[-1].get("role") == "tool" or said[-1].get("type") == "function_call_output":
        return "That is what I found.", []
    asked = sum("question" in json.dumps(item) for item in said)
    n = f"{said[-1]['content'].split()[-1]}_{asked}"
    return "Let me look.", [(f"call_{n}a", "search", {"q": "a"}), (f"call_{n}b", "search", {"q": "b"})]


@pytest.fixture
def fake() -> Iterator[Scripted]:
    with Scripted(answers) as running:
        yield running


def ask(chat: Conversation, fake: Scripted, text: str, *, stream: bool = False) -> Any:
    """A user's turn with its loop of tools, as people write it; the last response."""
    with openai.OpenAI(api_key="k", base_url=fake.openai_url, max_retries=0) as client:
        chat.add(text)
        while True:
            chat_api = chat.provider == "openai-chat"
            response = (_completion if chat_api else _response)(client, chat.request(system="Be brief."), stream)
            chat.add(response)
            if chat_api:
                results = [
                    {"role": "tool", "tool_call_id": call.id, "content": LONG}
                    for call in response.choices[0].message.tool_calls or ()
                ]
            else:
                results = [
                    {"type": "function_call_output", "call_id": item.call_id, "output": LONG}
                    for item in response.output
                    if item.type == "function_call"
                ]
            if not results:
                return response
            chat.add(results)


def _response(client: openai.OpenAI, asked: dict[str, Any], stream: bool) -> Any:
    if not stream:
        return client.responses.create(model="m", **asked)
    with client.responses.stream(model="m", **asked) as streamed:
        assert [event.type for event in streamed][-1] == "response.completed"
        return streamed.get_final_response()


def _completion(client: openai.OpenAI, asked: dict[str, Any], stream: bool) -> Any:
    if not stream:
        return client.chat.completions.create(model="m", **asked)
    with client.chat.completions.stream(model="m", stream_options={"include_usage": True}, **asked) as streamed:
        assert "content.delta" in [event.type for event in streamed]
        return streamed.get_final_completion()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_long_conversation_stays_valid_and_warm(
    memory: Memory, fake: Scripted, provider: Provider, stream: bool
) -> None:
    chat = Conversation(memory, "s", provider, strategy=COMPACT)
    uses: list[CacheUse] = []
    for n in range(8):
        ask(chat, fake, f"question {n}", stream=stream)
        assert chat.cache is not None
        uses.append(chat.cache)
    last = json.dumps(fake.bodies[-1], ensure_ascii=False)
    assert "⟦removed: tool output for search (call_id=call_0_1a)" in last
    assert json.dumps(LONG) in last
    assert sum(use.read for use in uses) > 0.5 * sum(use.input for use in uses)
    assert not any(use.missed for use in uses)
    said = catalog.native_of(provider, memory.turns("s", limit=1000)[1])
    shapes.check(provider, said)
    assert json.dumps(said).count(json.dumps(LONG)) == 16


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_view_is_cut_and_the_log_is_not(memory: Memory, fake: Scripted, provider: Provider) -> None:
    chat = Conversation(memory, "s", provider, strategy=TRIM)
    for n in range(6):
        ask(chat, fake, f"question {n}")
    shown = json.dumps(chat.request())
    assert "question 2" not in shown
    assert "question 3" in shown
    assert "question 0" in json.dumps(catalog.native_of(provider, memory.turns("s", limit=1000)[1]))


def test_items_of_responses_come_back_as_they_were(memory: Memory, fake: Scripted) -> None:
    chat = Conversation(memory, "s", "openai")
    response = ask(chat, fake, "question 0")
    own = catalog.native_of("openai", memory.turns("s")[1])
    assert [item.get("type", "user") for item in own] == [
        *("user", "reasoning", "message", "function_call", "function_call"),
        *("function_call_output", "function_call_output", "reasoning", "message"),
    ]
    assert own[-2:] == [item.to_dict() for item in response.output]
    assert own[1]["encrypted_content"] == "sealed 1"
    # A response and its items are the same, however they are added.
    assert not chat.add(*response.output).saved
    assert not chat.add(response).saved


def test_a_completion_is_logged_once(memory: Memory, fake: Scripted) -> None:
    chat = Conversation(memory, "s", "openai-chat")
    response = ask(chat, fake, "question 0")
    assert not chat.add(response).saved
    about = json.loads(memory.window("s", last_n=1)[1][0].metadata or "")["response"]
    assert (about["id"], about["usage"]) == (response.id, response.usage.to_dict())
    own = catalog.native_of("openai-chat", memory.turns("s")[1])
    assert own[-1] == {"role": "assistant", "content": "That is what I found."}
    assert [call["id"] for call in own[1]["tool_calls"]] == ["call_0_1a", "call_0_1b"]


def test_what_says_nothing(memory: Memory) -> None:
    empty = {"object": "response", "id": "resp_1", "output": []}
    assert Conversation(memory, "s", "openai").add(empty) is None
    filtered = {"object": "chat.completion", "id": "chatcmpl-1", "choices": []}
    assert Conversation(memory, "s", "openai-chat").add(filtered) is None


def test_instructions_and_the_key_of_the_cache(memory: Memory) -> None:
    chat, other = Conversation(memory, "s", "openai"), Conversation(memory, "s", "openai", agent="b")
    chat.add("question")
    assert chat.request(system="Be brief.") == {
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "question"}],
        "prompt_cache_key": chat.cache_key,
    }
    assert "instructions" not in chat.request()
    assert len(chat.cache_key) <= 64
    assert chat.cache_key == Conversation(memory, "s", "openai").cache_key != other.cache_key
    told = Conversation(memory, "t", "openai-chat")
    told.add("question")
    assert told.request(system="Be brief.") == {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "question"}]
    }


def test_a_session_goes_from_one_provider_to_another(memory: Memory, fake: Scripted) -> None:
    ask(Conversation(memory, "s", "openai"), fake, "question 0")
    ask(Conversation(memory, "s", "openai-chat"), fake, "question 1")
    shapes.messages(_without_marks(Conversation(memory, "s", "anthropic").request()["messages"]))
    shapes.responses(Conversation(memory, "s", "openai").request()["input"])


def _without_marks(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return json.loads(json.dumps(messages).replace(', "cache_control": {"type": "ephemeral"}', ""))
