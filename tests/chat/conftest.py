"""The chat over a memory on each engine, and the fake provider that it talks to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from carryover.chat.verbs import Chat
from carryover.runtime import Carryover
from chatting import open_chat
from clocks import FrozenClock
from fakes.messages_stream import FakeMessagesStream


@pytest.fixture
def fake() -> Iterator[FakeMessagesStream]:
    with FakeMessagesStream("Hello.") as opened:
        yield opened


@pytest.fixture
def memory(tmp_path: Path, fake: FakeMessagesStream, database_url: str, clock: FrozenClock) -> Iterator[Carryover]:
    with open_chat(tmp_path, fake, clock, database_url=database_url) as opened:
        yield opened


@pytest.fixture
def chat(memory: Carryover) -> Chat:
    return Chat(memory)
