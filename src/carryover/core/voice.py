"""Who said what a derived statement stands on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from carryover.core.session import Kind, Role

# `person` is somebody with a name in a chat of several, and `injected` what a program put there: system turns, and what
# carryover itself told.
Voice = Literal["user", "person", "assistant", "tool", "web", "injected"]
VOICES: tuple[Voice, ...] = ("user", "person", "assistant", "tool", "web", "injected")  # the most trusted first
_OF_WEB = re.compile(r"web|fetch|brows|http|url|crawl|scrap|search|download", re.IGNORECASE)
ROLE_NAMES = frozenset(
    ("user", "assistant", "system", "tool", "human", "developer", "admin", "administrator", "operator", "ai")
)
MARK = "Tool output: "  # begins what stands on the words of a tool, a page or a program, and goes where they go


def voice_of(role: Role, kind: Kind, name: str | None = None) -> Voice:
    """The voice of a turn; a tool that reaches out, as its name says, speaks for the web."""
    if kind == "tool_result" or role == "tool":
        return "web" if name and _OF_WEB.search(name) else "tool"
    if role == "system":
        return "injected"
    if kind != "message":
        return "assistant"
    if role == "user":
        return "user"
    return "person" if name and name.lower() not in ROLE_NAMES else "assistant"


def most_trusted(voices: Iterable[Voice]) -> Voice:
    """What several voices say together counts as this one's."""
    said = set(voices)
    for voice in VOICES:
        if voice in said:
            return voice
    return "injected"


def is_outside(voice: Voice) -> bool:
    """Whether nobody of the conversation said it: such text is data, whatever it says."""
    return voice in ("tool", "web", "injected")


def is_marked(text: str) -> bool:
    """Whether a statement says of itself that nobody of the conversation said it."""
    return text.startswith(MARK)


def unmarked(text: str) -> str:
    """The words of a statement without the mark."""
    return text.removeprefix(MARK)
