"""What the messages of most flavors have in common: times, parts of a content, calls, results and usage."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from carryover.coding.adapters.base import Reading, first_text, table
from carryover.coding.lines import bare, decoded
from carryover.coding.tools import call_text, canonical
from carryover.core.clock import EARLIEST, LATEST, Time, parse_time
from carryover.core.errors import Invalid
from carryover.core.step import LONGEST, TAIL, Step, StepKind, StepStatus, excerpt, shortened, uid

REFUSED = re.compile(
    r"(?i)user (?:has )?(?:rejected|denied|declined|refused|did not allow|doesn't want|has specified a rule which prev)"
)
_AWAITED, _ID = 128, 200  # calls that are remembered at once, and characters of an id
MOST_TOKENS = 1 << 40  # more is no count
_SECONDS = 100_000_000_000  # numbers below it are seconds since 1970: as milliseconds they would be before 1973-03


def record_of(line: bytes) -> Mapping[str, Any]:
    """The JSON object that the line is.

    Raises ValueError for anything else.
    """
    record = decoded(line)
    if not isinstance(record, dict):
        raise ValueError("no record")
    return table(record)  # pyright: ignore[reportUnknownArgumentType]


def first_record(head: bytes) -> Mapping[str, Any]:
    """The record in the first line that has any; an empty one where that is something else, or not whole."""
    first = head.lstrip(b"\xef\xbb\xbf\x00 \t\r\n").partition(b"\n")[0]
    try:
        return record_of(bare(first))
    except ValueError:
        return {}


def moment(value: Any) -> Time | None:
    """The time that is meant: RFC 3339, or seconds or milliseconds since 1970; None where it is none of these."""
    if isinstance(value, str):
        try:
            return parse_time(value)
        except Invalid:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LATEST:
        return None
    ms = int(value if abs(value) >= _SECONDS else value * 1000)
    return ms if EARLIEST <= ms <= LATEST else None


def number(value: Any) -> int:
    """A count of tokens; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return 0
    return int(value)


def entries(value: Any) -> Sequence[Mapping[str, Any]]:
    """The JSON objects of a list; none where something else stands."""
    listed: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
    return [table(inner) for inner in listed if isinstance(inner, dict)]


def texts(value: Any) -> Sequence[str]:
    """The texts in a list; none where something else stands."""
    listed: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
    return [inner for inner in listed if isinstance(inner, str)]


def plain(content: Any) -> str:
    """The text of a content: itself, or that of its parts, a line each; what is no text is left out."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        known = table(content)  # pyright: ignore[reportUnknownArgumentType]
        return first_text(known.get("text"), known.get("content"))
    if not isinstance(content, list):
        return ""
    found = [plain(part) for part in content]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return "\n".join(part for part in found if part)


def arguments(value: Any) -> Mapping[str, Any]:
    """The arguments of a call, where they are a JSON object or the text of one; else as `input`."""
    if isinstance(value, str):
        try:
            value = decoded(value.encode("utf-8", "replace"))
        except ValueError:
            return {"input": value} if value else {}
    if isinstance(value, dict):
        return table(value)  # pyright: ignore[reportUnknownArgumentType]
    return {} if value is None else {"input": value}


def message(
    reading: Reading, kind: StepKind, identity: Sequence[str], text: str, at: Time | None = None, **more: Any
) -> Step:
    """What was said; its uid is made of `identity`, the kind and the text."""
    return Step(
        uid(*identity, kind, text),
        kind,
        excerpt(text, LONGEST - TAIL, TAIL),
        at,
        size=len(text.encode("utf-8", "replace")),
        start=reading.start,
        length=reading.length,
        **more,
    )


def call(
    reading: Reading,
    identity: Sequence[str],
    call_id: str,
    name: str,
    input: Mapping[str, Any],
    at: Time | None = None,
    **more: Any,
) -> Step:
    """A call of a tool; its uid is made of `identity`, its id, its name and its arguments."""
    tool = canonical(name)
    said = msgspec.json.encode(input, order="deterministic")
    return Step(
        uid(*identity, "call", call_id, name, said),
        "call",
        call_text(name, tool, input),
        at,
        call_id,
        tool,
        name,
        shortened(input),
        size=len(said),
        start=reading.start,
        length=reading.length,
        **more,
    )


def result(
    reading: Reading,
    identity: Sequence[str],
    call_id: str,
    name: str | None,
    text: str,
    status: StepStatus,
    at: Time | None = None,
    **more: Any,
) -> Step:
    """What a call came to; its uid is made of `identity`, the call's id, the status and the text."""
    return Step(
        uid(*identity, "result", call_id, status, text),
        "result",
        excerpt(text),
        at,
        call_id,
        canonical(name) if name else None,
        name,
        status=status,
        size=len(text.encode("utf-8", "replace")),
        start=reading.start,
        length=reading.length,
        **more,
    )


def awaited(reading: Reading) -> dict[str, str]:
    """The calls that wait for their result, as far as they are remembered: what each calls, by its id."""
    return reading.state.setdefault("calls", {})


def wait_for(reading: Reading, call_id: str, name: str) -> None:
    """The call waits for its result; of very many the oldest are forgotten."""
    waiting = awaited(reading)
    waiting[call_id[:_ID]] = name[:_ID]
    while len(waiting) > _AWAITED:
        del waiting[next(iter(waiting))]


def remember(values: list[str], value: Any) -> None:
    """The value is among them, if it is text and not empty."""
    if isinstance(value, str) and value and value not in values:
        values.append(value)
