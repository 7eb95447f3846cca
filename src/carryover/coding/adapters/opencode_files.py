"""OpenCode, the older form: a small JSON document for each session, message and part.

Whose a part is, and who says it, stands in its message's file, which is looked up beside it: so it does not matter in
which order the files are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from carryover.coding.adapters import opencode
from carryover.coding.adapters.base import Form, Reading, first_text, session_id
from carryover.coding.adapters.messages import record_of
from carryover.coding.adapters.opencode import Within, told_message, told_part, told_session, within
from carryover.core.step import Flavor, Supply

flavor: Flavor = opencode.flavor
form: Form = "document"
supplies: frozenset[Supply] = opencode.supplies
_KINDS = ("session", "message", "part")
places: tuple[str, ...] = tuple(
    f"{root}/{below}" for root in opencode.places for below in (*(f"storage/{kind}" for kind in _KINDS), "project")
)
files: tuple[str, ...] = ("*.json",)

# By which a file in the folder of that name is known, whatever else stands in it.
_KEYS: dict[str, tuple[bytes, ...]] = {
    "part": (rb'"type"\s*:',),
    "message": (rb'"role"\s*:', rb'"time"\s*:'),
    "session": (rb'"time"\s*:', rb'"(?:directory|projectID|title)"\s*:'),
}
_LOOKED_AT = 1_000  # messages that are looked through for one whose file is not named as it should be


def claims(head: bytes, path: Path) -> bool:
    """Whether it lies where such a file does, and says what such a file says."""
    kind = _kind(path)
    if kind is None or not head.lstrip().startswith(b"{"):
        return False
    return all(re.search(key, head) for key in _KEYS[kind])


def read(reading: Reading, line: bytes) -> None:
    """A session, a message or a part was read."""
    record = record_of(line)
    if "role" in record:
        session = session_id(first_text(record.get("sessionID"), reading.path.parent.name))
        told_message(reading, session, record, spent=not _tells_usage(reading.path, first_text(record.get("id"))))
    elif "type" in record:
        told_part(reading, _within(reading.path, record), record)
    else:
        told_session(reading, session_id(first_text(record.get("id"), reading.path.stem)), record)


def finish(reading: Reading) -> None:
    """Nothing waits for the end."""


def _kind(path: Path) -> str | None:
    """What the folder is for: `part` in `storage/part/<message>` and in `storage/session/part/<session>/<message>`."""
    folders = path.parts[-5:-1]
    return next((kind for kind in reversed(_KINDS) if kind in folders), None)


def _within(path: Path, record: Mapping[str, Any]) -> Within:
    """The part's message as its own file tells it; of one that is not there only the session, as far as it is said."""
    id = first_text(record.get("messageID"), path.parent.name)
    session = first_text(record.get("sessionID"))
    for said in _messages(path, id, session):
        if said.get("id") == id:
            return within(session_id(first_text(said.get("sessionID"), session)), said)
    return Within(session_id(session or id))


def _messages(path: Path, id: str, session: str) -> Iterator[Mapping[str, Any]]:
    folder = _beside(path, "part", "message")
    if folder is None or not _is_name(id):
        return
    below = session if _is_name(session) else "*"
    usual = sorted(folder.glob(f"{below}/{id}.json"))
    others = (file for file in sorted(folder.glob(f"{below}/*.json")) if file not in usual)
    for file in (*usual, *(() if usual else islice(others, _LOOKED_AT))):
        if (said := _read(file)) is not None:
            yield said


def _tells_usage(path: Path, id: str) -> bool:
    """Whether parts of the message say what each call of a model consumed."""
    folder = _beside(path, "message", "part")
    if folder is None or not _is_name(id):
        return False
    found = (*folder.glob(f"{id}/*.json"), *folder.glob(f"{path.parent.name}/{id}/*.json"))
    return any((_read(file) or {}).get("type") == "step-finish" for file in found)


def _beside(path: Path, name: str, other: str) -> Path | None:
    folder = next((one for one in path.parents[:4] if one.name == name), None)
    return None if folder is None else folder.with_name(other)


def _is_name(id: str) -> bool:
    return re.fullmatch(r"[\w.@:-]*\w[\w.@:-]*", id, re.ASCII) is not None


def _read(file: Path) -> Mapping[str, Any] | None:
    try:
        return record_of(file.read_bytes())
    except (OSError, ValueError):
        return None
