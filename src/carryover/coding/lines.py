"""Bytes of a log to records: whole lines only, glued ones apart, torn ones later, and none too large to hold."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import msgspec

LARGEST = 16 << 20  # bytes of a line that is given to an adapter; of a longer one only its beginning
BEGINNING = 64 << 10
_BLOCK = 1 << 20
# What may stand around a record: blanks, the NULs that a crash left, a byte order mark.
_AROUND, _MARK = b" \t\r\n\x0b\x0c\x00", b"\xef\xbb\xbf"
_BETWEEN = re.compile(r"[ \t\r\n\x00]*")  # records of one line
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line: where it stands, and how long it is with its line end. `cut` says that `text` is its beginning."""

    start: int
    length: int
    text: bytes
    cut: bool = False


def whole_lines(file: IO[bytes], start: int = 0) -> Iterator[Line]:
    """The lines from `start` on that have their line end, in order; what stands after the last of them waits.

    Of a line beyond `LARGEST` bytes only the beginning is held.
    """
    file.seek(start)
    while text := file.readline(LARGEST):
        length, cut = len(text), False
        if not text.endswith(b"\n"):
            if length < LARGEST:
                return
            text, cut = text[:BEGINNING], True
            while rest := file.readline(_BLOCK):
                length += len(rest)
                if rest.endswith(b"\n"):
                    break
            else:
                return
        yield Line(start, length, text if cut else text[:-1], cut)
        start += length


def bare(line: bytes) -> bytes:
    """The line without what may stand around a record."""
    return line.strip(_AROUND).removeprefix(_MARK).lstrip(_AROUND)


def decoded(record: bytes) -> Any:
    """What the record says. Bytes that are no UTF-8, and halves of surrogate pairs, are read as U+FFFD,
    and numbers that JSON cannot say as null.

    Raises ValueError for what is no JSON, or is nested too deeply to be read.
    """
    try:
        return msgspec.json.decode(record)
    except (ValueError, RecursionError):
        pass
    try:
        return _mended(json.loads(record.decode("utf-8", "replace")))
    except RecursionError as cause:
        raise ValueError("nested too deeply") from cause


def glued(line: bytes) -> list[bytes]:
    """The records of a line that holds several, without a line end between them; none where it is something else.

    Two programs that append to one file at the same moment leave such lines.
    """
    text = line.decode("utf-8", "replace")
    found: list[bytes] = []
    at = 0
    while at < len(text):
        try:
            _, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        found.append(text[at:end].encode("utf-8", "replace"))
        between = _BETWEEN.match(text, end)
        at = end if between is None else between.end()
    return found if len(found) > 1 else []


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_mended(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {_mended(key): _mended(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value
