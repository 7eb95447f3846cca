"""Exports: a line that names the format, then for each session one line of its own and one for each of its turns.

A turn's content stands in its line byte for byte. Only where it holds a line break outside its strings, which would
end the line, it stands as a string of JSON text: `content_text` instead of `content`, `metadata_text` likewise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from carryover.cli import drafts, rawjson
from carryover.core.clock import rfc3339
from carryover.core.errors import Invalid
from carryover.core.session import Draft, Json, Session, Turn
from carryover.core.wire import encode, turn_text

FORMAT, VERSION = "carryover-export", 1
_HEAD: dict[str, Any] = {  # the members of a session's line
    "session_id": str,
    "agent_id": str,
    "user_id": str | None,
    "version": int,
    "metadata": dict,
    "status": str,
    "ttl_s": int | None,
}
KEY = "import:"  # an imported turn's idempotency key: this and the id that the turn had where it came from


@dataclass(frozen=True, slots=True)
class Archived:
    """A session out of an export, whole; `ids` are those that its turns had where they came from."""

    agent_id: str
    session_id: str
    user_id: str | None
    metadata: dict[str, Any]
    ttl_s: int | None
    closed: bool
    drafts: tuple[Draft, ...]
    ids: tuple[str, ...]
    size: int  # bytes of its lines


def header(now: int) -> bytes:
    return _line(json.dumps({"format": FORMAT, "version": VERSION, "exported_at": rfc3339(now)}))


def is_header(line: bytes) -> bool:
    """Whether an export begins with this line. Raises Invalid for one that a newer carryover wrote."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    members = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if members.get("format") != FORMAT:
        return False
    if members.get("version") != VERSION:
        raise Invalid(
            f"this export is of version {members.get('version')!r} and this carryover reads version {VERSION}; "
            "upgrade carryover"
        )
    return True


def write(session: Session, turns: Iterable[Turn]) -> Iterator[bytes]:
    """The lines of a session."""
    yield _line(json.dumps({"session": encode(session)}, ensure_ascii=False))
    for turn in turns:
        yield _line(_turn(turn))


def read(lines: Iterable[bytes], first: int = 2) -> Iterator[Archived]:
    """The sessions of an export whose header has been read; `first` is the number of the next line.

    Raises Invalid, with the number of the line, where a line is torn or turns are missing: the session that it
    belongs to was not yielded.
    """
    head: dict[str, Any] | None = None
    held: list[tuple[str, drafts.Line]] = []
    size, number = 0, first - 1
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        opened = _session(line, number) if line.startswith(b'{"session":') else None
        if opened is not None and head is not None:
            yield _archived(head, held, size, number)
        if opened is not None:
            head, held, size = opened, [], 0
        elif head is None:
            raise Invalid(f"line {number} is a turn without a session; export again")
        else:
            held.append(_read_turn(line, f"line {number}"))
        size += len(line)
    if head is not None:
        yield _archived(head, held, size, number + 1)


def _line(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass") + b"\n"


def _turn(turn: Turn) -> str:
    key = turn.idempotency_key
    if key is not None and key.startswith(KEY):  # it keeps the id that it first had, however often it is carried over
        turn = replace(turn, id=key.removeprefix(KEY), idempotency_key=None)
    body, metadata = turn.body, turn.metadata
    texts = ""
    if _breaks(body):
        texts += f',"content_text":{json.dumps(body, ensure_ascii=False)}'
        turn = replace(turn, body=Json("null"))
    if metadata is not None and _breaks(metadata):
        texts += f',"metadata_text":{json.dumps(metadata, ensure_ascii=False)}'
        turn = replace(turn, metadata=None)
    return turn_text(turn)[:-1] + texts + "}"


def _breaks(text: str) -> bool:
    return "\n" in text or "\r" in text


def _session(line: bytes, number: int) -> dict[str, Any]:
    try:
        said = json.loads(line)["session"]
        head: dict[str, Any] = {"user_id": None, "ttl_s": None} | {name: said[name] for name in _HEAD if name in said}
        for name, kind in _HEAD.items():
            if not isinstance(head[name], kind):
                raise ValueError(f"{name} is {head[name]!r:.40}")
        return head
    except (ValueError, KeyError, TypeError, RecursionError) as cause:
        raise Invalid(f"line {number} is no session ({cause}); the file is damaged: export again") from cause


def _read_turn(line: bytes, where: str) -> tuple[str, drafts.Line]:
    try:
        members = rawjson.members(line.decode())
        id = _text(members["id"])
        for name in ("content", "metadata"):
            if (text := members.pop(f"{name}_text", None)) is not None:
                members[name] = _text(text)
    except (ValueError, KeyError, RecursionError) as cause:
        raise Invalid(f"{where} is no turn ({cause}); the file is damaged: export again") from cause
    return id, drafts.draft_of(members, where)


def _text(raw: str) -> str:
    value: object = json.loads(raw)
    if not isinstance(value, str):
        raise ValueError(f"{raw[:40]} is no text")
    return value


def _archived(head: dict[str, Any], held: list[tuple[str, drafts.Line]], size: int, number: int) -> Archived:
    if len(held) != head["version"]:
        raise Invalid(
            f"line {number}: session {head['session_id']!r} ends here with {len(held)} of its {head['version']} turns; "
            "the file is damaged: export again"
        )
    return Archived(
        agent_id=head["agent_id"],
        session_id=head["session_id"],
        user_id=head["user_id"],
        metadata=head["metadata"],
        ttl_s=head["ttl_s"],
        closed=head["status"] == "closed",
        drafts=tuple(_keyed(id, line.draft) for id, line in held),
        ids=tuple(id for id, _ in held),
        size=size,
    )


def _keyed(id: str, draft: Draft) -> Draft:
    return draft if draft.idempotency_key is not None else replace(draft, idempotency_key=KEY + id)
