"""One streamed call: what is sent, what comes back while it is said, what is metered, and what each trouble becomes."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from carryover.core.chat import ModelReply, Prompt, TextDelta, ToolSpec
from carryover.core.errors import Cancelled, CarryoverError, ProviderError, ProviderUnavailable
from carryover.core.usage import Usage
from carryover.providers.chat import ChatModel, open_chat_model
from fakes.messages_stream import Call, FakeMessagesStream, Said
from waiting import until

HAIKU = "anthropic:claude-haiku-5-5"
LOOK = ToolSpec("look", "Looks.", {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]})
PROMPT = Prompt(
    ("You help.", "The user likes tea."), ({"role": "user", "content": "Hello"},), (LOOK,), 500, points=(0, 1)
)
LONG = "A text of more than one delta, so that it can be broken in its middle."


@pytest.fixture
def fake() -> Iterator[FakeMessagesStream]:
    with FakeMessagesStream() as opened:
        yield opened


@pytest.fixture
def model(fake: FakeMessagesStream) -> Iterator[ChatModel]:
    opened = open_chat_model(HAIKU, api_key="k-1", base_url=fake.url, timeout_s=20)
    yield opened
    opened.close()


def heard(model: ChatModel, prompt: Prompt = PROMPT) -> tuple[list[str], ModelReply]:
    *said, reply = model.stream(prompt, threading.Event())
    assert isinstance(reply, ModelReply)
    assert all(isinstance(event, TextDelta) for event in said)
    return [event.text for event in said if isinstance(event, TextDelta)], reply


def failing(model: ChatModel, kind: type[CarryoverError]) -> tuple[str, CarryoverError]:
    said: list[str] = []
    with pytest.raises(kind) as raised:
        said.extend(event.text for event in model.stream(PROMPT, threading.Event()))
    return "".join(said), raised.value


def test_text_comes_as_it_is_said_and_calls_come_whole(model: ChatModel, fake: FakeMessagesStream) -> None:
    fake.answer = Said(LONG, (Call("look", {"at": "the müsli"}), Call("look", {})), thinking="Let me see.")
    deltas, reply = heard(model)
    assert len(deltas) > 3
    assert "".join(deltas) == reply.text == LONG
    assert [(call.name, json.loads(call.arguments)) for call in reply.calls] == [
        ("look", {"at": "the müsli"}),
        ("look", {}),
    ]
    assert len({call.call_id for call in reply.calls}) == 2
    assert [thought.item for thought in reply.thoughts] == [
        {"type": "thinking", "thinking": "Let me see.", "signature": "signed-1"}
    ]
    assert not reply.cut
    assert (reply.usage.calls, reply.usage.model) == (1, HAIKU)
    assert reply.usage.tokens_in > 0 < reply.usage.tokens_out
    assert reply.usage.money > 0


def test_the_head_has_two_breakpoints_and_the_conversation_one(model: ChatModel, fake: FakeMessagesStream) -> None:
    fake.answer = "Hello."
    heard(model)
    body = fake.requests[0].body
    assert [block["text"] for block in body["system"]] == list(PROMPT.system)
    assert all("cache_control" in block for block in body["system"])
    assert body["cache_control"]["type"] == "ephemeral"
    assert "cache_control" in body["tools"][-1]
    assert body["max_tokens"] == 500
    heard(model, replace(PROMPT, system=("One.", "Two.", "Three."), points=(0, 2)))
    assert ["cache_control" in block for block in fake.requests[1].body["system"]] == [True, False, True]


def test_no_more_breakpoints_are_asked_for_than_there_are(model: ChatModel, fake: FakeMessagesStream) -> None:
    """With three in the head, the one behind the tools is given up: the first of the head covers them."""
    fake.answer = "Hello."
    heard(model, replace(PROMPT, system=("One.", "Two.", "Three.", "Four."), points=(0, 1, 2, 3)))
    body = fake.requests[0].body
    assert ["cache_control" in block for block in body["system"]] == [False, True, True, True]
    assert "cache_control" not in body["tools"][-1]
    assert json.dumps(body).count('"cache_control"') == 4


def test_a_longer_conversation_reads_its_beginning_from_the_cache(model: ChatModel, fake: FakeMessagesStream) -> None:
    fake.answer = Said("", (Call("look", {"at": "tea"}, "call_1"),), thinking="Hm.")
    _, first = heard(model)
    assert first.usage.cache_read == 0
    call = {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": "tea"}}
    went_on: tuple[dict[str, Any], ...] = (
        *PROMPT.messages,
        {
            "role": "assistant",
            "content": [
                first.thoughts[0].item,
                {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": "tea"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "It is green."}]},
    )
    fake.answer = "Green tea."
    _, second = heard(model, replace(PROMPT, messages=went_on))
    assert second.usage.cache_read == first.usage.tokens_in
    sent = fake.requests[1].body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert sent[1]["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": "signed-1"}
    assert sent[1]["content"][1] == call
    assert sent[2]["content"][0]["tool_use_id"] == "call_1"
    assert sent[2]["content"][0]["content"] == [{"type": "text", "text": "It is green."}]


def test_images_documents_and_failed_results_are_sent(model: ChatModel, fake: FakeMessagesStream) -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": pixel}}
    page = {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}
    call = {"type": "tool_use", "id": "c", "name": "look", "input": {}}
    failed = {"type": "tool_result", "tool_use_id": "c", "content": "no such thing", "is_error": True}
    messages: tuple[dict[str, Any], ...] = (
        {"role": "user", "content": [{"type": "text", "text": "See:"}, image, page]},
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, call]},
        {"role": "user", "content": [failed, {"type": "text", "text": "And?"}]},
    )
    fake.answer = "Nothing."
    heard(model, replace(PROMPT, messages=messages))
    first, _, last = fake.requests[0].body["messages"]
    assert [block["type"] for block in first["content"]] == ["text", "image", "document"]
    assert first["content"][1]["source"]["data"] == pixel
    assert last["content"][0]["is_error"] is True
    assert last["content"][1]["text"] == "And?"


def test_tools_that_may_not_be_called_stay_in_the_request(model: ChatModel, fake: FakeMessagesStream) -> None:
    fake.answer = "No more."
    heard(model, replace(PROMPT, may_call=False))
    assert fake.requests[0].body["tool_choice"] == {"type": "none"}
    assert [tool["name"] for tool in fake.requests[0].body["tools"]] == ["look"]


def test_an_answer_that_was_cut_off_says_so_and_has_no_calls(model: ChatModel, fake: FakeMessagesStream) -> None:
    fake.answer = Said("Half", (Call("look", {"at": "x"}),), stop="max_tokens")
    _, reply = heard(model)
    assert (reply.text, reply.calls, reply.cut) == ("Half", (), True)


@pytest.mark.parametrize("status", [429, 500, 529])
def test_trouble_that_passes(model: ChatModel, fake: FakeMessagesStream, status: int) -> None:
    fake.fail_next(status, retry_after=7)
    said, failure = failing(model, ProviderUnavailable)
    assert said == ""
    assert failure.facts["retry_after"] == 7
    assert failure.facts["usage"] == Usage(HAIKU, calls=1)
    assert failure.message.endswith("; try again")
    assert len(fake.requests) == 1


def test_a_refused_key_and_a_refusal_are_final(model: ChatModel, fake: FakeMessagesStream) -> None:
    fake.fail_next(401)
    assert "check the key" in failing(model, ProviderError)[1].message
    fake.refuse_next()
    _, failure = failing(model, ProviderError)
    assert not isinstance(failure, ProviderUnavailable)
    assert "refused to answer" in failure.message
    assert failure.facts["usage"].tokens_in > 0


@pytest.mark.parametrize("trouble", [Said(LONG, after=2, error="overloaded_error"), Said(LONG, after=2, broken=True)])
def test_a_stream_that_breaks_off_keeps_what_it_cost(model: ChatModel, fake: FakeMessagesStream, trouble: Said) -> None:
    fake.answer = trouble
    said, failure = failing(model, ProviderUnavailable)
    assert 0 < len(said) < len(LONG)
    assert LONG.startswith(said)
    usage: Usage = failure.facts["usage"]
    assert usage.calls == 1
    assert usage.tokens_in > 0
    assert usage.money > 0


def test_bytes_that_are_no_stream_are_an_error(model: ChatModel, fake: FakeMessagesStream) -> None:
    fake.garble_next(b"event: message_start\ndata: {not JSON\n\n")
    failing(model, ProviderError)
    fake.garble_next(b"")
    failing(model, ProviderError)


def test_a_stop_ends_the_call_at_once(model: ChatModel, fake: FakeMessagesStream) -> None:
    fake.answer = Said(LONG, after=1, hold=threading.Event())
    stop = threading.Event()
    events = model.stream(PROMPT, stop)
    assert isinstance(next(events), TextDelta)
    stop.set()
    with pytest.raises(Cancelled) as raised:
        next(events)
    assert raised.value.facts["usage"].tokens_in > 0
    assert fake.gone.wait(5), "the provider still streams"


def test_leaving_the_iteration_ends_the_call(model: ChatModel, fake: FakeMessagesStream) -> None:
    fake.answer = Said(LONG, after=1, hold=threading.Event())
    events = model.stream(PROMPT, threading.Event())
    assert isinstance(next(events), TextDelta)
    events.close()
    assert fake.gone.wait(5), "the provider still streams"
    fake.answer = "Still there."
    assert heard(model)[1].text == "Still there."


def test_a_call_takes_no_longer_than_it_may(fake: FakeMessagesStream) -> None:
    hold = threading.Event()
    fake.answer = Said(LONG, after=1, hold=hold)
    model = open_chat_model(HAIKU, api_key="k", base_url=fake.url, timeout_s=0.5)
    failing(model, ProviderUnavailable)
    assert not hold.is_set()
    model.close()


def test_threads_share_a_model(model: ChatModel, fake: FakeMessagesStream) -> None:
    fake.answer = lambda ask: Said(f"You said {ask.prompt}.")
    found: dict[int, str] = {}

    def ask(n: int) -> None:
        found[n] = heard(model, replace(PROMPT, messages=({"role": "user", "content": f"number {n}"},)))[1].text

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: f"You said number {n}." for n in range(6)}


def test_closing_while_a_call_begins_ends_both(model: ChatModel, fake: FakeMessagesStream) -> None:
    """A closing connection waits for its event loop, so nothing in there may wait for the connection."""
    heard(model)
    portal, _ = model._connection.open()
    free = threading.Event()
    portal.start_task_soon(free.wait, 20)  # nothing moves in there meanwhile
    stop = threading.Event()
    call = threading.Thread(target=lambda: failing_or_heard(model, stop), daemon=True)
    call.start()
    until(lambda: "start_task_soon" in doing(call))
    closing = threading.Thread(target=model.close, daemon=True)
    closing.start()
    until(lambda: "close" in doing(closing) and "wait" in doing(closing))
    free.set()
    closing.join(20)
    assert not closing.is_alive()
    stop.set()
    call.join(20)
    assert not call.is_alive()
    fake.failures.clear()  # it may have been sent half a request


def failing_or_heard(model: ChatModel, stop: threading.Event) -> None:
    with contextlib.suppress(Cancelled, ProviderError):
        list(model.stream(PROMPT, stop))


def doing(thread: threading.Thread) -> list[str]:
    """The functions that the thread is in."""
    frame = sys._current_frames().get(thread.ident or 0)
    return [entry.name for entry in traceback.extract_stack(frame)] if frame else []
