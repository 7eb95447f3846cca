"""Targets: what comes over a wire. Bodies and headers of requests, answers, cursors, times, exports, model answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from starlette.requests import Request

from carryover.cli import archive as exports
from carryover.cli import drafts, rawjson
from carryover.client import chat, coding, profiles, strategies, wire
from carryover.core import chat_wire, strategy_wire
from carryover.core.budget import Budget
from carryover.core.chain import linked
from carryover.core.clock import EARLIEST, LATEST, parse_time, rfc3339
from carryover.core.errors import CarryoverError, Invalid
from carryover.core.ids import check_id, is_id
from carryover.core.paging import make_cursor, read_cursor
from carryover.core.persona import Edits
from carryover.core.scope import Scope
from carryover.core.session import Append, Draft, Json, Turn, to_json
from carryover.core.strategy import Format, Strategy
from carryover.core.text import content_tokens
from carryover.core.wire import decode, decode_error, encode, encode_error, turn_of, turn_text
from carryover.log.append import Limits, prepare
from carryover.memory import proposals
from carryover.persona.edits import Asked, edited
from carryover.providers import llm, schema
from carryover.server import answers, bodies, openapi, requests
from carryover.server.chat_body import ChatIn, request_of
from carryover.server.profile_body import edit_of
from carryover.strategies.formats.catalog import drafts_of, native_of
from carryover.strategies.resolve import checked
from fuzz import seeds
from fuzz.target import Target

FORMATS: tuple[Format, ...] = ("generic", "openai", "openai-chat", "anthropic")
VALUES = {kind.__name__: kind for kind in openapi._VALUES}
BODIES = {kind.__name__: kind for kind in openapi._BODIES}
LIMITS = Limits()


@cache
def schemas() -> dict[str, Any]:
    return openapi._schemas()


def sample(shape: Mapping[str, Any], depth: int = 0) -> Any:
    """A value of this JSON schema, with all that may be in it."""
    if "$ref" in shape:
        return sample(schemas()[shape["$ref"].rpartition("/")[2]], depth + 1)
    if "properties" in shape:
        return {name: sample(inner, depth) for name, inner in shape["properties"].items()}
    if "enum" in shape:
        return shape["enum"][0]
    if choices := shape.get("anyOf", shape.get("oneOf")):
        return sample(next((one for one in choices if one.get("type") != "null"), choices[0]), depth)
    kind = shape.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array":
        return [sample(shape.get("items", {}), depth + 1)] if depth < 5 else []
    if kind == "object":
        inner = shape.get("additionalProperties")
        return {"a": sample(inner, depth + 1)} if isinstance(inner, dict) else {}
    if kind == "string":
        return "2026-01-02T03:04:05.678Z" if shape.get("format") == "date-time" else shape.get("default") or "some-text"
    return {"integer": shape.get("minimum", 1), "number": 1.5, "boolean": True}.get(kind)


def named(names: Sequence[str]) -> list[bytes]:
    """For each of these schemas a line with its name, and a value."""
    return [f"{name}\n".encode() + json.dumps(sample(schemas().get(name, {}))).encode() for name in names]


def parted(data: bytes, known: Mapping[str, Any]) -> tuple[Any, bytes]:
    """What the first line names (or, where it names nothing, some of it), and what follows."""
    head, _, rest = data.partition(b"\n")
    name = head.decode("latin-1")
    return known[name] if name in known else list(known.values())[sum(head) % len(known)], rest


def text_of(data: bytes) -> str:
    """Text with halves of surrogate pairs where the bytes are no UTF-8, as JSON can say it."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def json_of(data: bytes) -> Any:
    """What the bytes say as JSON. Raises Invalid: what is none comes no further than this."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as cause:
        raise Invalid("no JSON") from cause


def value(data: bytes) -> None:
    """An answer as a value of its type; what is one is encoded and read again."""
    kind, rest = parted(data, VALUES)
    read = decode(kind, json_of(rest))
    json.dumps(encode(read))


def turn(data: bytes) -> None:
    """A turn travels byte for byte."""
    read = decode(Turn, json_of(data))
    again = json_of(turn_text(read).encode("utf-8", "surrogatepass"))
    assert turn_of(again).body == read.body


def problem(data: bytes) -> None:
    given = json_of(data)
    if isinstance(given, dict):
        read = decode_error(given)
        assert isinstance(read, CarryoverError)
        json.dumps(encode_error(read))


def event(data: bytes) -> None:
    name, _, rest = data.partition(b"\n")
    given = json_of(rest)
    if isinstance(given, dict):
        chat_wire.read_event(name.decode("latin-1"), given)


def shown_view(data: bytes) -> None:
    given = json_of(data)
    if isinstance(given, dict):
        for read in (strategy_wire.read_view, strategy_wire.read_effective):
            try:
                read(given)
            except CarryoverError:
                continue


CALLS: dict[str, wire.Call[Any]] = {
    "window": wire.window("s", agent="a", last_n=1),
    "append": wire.append(Append("s", (Draft("user", "hi"),))),
    "sessions": wire.sessions(agent="a", user=None, limit=1, cursor=None),
    "events": wire.events(agent="a", want=None, limit=1, cursor=None),
    "snapshots": wire.snapshots("s", agent="a", limit=1),
    "finding": wire.finding("f"),
    "extractors": wire.extractors(),
    "health": wire.health(),
    "usage": wire.usage(since=None, until=None, group="day"),
    "digests": coding._digests(None, None, None, {}, 1, None),
    "runs": chat._runs("s", "a", 1, None),
    "choices": profiles._choices(),
    "view": strategies._view("s", "a", None, "generic", False),
}


def answer(data: bytes) -> None:
    """What a server, or something between, answers: the first line names the call and the status."""
    head, _, rest = data.partition(b"\n")
    name, _, status = head.decode("latin-1").partition(" ")
    call = CALLS.get(name) or list(CALLS.values())[sum(head) % len(CALLS)]
    try:
        wire.answer(call, int(status) % 1000 if status.isascii() and status.isdigit() else 200, rest)
    except CarryoverError as refusal:
        pause_s = wire.pause_s(refusal)
    else:
        return
    assert 0 <= pause_s <= 60


def body(data: bytes) -> None:
    """A request's body as the type that its route takes, and what is made of it."""
    kind, rest = parted(data, BODIES)
    read = bodies.decode(rest, kind)
    if isinstance(read, ChatIn):
        request_of(read)
    elif isinstance(read, bodies.ViewIn):
        checked(read.strategy or {})
    elif isinstance(read, bodies.Search):
        bodies.query_of(read)


def append(data: bytes) -> None:
    """A body of turns, up to the rows that the store would hold; they are what was sent, byte for byte."""
    request = bodies.appends(data, "s", None, None)
    prepared = prepare(Scope("t"), request, LIMITS)
    rows = [{**row, "seq": n, "id": f"t_{n}", "received_at": 1, "created_at": row["created_at"] or 1}
            for n, row in enumerate(prepared.rows, 1)]  # fmt: skip
    linked(rows, None)
    for row, draft in zip(rows, request.drafts, strict=True):
        names = ("seq", "id", "role", "kind", "received_at", "tokens", "created_at", "name", "call_id", "metadata")
        made = Turn(body=Json(row["body"]), **{name: row[name] for name in names})
        assert made.body == to_json(draft.content)
        assert content_tokens(made.content) == row["tokens"]
        assert isinstance(made.text, str)
        assert json.loads(turn_text(made))["content"] == made.content
        row["body"].encode()


def request(headers: Mapping[str, bytes]) -> Request:
    raw = [(name.encode(), value) for name, value in headers.items()]
    return Request({"type": "http", "method": "PATCH", "path": "/", "headers": raw, "query_string": b""})


def header(data: bytes) -> None:
    """Headers that carry versions, ids and traces."""
    safe = data.replace(b"\r", b"").replace(b"\n", b"")
    for name in ("if-match", "if-none-match"):
        asked = request({name: safe})
        try:
            version = answers.expected_version(asked)
            assert version is None or version >= 0
        except CarryoverError:
            pass
        answers.is_known(asked, 3)
    requests._sent([(b"x-request-id", safe), (b"traceparent", safe)])


def edit(data: bytes) -> None:
    """What a user decides about a profile."""
    given = json_of(data)
    if isinstance(given, dict):
        fields = edit_of(request({}), given, None)
        asked = Asked(**{name: fields.get(name) for name in ("weights", "pins", "removed", "texts")})
        edited(Edits(), asked, {}, ())


def strategy(data: bytes) -> None:
    """The fields of a strategy: what is accepted is one, and is accepted again."""
    given = json_of(data)
    if isinstance(given, dict):
        said = checked(given)
        assert checked(said) == said
        Strategy(**{name: value for name, value in said.items() if value is not None})


def cursor(data: bytes) -> None:
    text = text_of(data)
    for types in ((int,), (int, str, str), (str,), (int, str)):
        try:
            place = read_cursor(text, types)
        except CarryoverError:
            continue
        assert tuple(map(type, place)) == types
        assert read_cursor(make_cursor(*place), types) == place


def moment(data: bytes) -> None:
    at = parse_time(text_of(data))
    assert EARLIEST <= at <= LATEST
    assert parse_time(rfc3339(at)) == at


def identity(data: bytes) -> None:
    text = text_of(data)
    if is_id(text):
        assert check_id(text, "id") == text


def export(data: bytes) -> None:
    """An export, its header read: each session that is yielded is whole."""
    head, _, rest = data.partition(b"\n")
    exports.is_header(head)
    for one in exports.read(rest.split(b"\n")):
        assert len(one.drafts) == len(one.ids)
        prepare(Scope("t"), Append(one.session_id, one.drafts, one.agent_id, one.user_id, None, one.metadata), LIMITS)


def line(data: bytes) -> None:
    read = drafts.parse(data, "line 1")
    prepare(Scope("t"), Append("s", (read.draft,)), LIMITS)


def raw_json(data: bytes) -> None:
    """JSON taken apart says what it said whole."""
    text = text_of(data)
    for take, kind in ((rawjson.members, dict), (rawjson.items, list)):
        try:
            found = take(text)
        except ValueError:
            continue
        whole = json.loads(text)
        assert isinstance(whole, kind)
        values = (
            {k: json.loads(v) for k, v in found.items()} if isinstance(found, dict) else list(map(json.loads, found))
        )
        assert repr(values) == repr(whole)


def native(data: bytes) -> None:
    """A provider's items as turns: they come back exactly, and can be told to every other provider."""
    head, _, rest = data.partition(b"\n")
    format: Format = next((one for one in FORMATS if one == head.decode("latin-1")), "openai")
    given = json_of(rest)
    items = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    made = drafts_of(format, items)
    prepare(Scope("t"), Append("s", tuple(made) or (Draft("user", "x"),)), LIMITS)
    if format != "generic":
        assert list(native_of(format, made)) == items, "the items did not come back"
    for other in FORMATS:
        native_of(other, made)


_SCHEMA = {
    "type": "object",
    "properties": {
        "found": {"type": "array", "items": {"$ref": "#/$defs/item"}, "maxItems": 50},
        "summary": {"anyOf": [{"type": "string", "maxLength": 600}, {"type": "null"}]},
    },
    "required": ["found"],
    "$defs": {"item": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}},
}
_TURNS = [
    Turn(n, f"t{n}", "user", to_json(text), "message", 1, 5, 1)
    for n, text in enumerate(("We use PostgreSQL for the ledger.", "The report is due on 3 May."), 1)
]


def model(data: bytes) -> None:
    """What a model answers: an object that fits its schema, or a fault in words; and only what the turns bear out."""
    said, fault = llm._read(text_of(data), _SCHEMA)
    assert (said is None) is bool(fault)
    given = json_of(data)
    schema.fault(given, _SCHEMA)
    if isinstance(given, dict):
        read = proposals.read(given, _TURNS, {"f1": None})
        for one in read.found:
            assert any(one.quote in turn.text for turn in _TURNS)
            assert 0 <= one.salience <= 1


def budget(data: bytes) -> None:
    given = json_of(data)
    if isinstance(given, dict):
        decode(Budget, given)


def answered() -> list[bytes]:
    shapes = {"window": "SessionResponse", "sessions": "SessionResponse", "events": "StreamResponse", "view": "View"}
    made = [
        f"{name} 200\n".encode() + json.dumps(sample(schemas().get(shapes.get(name, ""), {}))).encode()
        for name in CALLS
    ]
    refused = {
        "type": "/problems/too-many",
        "title": "x",
        "status": 429,
        "detail": "x",
        "retry_after": 1,
        "due": "2026-01-01",
    }
    down = {"status": "down", "store": {"reason": "x"}}
    return [*made, b"window 429\n" + json.dumps(refused).encode(), b"health 503\n" + json.dumps(down).encode()]


_GUIDED = ("body/append", "client/answer", "export", "native-items")


def targets() -> list[Target]:
    made: list[tuple[str, Callable[[bytes], None], Callable[[], Sequence[bytes]], float]] = [
        ("wire/values", value, lambda: named(list(VALUES)), 2.0),
        ("wire/turn", turn, lambda: [one.partition(b"\n")[2] for one in named(["Turn"])], 1.0),
        ("wire/problem", problem, lambda: [one.partition(b"\n")[2] for one in answered()[-2:]], 1.0),
        ("wire/chat-event", event, lambda: [f"{name}\n".encode() + json.dumps(sample(schemas()[kind.__name__])).encode()
                                            for name, kind in chat_wire.EVENTS.items()], 1.0),
        ("wire/view", shown_view, lambda: [one.partition(b"\n")[2] for one in named(["View", "Effective"])], 1.0),
        ("client/answer", answer, answered, 2.0),
        ("body/any", body, lambda: named(list(BODIES)), 3.0),
        ("body/append", append, lambda: seeds.TURNS, 2.0),
        ("body/profile-edit", edit, lambda: seeds.EDIT, 1.0),
        ("body/strategy", strategy, lambda: seeds.STRATEGY, 1.0),
        ("header", header, lambda: seeds.HEADERS, 1.0),
        ("cursor", cursor, lambda: seeds.CURSORS, 1.0),
        ("time", moment, lambda: seeds.TIMES, 1.0),
        ("id", identity, lambda: [b"session-1", b"sessions"], 0.5),
        ("export", export, lambda: seeds.EXPORTS, 1.0),
        ("import-line", line, lambda: [*seeds.EXPORTS[0].split(b"\n")[2:3], *seeds.TURNS], 1.0),
        ("raw-json", raw_json, lambda: [*seeds.TURNS, *seeds.MODEL], 1.0),
        ("native-items", native, lambda: seeds.NATIVE, 2.0),
        ("model-answer", model, lambda: seeds.MODEL, 1.0),
        ("budget", budget, lambda: [b'{"raw_soft_cap_bytes":1,"raw_hard_cap_bytes":2,"raw_max_age_days":3}'], 0.5),
    ]  # fmt: skip
    return [Target(name, run, seeds, guided=name in _GUIDED, share=share) for name, run, seeds, share in made]
