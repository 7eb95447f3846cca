"""Conversations by Anthropic's own client: tool loops, streams, what is cached, and what the log holds."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from carryover.core.errors import Invalid, NotFound
from carryover.core.session import Append, Draft
from carryover.integrations.messages import CacheUse, Conversation
from carryover.memories import Memory
from carryover.strategies.formats import catalog
from fakes.scripted import Call, Scripted
from strategies.formats import shapes

COMPACT = {"mode": "compact", "compact_trigger_turns": 3, "compact_keep": 1, "clear_at_least_tokens": 1}
LONG = "line of output\n" * 60


def answers(body: dict[str, Any]) -> tuple[str, list[Call]]:
    """Two calls at once for what a user says; a text once their results are there. What is asked is valid."""
    shapes.messages([{**message, "content": message["content"]} for message in body["messages"]])
    marks = json.dumps(body).count('"cache_control"')
    assert 1 <= marks <= 4
    last = body["messages"][-1]["content"]
    if any(block["type"] == "tool_result" for block in last):
        return "That is what I found.", []
    n = len(body["messages"])
    return "Let me look.", [(f"toolu_{n}a", "search", {"q": "a"}), (f"toolu_{n}b", "search", {"q": "b"})]


@pytest.fixture
def fake() -> Iterator[Scripted]:
    with Scripted(answers) as running:
        yield running


def ask(chat: Conversation, fake: Scripted, text: str, *, stream: bool = False) -> list[anthropic.types.Message]:
    """A user's turn with its loop of tools, as people write it."""
    responses: list[anthropic.types.Message] = []
    with anthropic.Anthropic(api_key="k", base_url=fake.url, max_retries=0) as client:
        chat.add(text)
        while not responses or responses[-1].stop_reason == "tool_use":
            asked = {"model": "m", "max_tokens": 100, **chat.request(system="Be brief.")}
            if stream:
                with client.messages.stream(**asked) as streamed:
                    assert "".join(streamed.text_stream)
                    response = streamed.get_final_message()
            else:
                response = client.messages.create(**asked)
            responses.append(response)
            chat.add(response)
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": LONG}
                for block in response.content
                if block.type == "tool_use"
            ]
            if results:
                chat.add({"role": "user", "content": results})
    return responses


@pytest.mark.parametrize("stream", [False, True])
def test_a_long_conversation_stays_valid_and_warm(memory: Memory, fake: Scripted, stream: bool) -> None:
    chat = Conversation(memory, "s", "anthropic", strategy=COMPACT)
    uses: list[CacheUse] = []
    for n in range(8):
        ask(chat, fake, f"question {n}", stream=stream)
        assert chat.cache is not None
        uses.append(chat.cache)
    last = json.dumps(fake.bodies[-1], ensure_ascii=False)
    assert "⟦removed: tool output for search (call_id=toolu_1a)" in last
    assert LONG in json.dumps(fake.bodies[-1]).replace("\\n", "\n")
    assert sum(use.read for use in uses) > 0.5 * sum(use.input for use in uses)
    assert not any(use.missed for use in uses)
    # The log has all of it, whatever was shown.
    session, turns = memory.turns("s", limit=1000)
    said = catalog.native_of("anthropic", turns)
    shapes.messages(said)
    assert session.version == len(turns) == 8 * 7
    assert json.dumps(said).count(json.dumps(LONG)) == 16


def test_a_log_is_what_was_said(memory: Memory, fake: Scripted) -> None:
    chat = Conversation(memory, "s", "anthropic")
    first, second = ask(chat, fake, "question")
    own = catalog.native_of("anthropic", memory.turns("s")[1])
    assert own[0] == {"role": "user", "content": "question"}
    assert own[1] == {"role": "assistant", "content": [block.to_dict() for block in first.content]}
    assert own[3] == {"role": "assistant", "content": [{"type": "text", "text": "That is what I found."}]}
    about = json.loads(memory.window("s", last_n=1)[1][0].metadata or "")["response"]
    assert (about["id"], about["model"], about["stop_reason"]) == (second.id, "m", "end_turn")
    assert about["usage"] == second.usage.to_dict()


def test_what_is_added_again_is_there_once(memory: Memory, fake: Scripted) -> None:
    chat = Conversation(memory, "s", "anthropic")
    response = ask(chat, fake, "question")[-1]
    version = memory.session("s").version
    assert not chat.add(response).saved
    result = {"role": "user", "content": "Thank you."}
    assert chat.add(result, key="thanks").saved
    assert not chat.add(result, key="thanks").saved
    assert chat.add("Thank you.", "Thank you.").version == version + 3  # who says a thing twice has said it twice
    # Another process goes on with the same session.
    again = Conversation(memory, "s", "anthropic").request()
    assert again["messages"] == chat.request()["messages"]
    assert "system" not in again


def test_messages_of_objects_and_dicts(memory: Memory, fake: Scripted) -> None:
    chat = Conversation(memory, "s", "anthropic")
    response = ask(chat, fake, "question")[-1]
    other = Conversation(memory, "t", "anthropic")
    other.add({"role": "user", "content": "question"}, {"role": "assistant", "content": response.content})
    assert catalog.native_of("anthropic", memory.turns("t")[1])[1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "That is what I found."}],
    }


def test_a_head_of_blocks_and_a_long_lived_cache(memory: Memory) -> None:
    chat = Conversation(memory, "s", "anthropic", cache_ttl="1h")
    chat.add("question")
    asked = chat.request(system=[{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}])
    assert asked["system"] == [
        {"type": "text", "text": "One."},
        {"type": "text", "text": "Two.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]


def test_a_cache_that_is_missed_is_told(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    chat = Conversation(memory, "s", "anthropic")

    def response(id: str, read: int, written: int) -> dict[str, Any]:
        usage = {"input_tokens": 3, "cache_read_input_tokens": read, "cache_creation_input_tokens": written}
        return {"type": "message", "id": id, "role": "assistant", "content": [{"type": "text", "text": id}]} | {
            "usage": usage
        }

    said = [("a", 0, 8_000), ("b", 8_000, 500), ("c", 0, 9_000), ("d", 8_000, 1_500)]
    with caplog.at_level(logging.WARNING):
        for id, read, written in said:
            chat.add("go on")
            chat.request()
            chat.add(response(id, read, written))
            expected = 8_500 if id == "c" else 0
            assert chat.cache == CacheUse(3 + read + written, read, written, expected)
    (told,) = caplog.records
    assert "cache.missed" in told.getMessage()
    assert "8500" in told.getMessage()


def test_what_cannot_be(memory: Memory) -> None:
    with pytest.raises(Invalid, match="openai-chat"):
        Conversation(memory, "s", "gemini")  # type: ignore[arg-type]
    chat = Conversation(memory, "s", "anthropic")
    with pytest.raises(NotFound):
        chat.request()
    with pytest.raises(Invalid, match="int is no message"):
        chat.add(7)
    chat.add("question")
    with pytest.raises(Invalid, match="mode"):
        Conversation(memory, "s", "anthropic", strategy={"mod": "trim"}).request()


def test_system_turns_of_the_log_follow_the_instructions(memory: Memory) -> None:
    chat = Conversation(memory, "told", "anthropic")
    memory.append(Append("told", (Draft("system", "The user is a pilot."), Draft("user", "hi"))))
    asked = chat.request("Be brief.")
    assert [block["text"] for block in asked["system"]] == ["Be brief.", "The user is a pilot."]
    assert [message["role"] for message in asked["messages"]] == ["user"]
