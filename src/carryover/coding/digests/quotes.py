"""What of a turn is quoted as evidence: a passage that stands there word for word and holds no secret."""

from __future__ import annotations

import re
from collections.abc import Iterable

from carryover.coding.digests import fingerprint, testing
from carryover.coding.digests.course import Act, Course
from carryover.core.session import Source
from carryover.core.text import clean
from carryover.guard.redact import redact

LONGEST = 200  # characters
FIRST = 3  # turns that a signal quotes
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]\[?[0-9;?]*[A-Za-z]?")
_CUT = re.compile(r"\A\[… \d+ characters …\]\Z")
_LEAST = 8  # characters before or after a secret that are still worth quoting


def of_result(course: Course, act: Act) -> Source:
    """What came back from the call: the line that tells what was wrong, or the first one."""
    if not act.result_seq:
        return of_text(course, act)
    told = fingerprint.telling_line(act.result, printed=act.tool == "shell")
    lines = _lines(act.result)
    return _source(
        course, act.result_seq, [line for line in lines if told and told in fingerprint.plain(line)] or lines
    )


def of_text(course: Course, act: Act) -> Source:
    """What was said, from its first line on."""
    return _source(course, act.seq, _lines(act.text))


def of_refusal(course: Course, act: Act) -> Source:
    """What the user said when refusing the call, or else that it was refused."""
    said = act.detail.get("said")
    first = next(iter(_lines(said)), "").strip() if isinstance(said, str) else ""
    lines = [line for line in _lines(act.result) if first and first in line]
    return _source(course, act.result_seq, lines) if lines else of_result(course, act)


def of_trial(course: Course, act: Act) -> Source:
    """What came back from a run of tests: the last line that says how they went."""
    if not act.result_seq:
        return of_text(course, act)
    lines = _lines(act.result)
    return _source(course, act.result_seq, [line for line in lines if testing.sums_up(line)][-1:] or lines[-1:])


def of(course: Course, acts: Iterable[Act], most: int = FIRST) -> tuple[Source, ...]:
    """The first of these acts: calls by what came back, all else by what was said."""
    made: dict[Source, None] = {}
    for act in acts:
        if len(made) == most:
            break
        made[of_result(course, act) if act.kind == "call" else of_text(course, act)] = None
    return tuple(made)


def masked(text: str) -> str:
    """The text as it may be told, on one line."""
    return redact(clean(" ".join(text.split())))


def _source(course: Course, seq: int, lines: list[str]) -> Source:
    return Source(course.facts.session, seq, seq, _quote(lines))


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not _CUT.match(line.strip())]


def _quote(lines: list[str]) -> str:
    """The first line of which something can be quoted: without colours, and up to a secret."""
    for line in lines[:5]:
        piece = max(_CONTROL.split(line), key=len).strip()
        safe = redact(piece)
        if safe != piece:
            piece = _shared(piece, safe)
        if piece:
            return piece[:LONGEST].strip()
    return ""


def _shared(piece: str, safe: str) -> str:
    """What a text and its masked form have in common at their beginning, or else at their end."""
    head = next((n for n, (a, b) in enumerate(zip(piece, safe, strict=False)) if a != b), min(len(piece), len(safe)))
    if head >= _LEAST:
        return piece[:head].strip()
    back = next((n for n, (a, b) in enumerate(zip(piece[::-1], safe[::-1], strict=False)) if a != b), 0)
    return piece[len(piece) - back :].strip() if back >= _LEAST else ""
