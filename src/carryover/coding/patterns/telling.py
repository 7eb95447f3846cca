"""What agents are told: lessons of patterns as lines of Markdown that stay lines, the best first, within a budget."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from carryover.core.pattern import Pattern
from carryover.core.text import clean, count_tokens
from carryover.guard.orders import overrides

LONGEST = 300  # characters of a lesson that are told
HEAD = (
    "## What earlier sessions taught",
    "",
    "Approved patterns, kept up to date by carryover (`carryover patterns list`); edits in here are not kept.",
    "",
)
_SPAN = re.compile(r"(`[^`]+`)")
_IMPORT = re.compile(r"(?<![^\s(\[{\"'])@[^\s`]*[^\s`.,;:!?)\]}\"']")
_OPENING = re.compile(r"[#>*+|=~:\-]|\d{1,9}(?=[.)])|\[|!(?=\[)")


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a block may hold, its heading included; tokens as `count_tokens` counts them."""

    lines: int = 24
    tokens: int = 800


@dataclass(frozen=True, slots=True)
class Told:
    """A pattern with the line that tells it."""

    pattern: Pattern
    line: str


def line_of(lesson: str) -> str:
    """The lesson as one item of a list, whatever it was made of; "" where nothing of it can be said.

    It opens no heading, list, comment, tag, picture or fence, and names no file that an agent would read in its place.
    One that sets an agent's instructions aside is not said, whoever approved it.
    """
    if overrides(lesson):
        return ""
    text = "".join(" " if char.isspace() else char for char in clean(lesson) if _is_plain(char))
    text = " ".join(text.replace("<!--", "<! --").replace("-->", "-- >").split())
    if len(text) > LONGEST:
        text = text[: LONGEST - 1].rstrip() + "…"
    parts = _SPAN.split(re.sub(r"``+", "`", text))
    told = " ".join("".join(part if _SPAN.fullmatch(part) else _inert(part) for part in parts).split())
    if _OPENING.match(told):
        told = re.sub(r"\A(\d*)", r"\1\\", told, count=1)
    return f"- {told}" if any(char.isalnum() for char in told) else ""


def chosen(patterns: Sequence[Pattern], standing: Collection[str], budget: Budget) -> tuple[list[Told], list[str]]:
    """What the block tells, the highest score first, and the ids of those for which it has no room.

    What stands there already keeps its place: what is measured must not come and go as scores change.
    """
    told: list[Told] = []
    left_out: list[str] = []
    tokens = sum(count_tokens(line) + 1 for line in HEAD)
    for pattern in sorted(patterns, key=lambda one: (one.id not in standing, -one.score, one.id)):
        line = line_of(pattern.lesson)
        cost = count_tokens(line) + 1
        if not line or any(line == other.line for other in told):
            continue
        if len(told) + len(HEAD) >= budget.lines or tokens + cost > budget.tokens:
            left_out.append(pattern.id)
            continue
        tokens += cost
        told.append(Told(pattern, line))
    return sorted(told, key=lambda one: (-one.pattern.score, one.pattern.id)), left_out


def block_of(lines: Sequence[str]) -> list[str]:
    """The lines of a block that tells these; none where there is nothing to tell."""
    return [*HEAD, *lines] if lines else []


def lines_in(block: Sequence[str]) -> list[str]:
    """What a block tells, without its heading."""
    return [line for line in block if line.startswith("- ")]


def _is_plain(char: str) -> bool:
    """Neither a control character nor one that only changes how others look, or hides."""
    return char.isspace() or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _inert(text: str) -> str:
    """Text outside of code: tags and pictures are shown, and what an agent would read as a file stands in code."""
    text = text.replace("`", "").replace("<", r"\<").replace("![", r"!\[").replace("](", r"]\(")
    return _IMPORT.sub(lambda name: f"`{name[0]}`", text)
