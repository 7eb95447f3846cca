"""Reading turns that others wrote: one JSON object for each, its content kept byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carryover.cli import rawjson
from carryover.core.clock import parse_time
from carryover.core.errors import Invalid
from carryover.core.ids import check_id, check_session_id
from carryover.core.scope import DEFAULT
from carryover.core.session import ROLES, Draft, Json

# What other formats call things that have a name here.
_ALIASES = {
    "tool_call_id": "call_id",
    "timestamp": "created_at",
    "time": "created_at",
    "session": "session_id",
    "conversation_id": "session_id",
    "agent": "agent_id",
    "user": "user_id",
}
_ROLES = {"developer": "system", "human": "user", "ai": "assistant", "model": "assistant", "function": "tool"}
_OURS = {"role", "content", "kind", "name", "call_id", "created_at", "metadata", "idempotency_key"}
_ANSWERED = {"seq", "id", "received_at", "tokens"}  # members of a turn as it is read, without meaning for a new one
_WHERE = {"session_id", "agent_id", "user_id"}


@dataclass(frozen=True, slots=True)
class Line:
    """A draft, and where it belongs as far as its object says."""

    draft: Draft
    session_id: str | None
    agent_id: str = DEFAULT
    user_id: str | None = None


def parse(data: bytes, where: str) -> Line:
    """The draft that a JSON object stands for. Raises Invalid, saying `where`."""
    try:
        members = rawjson.members(data.decode())
    except ValueError as cause:
        raise Invalid(f"{where} is not a JSON object ({cause}); correct or remove it") from cause
    return draft_of(members, where)


def draft_of(members: Mapping[str, str], where: str) -> Line:
    """The draft that these members, JSON texts, stand for. Raises Invalid, saying `where`.

    Members without a name here go into its metadata: nothing is dropped.
    """
    given = {_name(name, members): value for name, value in members.items() if value != "null"}
    content, calls = given.get("content"), given.get("tool_calls")
    if content is None and calls is None:
        raise Invalid(f"{where} has no content; give it a string or a list of parts")
    others = {name: value for name, value in given.items() if name not in _OURS | _ANSWERED | _WHERE}
    if content is None:
        others.pop("tool_calls")
    text = _texts(given, where)
    draft = Draft(
        role=_role(text.get("role"), where),
        content=Json(content or calls),
        kind=_kind(text, only_calls=content is None),
        name=text.get("name"),
        call_id=text.get("call_id"),
        created_at=_time(given.get("created_at"), f"{where}: created_at"),
        metadata=_metadata(given.get("metadata"), others, where),
        idempotency_key=text.get("idempotency_key"),
    )
    return _placed(draft, text, where)


def _name(name: str, members: Mapping[str, str]) -> str:
    known = _ALIASES.get(name, name)
    return name if known in members else known


def _placed(draft: Draft, text: dict[str, str], where: str) -> Line:
    try:
        session, agent, user = text.get("session_id"), text.get("agent_id", DEFAULT), text.get("user_id")
        return Line(
            draft,
            None if session is None else check_session_id(session),
            check_id(agent, "agent_id"),
            None if user is None else check_id(user, "user_id"),
        )
    except Invalid as cause:
        raise Invalid(f"{where}: {cause.message}") from cause


def _texts(given: Mapping[str, str], where: str) -> dict[str, str]:
    """The members that are words."""
    words = (_OURS | _WHERE) - {"content", "created_at", "metadata"}
    texts = {name: json.loads(value) for name, value in given.items() if name in words}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise Invalid(f"{where}: {name} is not a text; write it in quotation marks")
    return texts


def _role(role: str | None, where: str) -> Any:
    role = _ROLES.get(role or "", role)
    if role not in ROLES:
        raise Invalid(f"{where}: role {role!r} is unknown; use one of {', '.join(ROLES)}")
    return role


def _kind(text: Mapping[str, str], *, only_calls: bool) -> Any:
    if "kind" in text:
        return text["kind"]
    return "tool_call" if only_calls else "tool_result" if text.get("role") in ("tool", "function") else "message"


def _time(raw: str | None, where: str) -> int | None:
    """A time as text, or as seconds or milliseconds since 1970."""
    value = None if raw is None else json.loads(raw)
    if value is None or isinstance(value, str):
        return None if value is None else parse_time(value, where)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Invalid(f"{where} is no time; write it as 2026-11-21T05:23:57.000Z")
    return int(value * 1000 if abs(value) < 100_000_000_000 else value)


def _metadata(raw: str | None, others: Mapping[str, str], where: str) -> Json | None:
    if not others:
        return None if raw is None else Json(raw)
    try:
        own = {} if raw is None else rawjson.members(raw)
    except ValueError as cause:
        raise Invalid(f"{where}: metadata is not an object; write it as {{...}}") from cause
    joined = ",".join(f"{json.dumps(name)}:{value}" for name, value in {**others, **own}.items())
    return Json(f"{{{joined}}}")
