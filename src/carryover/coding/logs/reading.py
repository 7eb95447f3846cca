"""One file through its adapter: as far as it is whole, and a part at a time where it is large."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from carryover.coding.adapters.base import Adapter, Part, Reading, RowsAdapter
from carryover.coding.lines import LARGEST, Line, bare, decoded, glued, whole_lines
from carryover.core.step import Step, uid
from carryover.guard.redact import redact, redacted

LARGEST_DOCUMENT = 256 << 20
LARGEST_UNPACKED = 4 << 30  # a few bytes can unpack to more than any disk holds
_BUFFER = 64 << 10  # a seek fills it anew, however little is read there
# What a record can make an adapter raise: it costs that record alone, and the archive keeps it.
_STUMBLES = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
_SPOOLED = 8 << 20  # bytes of a database's rows that are held in memory
_TYPE = re.compile(rb'"type"\s*:\s*"([^"\\]{1,80})"')
_CREDENTIALS = re.compile(r"://[^@/\s]+@")  # of a remote: they are nobody's business but git's
_SESSION = re.compile(rb'"(?:sessionId|session_id|sessionID)"\s*:\s*"([^"\\]{1,200})"')


@contextmanager
def opened(adapter: Adapter, path: Path) -> Generator[IO[bytes]]:
    """The bytes of the log, to be read and sought in: unpacked, or a database's rows as lines."""
    if adapter.form != "rows" and not is_packed(path):
        with path.open("rb", buffering=_BUFFER) as file:
            yield file
        return
    with tempfile.SpooledTemporaryFile(_SPOOLED) as plain:
        if adapter.form == "rows":
            for line in cast(RowsAdapter, adapter).rows(path):
                plain.write(line + b"\n")
        else:
            _unpack(path, cast("IO[bytes]", plain))
        plain.seek(0)
        yield cast("IO[bytes]", plain)


def beginning(path: Path, most: int) -> bytes:
    """The first bytes of the log, unpacked."""
    with path.open("rb") as file:
        if not is_packed(path):
            return file.read(most)
    with tempfile.TemporaryFile() as plain:
        _unpack(path, cast("IO[bytes]", plain), most)
        plain.seek(0)
        return plain.read(most)


def is_packed(path: Path) -> bool:
    """Whether what lies there is a log packed as a whole."""
    return path.name.endswith(".zst")


def _unpack(path: Path, into: IO[bytes], most: int | None = None) -> None:
    """The log's bytes, or at least so many of them. Raises OSError for what is not packed as it should be."""
    try:
        with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as plain:
            while (block := plain.read(1 << 20)) and (most is None or into.tell() < most):
                into.write(block)
                if into.tell() > LARGEST_UNPACKED:
                    raise OSError(f"it unpacks to more than {LARGEST_UNPACKED >> 30} GiB; leave it out")
    except zstandard.ZstdError as cause:
        raise OSError(f"it cannot be unpacked: {cause}") from cause


def read(
    adapter: Adapter,
    path: Path,
    file: IO[bytes],
    *,
    start: int = 0,
    state: dict[str, Any] | None = None,
    parts: dict[str, Part] | None = None,
    until: int | None = None,
) -> tuple[Reading, int]:
    """What is new in the log from `start` on, and where its last whole record ends.

    `state` and `parts` are what an earlier reading left; `until` stops it after the first record that ends there or
    later. A last line without its end is read if it is a whole record, and waits if it is none; so does a document
    that is no JSON yet. No step says a secret: those stay in the archive.
    """
    reading = Reading(path, state or {}, parts or {})
    if adapter.form == "document":
        end = _document(adapter, reading, file)
    else:
        end = _lines(adapter, reading, file, start, until)
    adapter.finish(reading)
    for part in reading.parts.values():
        part.steps[:] = [masked(step) for step in part.steps]
        part.about.title = redact(part.about.title) if part.about.title else None
        part.about.remote = _CREDENTIALS.sub("://", part.about.remote) if part.about.remote else None
    return reading, end


def _lines(adapter: Adapter, reading: Reading, file: IO[bytes], start: int, until: int | None) -> int:
    end = start
    for line in whole_lines(file, start):
        _line(adapter, reading, line)
        end = line.start + line.length
        if until is not None and end >= until:
            return end
    return _last(adapter, reading, file, end)


def _last(adapter: Adapter, reading: Reading, file: IO[bytes], start: int) -> int:
    """Where what was read ends, once a last line without its end was read, if it is a whole record.

    The beginning of a JSON object is never one itself: nothing but its line end can still be missing.
    """
    file.seek(start)
    text = file.read(LARGEST)
    if len(text) == LARGEST or not bare(text).startswith(b"{"):
        return start
    try:
        decoded(bare(text))
    except ValueError:
        return start
    _line(adapter, reading, Line(start, len(text), text))
    return start + len(text)


def _document(adapter: Adapter, reading: Reading, file: IO[bytes]) -> int:
    file.seek(0)
    text = file.read(LARGEST_DOCUMENT + 1)
    reading.length = len(text)
    try:
        if len(text) > LARGEST_DOCUMENT:
            raise ValueError("too large")
        adapter.read(reading, bare(text))
    except _STUMBLES:
        reading.malformed += 1
        return 0
    return len(text)


def _line(adapter: Adapter, reading: Reading, line: Line) -> None:
    # Without its line end, so that it makes no difference whether that was there already when the line was read.
    reading.start, reading.length = line.start, line.length if line.cut else len(line.text)
    if line.cut:
        _large(reading, line)
        return
    text = bare(line.text)
    if not text:
        return
    try:
        adapter.read(reading, text)
    except _STUMBLES:
        for piece in glued(text) or [b""]:
            try:
                adapter.read(reading, piece)
            except _STUMBLES:
                reading.malformed += 1


def _large(reading: Reading, line: Line) -> None:
    """A record that is too large to be read: it is counted, and its session says where it is kept."""
    type, found = _TYPE.search(line.text), _SESSION.search(line.text)
    reading.saw(None, "?" if type is None else type[1].decode("utf-8", "replace"))
    named = "" if found is None else found[1].decode("utf-8", "replace")
    native = reading.state.get("session") or named  # records of some flavors do not name it
    if native:
        rest = line.text if found is None else line.text[: found.start(1)] + line.text[found.end(1) :]
        text = f"a record of {line.length} bytes, kept in the archive only"
        step = Step(uid(rest, str(line.length)), "note", text, size=line.length, start=line.start, length=line.length)
        reading.of(native).add(step)


def masked(step: Step) -> Step:
    """The step without the secrets that stand in it: those stay in the archive."""
    text = redact(step.text)
    said = None if step.input is None else redacted(step.input)
    detail = None if step.detail is None else redacted(step.detail)
    if text == step.text and said == step.input and detail == step.detail:
        return step
    return replace(step, text=text, input=said, detail=detail)
