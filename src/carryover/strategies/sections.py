"""The text of a summary: lines under fixed headings, the oldest first, and no more of them than there is room for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from carryover.core.text import clean, estimate_tokens
from carryover.guard.inert import inert

WANTS, DECISIONS, FACTS = "What the user wants", "Decisions", "Facts and constraints"
DONE, TASKS, TOOLS = "Done so far", "Open tasks", "Tools and their results"
HEADINGS: tuple[str, ...] = (WANTS, DECISIONS, FACTS, DONE, TASKS, TOOLS)
LONGEST = 300  # characters of one line

Sections = Mapping[str, Sequence[str]]  # the lines of each heading, the oldest first

# What each heading may take before the others had their turn, and in which order the rest is given out.
_SHARES = ((WANTS, 0.2), (TASKS, 0.15), (DECISIONS, 0.2), (FACTS, 0.25), (DONE, 0.1), (TOOLS, 0.1))
_MARKS = re.compile(r"^(?:\s|[>|]|[#*+=_-]+(?=\s|$)|\d{1,2}[.)](?=\s))+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)|(?<=[。！？])|\n+")


def rendered(sections: Sections, *, tokens: int, chars: int, count: Callable[[str], int] = estimate_tokens) -> str:
    """The newest lines that fit, under their headings; "" where none does.

    `count` says what a text costs of `tokens`; what it says of two lines is no more than what it says of each.
    """
    lines = {heading: _distinct(sections.get(heading, ())) for heading in HEADINGS}
    taken = dict.fromkeys(HEADINGS, 0)  # of each heading, from the newest on
    left = [tokens, chars]

    def take(heading: str, most: float) -> None:
        spent = 0
        while taken[heading] < len(lines[heading]):
            added = f"- {lines[heading][-1 - taken[heading]]}\n"
            if not taken[heading]:
                added = f"{heading}:\n{added}"
            cost = count(added)
            if cost > left[0] or len(added) > left[1] or spent + cost > most:
                return
            left[0], left[1], spent = left[0] - cost, left[1] - len(added), spent + cost
            taken[heading] += 1

    for heading, share in _SHARES:
        take(heading, share * tokens)
    for heading, _ in _SHARES:
        take(heading, tokens)
    shown = [
        f"{heading}:\n" + "".join(f"- {line}\n" for line in lines[heading][-taken[heading] :])
        for heading in HEADINGS
        if taken[heading]
    ]
    return "".join(shown).rstrip("\n")


def parsed(text: str) -> dict[str, list[str]]:
    """The lines of a text that `rendered` made."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in text.split("\n"):
        if line.removesuffix(":") in HEADINGS and line.endswith(":"):
            heading = line.removesuffix(":")
        elif heading and line.startswith("- "):
            found.setdefault(heading, []).append(line.removeprefix("- "))
    return found


def one_line(text: str, longest: int = LONGEST) -> str:
    """`text` as one line without marks of its own before it, cut at a sentence or a word where it is too long."""
    joined = _MARKS.sub("", " ".join(inert(clean(text[: 8 * longest]), labels=True).split()))
    if len(joined) <= longest:
        return joined
    ends = [found.start() for found in _SENTENCE.finditer(joined[: longest + 1])]
    if ends and ends[-1] >= longest // 3:
        return joined[: ends[-1]].rstrip()
    cut = joined[: longest - 1]
    return (cut[: cut.rfind(" ")] if " " in cut[longest // 2 :] else cut).rstrip(" ,;:") + "…"


def sentences(text: str) -> Iterator[str]:
    """The first sentences of a text, one line each."""
    return filter(None, map(one_line, _SENTENCE.split(text[: 8 * LONGEST])))


def normal(line: str) -> str:
    """The same for lines that differ in case, spaces and marks only."""
    return " ".join(re.findall(r"\w+", line.casefold()))


def _distinct(lines: Sequence[str]) -> list[str]:
    """Each line once, where it was said last."""
    kept: dict[str, str] = {}
    for line in map(one_line, lines):
        key = normal(line)
        if key:
            kept.pop(key, None)
            kept[key] = line
    return list(kept.values())
