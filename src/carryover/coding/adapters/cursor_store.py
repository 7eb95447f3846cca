"""Cursor's command line: a database for each session, of which the messages are JSON among other blobs.

Where a session has a transcript too, its steps are read there and only what is said of the session is read here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from carryover.coding.adapters import cursor
from carryover.coding.adapters.base import Form, Reading, first_text, session_id, table
from carryover.coding.adapters.messages import moment, record_of, remember
from carryover.coding.lines import decoded
from carryover.core.step import Flavor, Supply
from carryover.store import foreign

flavor: Flavor = cursor.flavor
form: Form = "rows"
supplies: frozenset[Supply] = cursor.supplies
places: tuple[str, ...] = ("~/.cursor/chats",)
files: tuple[str, ...] = ("store.db",)

_TREE = b"\x0a\x20"  # how a blob begins that only lists others, by their hashes


def claims(head: bytes, path: Path) -> bool:
    """Whether it is a database with the tables of such a session."""
    return head.startswith(foreign.MAGIC) and {"blobs", "meta"} <= foreign.tables(path)


def rows(path: Path) -> Iterator[bytes]:
    """What is said of the session, then its blobs in the order in which they were written.

    Raises Invalid where the database cannot be read.
    """
    with foreign.opened(path) as database:
        for name in ("meta", "blobs"):
            for row in database.rows(f"SELECT * FROM {name} ORDER BY rowid"):
                yield msgspec.json.encode({"table": name, **row})


def read(reading: Reading, line: bytes) -> None:
    """A row was read."""
    row, state = record_of(line), reading.state
    said: Mapping[str, Any] = {}
    if row.get("table") == "meta":
        said = _json(_bytes(row.get("value")))
        state["session"] = first_text(said.get("agentId"), state.get("session"))
    native = first_text(state.get("session"), cursor.session_of(reading.path))
    part = reading.of(session_id(native))
    if row.get("table") == "meta":
        reading.saw(None, "meta")
        part.about.title = first_text(said.get("name"), part.about.title) or None
        part.about.saw(moment(said.get("createdAt")))
        remember(part.about.models, said.get("lastUsedModel"))
        return
    data = _bytes(row.get("data"))
    message = _json(data)
    role = first_text(message.get("role"))
    tree = data.startswith(_TREE)
    reading.saw(
        None, f"blob/{role or ('tree' if tree else 'json' if message else 'protobuf')}", known=bool(role or tree)
    )
    if role and not state.setdefault("transcript", _has_transcript(reading.path, native)):
        cursor.told(reading, part, role, message.get("content"), first_text(row.get("id")))


def finish(reading: Reading) -> None:
    """Nothing waits for the end."""


def _bytes(value: Any) -> bytes:
    """What was stored: the database's own values are in hexadecimal, bytes come in base64."""
    text = value if isinstance(value, str) else ""
    with suppress(ValueError):
        return bytes.fromhex(text)
    with suppress(ValueError):
        return base64.b64decode(text, validate=True)
    return text.encode("utf-8", "replace")


def _json(data: bytes) -> Mapping[str, Any]:
    try:
        return table(decoded(data))
    except ValueError:
        return {}


def _has_transcript(path: Path, session: str) -> bool:
    if len(path.parents) < 4 or not re.fullmatch(r"[\w-]+", session, re.ASCII):
        return False
    folder = path.parents[3] / "projects"
    return any(
        next(folder.glob(f"*/agent-transcripts/{name}"), None) is not None
        for name in (f"{session}.jsonl", f"{session}/*.jsonl")
    )
