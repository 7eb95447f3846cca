"""How values look as JSON: dataclasses as objects, times as RFC 3339, content exactly as it came in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from carryover.core import errors
from carryover.core.clock import Time, parse_time, rfc3339
from carryover.core.errors import CarryoverError, Invalid
from carryover.core.session import Json, Session, Turn
from carryover.core.snapshot import FINDING_KINDS, Finding, Snapshot, Theme

Value = TypeVar("Value")

_PLAIN = (str, int, float, bool, NoneType)
_PROBLEMS = "/problems/"
_TIME_FACTS = ("due", "until")  # facts of errors that are times
_NO_FACTS = ("type", "title", "status", "detail", "message", "self")
_PLURALS = dict(zip(FINDING_KINDS, ("decisions", "facts", "tasks"), strict=True))


def encode(value: Any) -> Any:
    """`value` as dicts, lists, strings and numbers, ready for `json.dumps`."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Turn):
        return json.loads(turn_text(value))
    if isinstance(value, Snapshot):
        return _encode_snapshot(value)
    if is_dataclass(value) and not isinstance(value, type):
        shown = {name: _encode_field(getattr(value, name), is_time) for name, is_time in _plan(type(value))}
        return shown | {"turn_count": value.turn_count} if isinstance(value, Session) else shown
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: encode(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, frozenset):
        return sorted(encode(item) for item in cast("frozenset[Any]", value))
    if isinstance(value, Decimal):
        return format(value, "f")
    return value


def turn_text(turn: Turn) -> str:
    """A turn as JSON text, its content and metadata byte for byte as they were appended."""
    labels = {"name": turn.name, "call_id": turn.call_id, "idempotency_key": turn.idempotency_key}
    extra = "".join(f',"{key}":{json.dumps(label)}' for key, label in labels.items() if label is not None)
    if turn.metadata is not None:
        extra += f',"metadata":{turn.metadata}'
    return (
        f'{{"seq":{turn.seq},"id":"{turn.id}","role":"{turn.role}","kind":"{turn.kind}","content":{turn.body},'
        f'"created_at":"{rfc3339(turn.created_at)}","received_at":"{rfc3339(turn.received_at)}",'
        f'"tokens":{turn.tokens}{extra}}}'
    )


def decode(kind: type[Value], data: Any) -> Value:
    """The value of type `kind` that `data`, decoded JSON, stands for; members that it does not know are passed over.

    Raises Invalid when a member is missing or of another type.
    """
    return cast("Value", _decode(kind, data, kind.__name__))


def encode_error(error: CarryoverError) -> dict[str, Any]:
    """The members of a problem document (RFC 9457) that the error itself knows: all but the status."""
    name = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).capitalize()
    facts = {key: _encode_field(value, key in _TIME_FACTS) for key, value in error.facts.items()}
    slug = name.lower().replace(" ", "-")
    return {"type": _PROBLEMS + slug, "title": name, "detail": error.message, **facts}


def decode_error(data: Mapping[str, Any]) -> CarryoverError:
    """The error that a problem document stands for; CarryoverError where its type is none of ours."""
    name = str(data.get("type", "")).removeprefix(_PROBLEMS).replace("-", " ").title().replace(" ", "")
    kind = getattr(errors, name, CarryoverError)
    if not (isinstance(kind, type) and issubclass(kind, CarryoverError)):
        kind = CarryoverError
    facts = {key: value for key, value in data.items() if key not in _NO_FACTS}
    for key in facts.keys() & set(_TIME_FACTS):
        try:
            facts[key] = _decode(Time, facts[key], key)
        except Invalid:  # what went wrong is worth more than when it will be over
            del facts[key]
    detail = data.get("detail")
    return kind(detail if isinstance(detail, str) else None, **facts)


def _encode_field(value: Any, is_time: bool) -> Any:
    if is_time and value is not None:
        return rfc3339(value)
    return value if type(value) in _PLAIN else encode(value)


def _encode_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    head = {
        name: _encode_field(getattr(snapshot, name), is_time) for name, is_time in _plan(Snapshot) if name != "findings"
    }
    return head | {plural: encode(snapshot.of(kind)) for kind, plural in _PLURALS.items()}


@cache
def _plan(kind: type[Any]) -> tuple[tuple[str, bool], ...]:
    """The fields of a dataclass, and which of them are times."""
    hints = _hints(kind)
    return tuple((f.name, _is_time(hints[f.name])) for f in fields(kind))


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _is_time(hint: Any) -> bool:
    return hint == Time or Time in get_args(hint)


def _decode(hint: Any, data: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint == Time:
        return parse_time(data, where) if isinstance(data, str) else _wrong(where, "a time")
    if origin in (Union, UnionType):
        return None if data is None and NoneType in args else _decode_any(args, data, where)
    if origin is tuple:
        return tuple(_decode(args[0], item, where) for item in _a_list(data, where))
    if origin in (dict, Mapping):
        return {key: _decode(args[1], item, f"{where}.{key}") for key, item in _a_dict(data, where).items()}
    if origin is Literal:
        return data if data in args else _wrong(where, f"one of {', '.join(map(str, args))}")
    return _decode_plain(args[0] if origin is Annotated else hint, data, where)


def _decode_plain(hint: Any, data: Any, where: str) -> Any:
    if hint in _BY_HAND:
        try:
            return _BY_HAND[hint](_a_dict(data, where))
        except (KeyError, TypeError, ValueError, AttributeError):
            return _wrong(where, "complete")
    if is_dataclass(hint):
        members = _a_dict(data, where)
        kind = cast("type[Any]", hint)
        hints = _hints(kind)
        known = {
            f.name: _decode(hints[f.name], members[f.name], f"{where}.{f.name}")
            for f in fields(kind)
            if f.name in members
        }
        try:
            return kind(**known)
        except TypeError:
            return _wrong(where, "complete")
    if hint is Decimal:
        try:
            return Decimal(str(data))
        except InvalidOperation:
            return _wrong(where, "a number")
    if hint is float and isinstance(data, int):
        return float(data)
    if hint is not Any and isinstance(hint, type) and not isinstance(data, hint):
        return _wrong(where, hint.__name__)
    return data


def _decode_any(hints: tuple[Any, ...], data: Any, where: str) -> Any:
    for hint in hints:
        if hint is not NoneType:
            return _decode(hint, data, where)
    return _wrong(where, "null")


def turn_of(data: Mapping[str, Any]) -> Turn:
    """A turn from its decoded JSON; `content` and `metadata` may still be JSON text (`Json`)."""
    metadata = data.get("metadata")
    return Turn(
        seq=data["seq"],
        id=data["id"],
        role=data["role"],
        body=_json(data["content"]),
        kind=data["kind"],
        tokens=data["tokens"],
        metadata=None if metadata is None else _json(metadata),
        created_at=parse_time(data["created_at"], "created_at"),
        received_at=parse_time(data["received_at"], "received_at"),
        name=data.get("name"),
        call_id=data.get("call_id"),
        idempotency_key=data.get("idempotency_key"),
    )


def _json(value: Any) -> Json:
    return value if isinstance(value, Json) else Json(json.dumps(value, separators=(",", ":")))


def _snapshot_of(data: dict[str, Any]) -> Snapshot:
    found = [decode(Finding, item) for plural in _PLURALS.values() for item in data[plural]]
    head: dict[str, Any] = {
        name: parse_time(data[name], name) if is_time else data[name]
        for name, is_time in _plan(Snapshot)
        if name in data
    }
    head["themes"] = tuple(decode(Theme, theme) for theme in data.get("themes", ()))
    return Snapshot(**head, findings=tuple(sorted(found, key=lambda f: (f.learned_at, f.id))))


_BY_HAND: dict[Any, Callable[[dict[str, Any]], Any]] = {Turn: turn_of, Snapshot: _snapshot_of}


def _a_dict(data: Any, where: str) -> dict[str, Any]:
    return cast("dict[str, Any]", data) if isinstance(data, dict) else _wrong(where, "an object")


def _a_list(data: Any, where: str) -> list[Any]:
    return cast("list[Any]", data) if isinstance(data, (list, tuple)) else _wrong(where, "a list")


def _wrong(where: str, wanted: str) -> Any:
    raise Invalid(f"{where} is not {wanted}; check that client and server are of the same version", field=where)
