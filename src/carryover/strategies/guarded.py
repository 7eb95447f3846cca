"""What a summary may say, and under which heading: what only tools said is nobody's wish, decision or task.

A model that summarises reads what pages and tools say as well. A line of its summary that repeats them, or is made of
their words more than of those of the people, moves to the tools with a mark; one that reads as an order is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from carryover.core.session import Turn
from carryover.core.voice import MARK, is_marked, is_outside, unmarked, voice_of
from carryover.guard.echo import Echo
from carryover.guard.findings import told
from carryover.guard.orders import claims, commands
from carryover.strategies.sections import DECISIONS, TASKS, TOOLS, WANTS, Sections

_WORD = re.compile(r"[^\W_]{4,}")
_MOST = 0.6  # of a line's words that a tool has to have said


def guarded(sections: Sections, turns: Sequence[Turn], base: str = "") -> dict[str, list[str]]:
    """The lines that may be told, each under a heading that it may stand under; `base` is the summary before."""
    outside = [turn.text for turn in turns if _is_outside(turn)]
    marked = [line for lines in sections.values() for line in lines if is_marked(line)]
    echo = Echo([*outside, *map(unmarked, marked)])
    theirs = _words(outside)
    people = _words([base, *(turn.text for turn in turns if not _is_outside(turn))])
    kept: dict[str, list[str]] = {}
    for heading, lines in sections.items():
        for line in filter(None, map(told, lines)):
            words = _words([line])
            repeated = is_marked(line) or echo.repeats(line) or _is_theirs(words, theirs, people)
            if heading not in (WANTS, DECISIONS, TASKS):
                if not (repeated and (commands(line) or claims(line))):
                    kept.setdefault(heading, []).append(line)
            elif not repeated:
                kept.setdefault(heading, []).append(line)
            elif not (commands(line) or claims(line)):
                kept.setdefault(TOOLS, []).append(line if is_marked(line) else f"{MARK}{line}")
    return kept


def _is_outside(turn: Turn) -> bool:
    return turn.is_injected or is_outside(voice_of(turn.role, turn.kind, turn.name))


def _is_theirs(words: set[str], theirs: set[str], people: set[str]) -> bool:
    return len(words & theirs) >= max(1, _MOST * len(words)) and len(words & people) < len(words & theirs)


def _words(texts: Sequence[str]) -> set[str]:
    return {word.lower() for text in texts for word in _WORD.findall(text)}
