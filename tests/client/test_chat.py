"""The chat embedded, through the client and through the async client: the same verbs, answers and errors."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carryover.chat.verbs import Chat
from carryover.client.aclient import AsyncClient
from carryover.client.chat import AsyncChat
from carryover.client.chat import Chat as RemoteChat
from carryover.client.client import Client
from carryover.core.chat import ChatAnswer, ChatRequest, RunStarted, TextDelta, ToolOutput
from carryover.core.errors import Conflict, Invalid, NotFound, ProviderUnavailable, StoreUnavailable
from chatting import in_turn, open_chat, reading, said_in
from fakes.messages_stream import FakeMessagesStream, Said
from serving import Running, serving

LONG = "An answer of more than one piece, so that it can be left somewhere in its middle."


@pytest.fixture
def fake() -> Iterator[FakeMessagesStream]:
    with FakeMessagesStream("Hello.") as opened:
        yield opened


@pytest.fixture
def running(tmp_path: Path, fake: FakeMessagesStream) -> Iterator[Running]:
    with open_chat(tmp_path, fake) as memory, serving(memory) as server:
        yield server


@pytest.fixture(params=["embedded", "remote"])
def chat(request: pytest.FixtureRequest, running: Running) -> Iterator[Chat | RemoteChat]:
    if request.param == "embedded":
        yield Chat(running.memory)
    else:
        with Client(running.url) as client:
            yield client.chat


def test_an_answer_and_its_run(chat: Chat | RemoteChat, fake: FakeMessagesStream, running: Running) -> None:
    fake.answer = in_turn(reading("c1", 1, 1), "Done.")
    asked = ChatRequest("s", [{"type": "text", "text": "Read it."}], user_id="ann", strategy={"mode": "none"})
    answer = chat.send(asked)
    assert (answer.text, answer.strategy.mode, answer.sources["mode"]) == ("Done.", "none", "request")
    assert answer.usage.money > 0
    (run,), cursor = chat.runs("s")
    assert (run.run_id, run.status, cursor) == (answer.run_id, "finished", None)
    detail = chat.run("s", run.run_id)
    assert detail.run == run
    assert [event.type for event in detail.events if event.type == "tool_output"] == ["tool_output"]
    assert said_in(running.memory)[0] == ("user", "message", "Read it.")
    assert running.memory.session("s").user_id == "ann"


def test_the_persona_and_warnings(chat: Chat | RemoteChat, fake: FakeMessagesStream, running: Running) -> None:
    choice = next(one for one in running.memory.profiles.choices() if one.text == "Does not want emojis.")
    running.memory.profiles.edit("ann", pins=[choice.id])
    fake.cache_minimum = 100_000
    asked = ChatRequest("s", "Hello.", user_id="ann", persona=False)
    assert chat.send(asked).warnings == ()
    assert len(chat.send(replace(asked, persona=True)).warnings) == 1
    assert ["emojis" in request.system for request in fake.requests] == [False, True]


def test_a_stream(chat: Chat | RemoteChat, fake: FakeMessagesStream) -> None:
    fake.answer = in_turn(reading("c1", 1, 1), LONG)
    events = list(chat.stream(ChatRequest("s", "Read it.", idempotency_key="k")))
    assert isinstance(events[0], RunStarted)
    assert sum(isinstance(event, ToolOutput) for event in events) == 1
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == LONG
    answer = events[-1]
    assert isinstance(answer, ChatAnswer)
    assert chat.send(ChatRequest("s", "Read it.", idempotency_key="k")) == answer


def test_errors_are_the_same(chat: Chat | RemoteChat, fake: FakeMessagesStream) -> None:
    with pytest.raises(Invalid) as wrong:
        chat.send(ChatRequest("s", "Hi.", tools=("x",)))
    assert wrong.value.facts["field"] == "tools"
    with pytest.raises(Invalid):
        list(chat.stream(ChatRequest("s", "Hi.", strategy={"mode": "x"})))
    with pytest.raises(NotFound):
        chat.runs("s")
    fake.fail_next(529)
    with pytest.raises(ProviderUnavailable):
        chat.send(ChatRequest("s", "Hi."))
    fake.answer = Said(LONG, after=1, broken=True)
    with pytest.raises(ProviderUnavailable):
        list(chat.stream(ChatRequest("s", "Hi.")))
    with pytest.raises(NotFound):
        chat.run("s", "run_x")


def test_leaving_a_stream_ends_the_answer(chat: Chat | RemoteChat, fake: FakeMessagesStream) -> None:
    fake.answer = Said(LONG, after=1, hold=threading.Event())
    with closing(chat.stream(ChatRequest("s", "Hi."))) as events:
        assert isinstance(next(events), RunStarted)
        assert isinstance(next(events), TextDelta)
        with pytest.raises(Conflict):
            chat.send(ChatRequest("s", "And?"))
    assert fake.gone.wait(10)


def test_async_programs_have_it_too(running: Running, fake: FakeMessagesStream) -> None:
    async def talk() -> None:
        async with AsyncClient(running.url) as client:
            fake.answer = LONG
            events = [event async for event in client.chat.stream(ChatRequest("s", "Hi."))]
            assert isinstance(events[-1], ChatAnswer)
            assert events[-1].text == LONG
            assert (await client.chat.send(ChatRequest("s", "Again."))).text == LONG
            found, _ = await client.chat.runs("s", limit=1)
            assert (await client.chat.run("s", found[0].run_id)).run == found[0]
            with pytest.raises(Invalid):
                async for _ in client.chat.stream(ChatRequest("s", "Hi.", max_tokens=0)):
                    pass
            fake.answer = Said(LONG, after=1, hold=threading.Event())
            stream = client.chat.stream(ChatRequest("s", "Hi."))
            async for event in stream:
                if isinstance(event, TextDelta):
                    break
            await stream.aclose()

    asyncio.run(talk())
    assert fake.gone.wait(10)


def test_a_server_that_is_not_there() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(StoreUnavailable):
        list(client.chat.stream(ChatRequest("s", "Hi.")))


def test_the_verbs_are_the_same() -> None:
    def verbs(kind: type[Any]) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"}

    assert verbs(Chat) == verbs(RemoteChat) == verbs(AsyncChat) == {"send", "stream", "runs", "run"}
