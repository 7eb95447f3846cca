"""A memory whose chat talks to a fake of a model's provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from carryover.chat.verbs import Chat
from carryover.core.chat import ChatAnswer, ChatEvent, RunEvent
from carryover.core.ports import Clock
from carryover.runtime import Carryover
from carryover.settings import Settings
from fakes.messages_stream import Call, FakeMessagesStream, Said
from fakes.server import Ask

HAIKU = "anthropic:claude-haiku-5-5"


def settings_for(home: Path, fake: FakeMessagesStream, **more: Any) -> Settings:
    named = {"llm": HAIKU, "llm_api_key": "k-1", "llm_base_url": fake.url, "embedder": "none", **more}
    return Settings(home=home, **named)


def open_chat(home: Path, fake: FakeMessagesStream, clock: Clock | None = None, **more: Any) -> Carryover:
    """A memory without background work whose model is the fake."""
    return Carryover.open(settings_for(home, fake, **more), clock=clock, work=False)


def settle(memory: Carryover, session: str) -> None:
    """The session is consolidated by rules, whatever model the chat has."""
    by_rules = memory.engine.settings.model_copy(update={"llm": "rules"})
    with Carryover.open(by_rules, clock=memory.engine.store.clock, work=False) as other:
        assert other.consolidate(session) is not None


def answer_of(events: Iterable[ChatEvent]) -> ChatAnswer:
    *_, last = events
    assert isinstance(last, ChatAnswer)
    return last


def in_turn(*said: str | Said) -> Callable[[Ask], str | Said]:
    """An answering function that says one thing after the other, and the last one for ever."""
    left = list(said)
    return lambda _ask: left.pop(0) if len(left) > 1 else left[0]


def reading(call_id: str, first: int, last: int) -> Said:
    """The model wants to read turns."""
    return Said("", (Call("read_turns", {"first": first, "last": last}, call_id),))


def results_in(ask: Ask) -> dict[str, str]:
    """The results that a request holds, by their calls."""
    blocks = [block for message in ask.body["messages"] for block in message["content"] if isinstance(block, dict)]
    return {
        block["tool_use_id"]: "".join(part["text"] for part in block["content"])
        for block in blocks
        if block["type"] == "tool_result"
    }


def newest_events(memory: Carryover, session: str = "s") -> list[RunEvent]:
    """All that happened in the newest run of the session."""
    chat = Chat(memory)
    found, _ = chat.runs(session)
    return list(chat.run(session, found[0].run_id).events)


def types(events: Iterable[RunEvent]) -> list[str]:
    return [event.type for event in events]


def said_in(memory: Carryover, session: str = "s") -> list[tuple[str, str, str]]:
    """Role, kind and text of all turns of the session."""
    _, found = memory.turns(session, limit=1000)
    return [(turn.role, turn.kind, turn.text) for turn in found]


def sent(ask: Ask) -> str:
    """The request as text, to be compared byte for byte."""
    return json.dumps(ask.body, ensure_ascii=False)
