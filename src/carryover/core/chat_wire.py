"""How the chat looks as JSON: the answer with the source of its strategy, and events under their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carryover.core.chat import ChatAnswer, ChatEvent, Compaction, RunStarted, TextDelta, ToolCall, ToolOutput
from carryover.core.wire import decode, encode

EVENTS: dict[str, type[ChatEvent]] = {
    "run": RunStarted,
    "text": TextDelta,
    "tool_call": ToolCall,
    "tool_output": ToolOutput,
    "memory_compaction": Compaction,
    "done": ChatAnswer,
}
ERROR = "error"  # the event whose data are a problem document
_NAMES = {kind: name for name, kind in EVENTS.items()}


def show_answer(answer: ChatAnswer) -> dict[str, Any]:
    shown: dict[str, Any] = encode(answer)
    return {**shown, "strategy": {**shown["strategy"], "source": answer.sources.get("mode", "default")}}


def show_event(event: ChatEvent) -> tuple[str, dict[str, Any]]:
    """The event's name and its data."""
    return _NAMES[type(event)], show_answer(event) if isinstance(event, ChatAnswer) else encode(event)


def read_event(name: str, data: Mapping[str, Any]) -> ChatEvent | None:
    """The event that `show_event` showed; None where it is of a newer kind."""
    kind = EVENTS.get(name)
    return None if kind is None else decode(kind, data)
