"""What is told where the provider's cache does not do what it is asked for: in the answer, in the log, as a count."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from carryover.chat.verbs import Chat
from carryover.core import telemetry
from carryover.core.chat import ChatRequest
from carryover.core.errors import ProviderError
from carryover.runtime import Carryover
from carryover.settings import Settings
from chatting import in_turn, open_chat, reading
from clocks import FrozenClock
from fakes.messages_stream import FakeMessagesStream
from fakes.scripted import Scripted

KNOWN, UNKNOWN = "anthropic:claude-haiku-4-5", "anthropic:claude-haiku-5-5"  # how much their caches keep at least
LONG = "You help with books, and you know where each of them stands. " * 600


class Heard:
    def __init__(self) -> None:
        self.misses: list[tuple[str, str]] = []

    def count(self, name: str, by: float, labels: Mapping[str, Any]) -> None:
        if name == "chat_cache_misses":
            self.misses.append((labels["model"], labels["why"]))

    def observe(self, name: str, value: float, labels: Mapping[str, Any]) -> None: ...

    def span(self, name: str, attributes: dict[str, Any]) -> None: ...


@pytest.fixture
def heard() -> Iterator[Heard]:
    listener = Heard()
    telemetry.install(listener)
    yield listener
    telemetry.remove(listener)


def told(caplog: pytest.LogCaptureFixture, why: str) -> int:
    return sum("chat.cache" in record.getMessage() and why in record.getMessage() for record in caplog.records)


def test_a_head_that_is_too_short_is_told_with_each_answer_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = f"{KNOWN}-20251001"  # logged once in a process: no other test uses this name
    with FakeMessagesStream("Hello.") as fake, open_chat(tmp_path, fake, llm=model) as memory:
        chat = Chat(memory)
        with caplog.at_level(logging.WARNING):
            answers = [chat.send(ChatRequest(id, "Hello.", instructions="Be brief.")) for id in ("s", "t")]
        for answer in answers:
            (warning,) = answer.warnings
            assert model in warning
            assert "4096 tokens" in warning
        assert told(caplog, "short_head") == 1
        assert chat.send(ChatRequest("u", "Hello.", instructions=LONG)).warnings == ()


def test_a_warm_session_that_reads_nothing_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, heard: Heard, clock: FrozenClock
) -> None:
    model = f"{UNKNOWN}-20260101"
    ask = ChatRequest("s", "Hello.", instructions="Be brief.")
    fake = FakeMessagesStream("Hello.", cache_minimum=10_000)
    with fake, open_chat(tmp_path, fake, clock, llm=model) as memory, caplog.at_level(logging.WARNING):
        chat = Chat(memory)
        assert chat.send(ask).warnings == (), "what its cache keeps at least is not known"
        answers = [chat.send(ask), chat.send(ask)]
        clock.pass_(301_000)
        assert chat.send(ask).warnings == (), "it is cold"
    for answer in answers:
        (warning,) = answer.warnings
        assert "neither read its cache nor wrote to it" in warning
    assert told(caplog, "too_short") == 1
    assert heard.misses == [(model, "too_short")] * 2


def test_a_beginning_that_changes_is_told(tmp_path: Path, heard: Heard) -> None:
    with FakeMessagesStream("Hello.") as fake, open_chat(tmp_path, fake) as memory:
        chat = Chat(memory)
        sent = [ChatRequest("s", "Hello.", instructions=f"It is {n} o'clock. {LONG}", tools=()) for n in (9, 10, 10)]
        answers = [chat.send(ask) for ask in sent]
    assert [len(answer.warnings) for answer in answers] == [0, 1, 0]
    assert "byte for byte" in answers[1].warnings[0]
    assert heard.misses == [(UNKNOWN, "changed")]


def test_the_requests_of_one_answer_follow_each_other(tmp_path: Path, heard: Heard) -> None:
    with FakeMessagesStream(cache_minimum=10_000) as fake, open_chat(tmp_path, fake) as memory:
        memory.log_turn("s", "user", "The code word is heron.")
        fake.answer = in_turn(reading("call_1", 1, 1), "Heron.")
        answer = Chat(memory).send(ChatRequest("s", "What does it say?"))
        assert len(answer.warnings) == len(heard.misses) == 1


def test_what_a_strategy_cut_is_no_surprise(tmp_path: Path, heard: Heard) -> None:
    trim = {"mode": "trim", "max_user_turns": 2, "keep_last_turns": 1}
    with FakeMessagesStream("Hello.") as fake, open_chat(tmp_path, fake) as memory:
        chat = Chat(memory)
        answers = [chat.send(ChatRequest("s", f"Question {n}.", strategy=trim, tools=())) for n in range(6)]
    assert min(answer.usage.cache_read for answer in answers[1:]) == 0
    assert heard.misses == []


def test_what_is_read_is_no_trouble(tmp_path: Path, heard: Heard) -> None:
    with Scripted(lambda body: ("Hello.", [])) as fake:
        named = {"llm": "openai:gpt-5-mini", "llm_api_key": "k", "llm_base_url": fake.openai_url}
        with Carryover.open(Settings(home=tmp_path, embedder="none", **named), work=False) as memory:
            chat = Chat(memory)
            first, second = (chat.send(ChatRequest("s", "Hello.", instructions=LONG)) for _ in range(2))
    assert first.usage.cache_read == 0 < second.usage.cache_read
    assert (first.warnings, second.warnings, heard.misses) == ((), (), [])


def test_a_model_without_a_price_is_refused_by_its_name(tmp_path: Path) -> None:
    with FakeMessagesStream() as fake, pytest.raises(ProviderError, match="anthropic:claude-nobody"):
        open_chat(tmp_path, fake, llm="anthropic:claude-nobody")
