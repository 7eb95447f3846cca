"""The OpenAPI document: FastAPI's own routes, the hot routes, and the schemas of what goes in and out.

Schemas are read off the values of `core` and the bodies of `bodies`, so they cannot drift from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from carryover.core.audit import AuditLine
from carryover.core.chat import Run, RunDetail
from carryover.core.chat_wire import EVENTS
from carryover.core.chunk import Hits
from carryover.core.clock import Time
from carryover.core.context import Context
from carryover.core.digest import Digest
from carryover.core.erasure import ErasureKey, LegalHold, Preview, Receipt
from carryover.core.event import Event, Page
from carryover.core.extractor import ExtractorState
from carryover.core.pattern import Effect, Pattern, Written
from carryover.core.persona import Choice, Fitted, Link, Overview, Persona, Profile
from carryover.core.session import KINDS, ROLES, Appended, Session
from carryover.core.snapshot import FINDING_KINDS, Diff, Finding, FindingDetail, Snapshot
from carryover.core.strategy import Action, Effective, Layer, View
from carryover.core.trace import Trace
from carryover.core.usage import UsageReport
from carryover.server.bodies import (
    Consolidate,
    Decided,
    Detect,
    Distribute,
    Edited,
    Hold,
    Named,
    Posted,
    Search,
    Ttl,
    TurnIn,
    ViewIn,
    Withdraw,
)
from carryover.server.chat_body import ChatIn
from carryover.server.erasure_body import Erase, PlaceHold
from carryover.server.profile_body import PROFILE_EDIT, LinkIn, Refit
from carryover.strategies.fields import RULES

JSON = "application/json"
_ID = {"type": "string", "pattern": "^[A-Za-z0-9._:@-]{1,128}$"}
_VALUES = (
    Session,
    Page,
    Event,
    *(Receipt, Preview, LegalHold, ErasureKey),
    Finding,
    Diff,
    FindingDetail,
    Hits,
    Context,
    Trace,
    UsageReport,
    ExtractorState,
    Digest,
    Pattern,
    Effect,
    Written,
    Effective,
    View,
    Run,
    RunDetail,
    *EVENTS.values(),
    *(Profile, Persona, Choice, Overview, Link, Fitted, AuditLine),
)
_BODIES = (
    *(Posted, TurnIn, Named, Hold, Ttl, Consolidate, Search, Detect, Decided, Edited, Distribute, Withdraw),
    *(ViewIn, ChatIn, LinkIn, Refit, Erase, PlaceHold),
)
_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Decimal: {"type": "string", "description": "a decimal number"},
    NoneType: {"type": "null"},
    Any: {},
}

Schema = dict[str, Any]


def gives(schema: str, *, media: str = JSON, more: dict[int, str] | None = None) -> dict[str, Any]:
    """What a route's decorator says of its answers."""
    return {"response_class": Response, "responses": _responses({200: schema, **(more or {})}, media)}


def takes(
    body: type[msgspec.Struct] | str, *, required: bool = True, header: Literal["If-Match", "If-None-Match", ""] = ""
) -> dict[str, Any]:
    """What a route's decorator says of its body (a type, or the name of a schema) and of a header that it heeds."""
    name = body if isinstance(body, str) else body.__name__
    headers = [_HEADERS[header]] if header else []
    return {"openapi_extra": {"requestBody": _request_body(name, required), "parameters": headers}}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of all routes, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path, operations in _hot_routes().items():
            made["paths"].setdefault(path, {}).update(operations)
        for operation in (one for operations in made["paths"].values() for one in operations.values()):
            operation["summary"] = operation["description"].partition(";")[0].partition(":")[0].rstrip(".")
            if _HEADERS["If-None-Match"] in operation.get("parameters", ()):
                operation["responses"]["304"] = {"description": "What the caller has is up to date."}
        components = made.setdefault("components", {})
        components["schemas"] = {**components.get("schemas", {}), **_schemas()}
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"key": []}, {}]
        app.openapi_schema = made
    return app.openapi_schema


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(schema: str, media: str) -> dict[str, Any]:
    return {media: {"schema": _ref(schema)}}


def _responses(schemas: dict[int, str], media: str = JSON) -> dict[Any, Any]:
    shown: dict[Any, Any] = {
        status: {"description": name, "content": _content(name, media)} for status, name in schemas.items()
    }
    shown["default"] = {"description": "Problem", "content": _content("Problem", "application/problem+json")}
    return shown


def _request_body(name: str, required: bool) -> dict[str, Any]:
    return {"required": required, "content": _content(name, JSON)}


def _parameter(name: str, place: str, schema: Schema, about: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": about}


_HEADERS = {
    "If-Match": _parameter(
        "If-Match", "header", {"type": "string", "pattern": '^"[0-9]{1,15}"$'}, "the version expected"
    ),
    "If-None-Match": _parameter("If-None-Match", "header", {"type": "string"}, "a version that the caller has: 304"),
}


def _integer(default: int, most: int) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


def _hot_routes() -> dict[str, Any]:
    """The routes that FastAPI does not serve, as it would document them."""
    session = _parameter("id", "path", _ID, "a session")
    agent = _parameter("agent_id", "query", {**_ID, "default": "default"}, "whose session it is")
    user = _parameter("user_id", "query", _ID, "the user that is served")
    both = [
        _parameter("agent_id", "path", _ID, "an agent of the tenant"),
        _parameter("session_id", "path", _ID, "a session of the agent"),
    ]
    match, known = _HEADERS["If-Match"], _HEADERS["If-None-Match"]
    context = [
        session,
        agent,
        user,
        _parameter("scope", "query", {"enum": ["session", "agent", "user"], "default": "agent"}, "whose sessions"),
        _parameter("max_tokens", "query", _integer(500, 999_999_999), "the budget"),
        _parameter("query", "query", {"type": "string"}, "what the session is about to be about"),
        _parameter("as_of", "query", {"type": "string", "format": "date-time"}, "memory as it was at that time"),
        _parameter("repo", "query", {"type": "string"}, "the repository that a coding agent works in"),
        known,
    ]
    window = [*both, _parameter("last_n", "query", _integer(10, 1000), "how many turns"), known]
    return {
        "/sessions/{id}/turns": {
            "post": _operation("Append", append=True, parameters=[session, agent, match], gives="Appended")
        },
        "/memory/{agent_id}/{session_id}/append": {
            "post": _operation("Append Message", append=True, parameters=[*both, match], gives="SessionResponse")
        },
        "/memory/{agent_id}/{session_id}/window": {
            "get": _operation("Window", parameters=window, gives="SessionResponse")
        },
        "/sessions/{id}/context": {"get": _context_operation(context)},
    }


_ABOUT = {
    "Append": "Appends one turn, or a batch in `turns`, atomically; a repeated `idempotency_key` saves nothing (200).",
    "Append Message": "Appends one message and answers the session.",
    "Window": "The last turns of a session, in order.",
    "Context": "The Markdown to prepend to a session's system prompt, never more than `max_tokens`.",
}


def _operation(summary: str, *, parameters: list[dict[str, Any]], gives: str, append: bool = False) -> dict[str, Any]:
    shown = {
        "tags": ["memory" if summary == "Context" else "log"],
        "summary": summary,
        "description": _ABOUT[summary],
        "operationId": summary.lower().replace(" ", "_"),
        "parameters": parameters,
    }
    if not append:
        return {**shown, "responses": _by_text(_responses({200: gives}))}
    body = {**_request_body("Posted", required=True)}
    body["content"][JSON]["examples"] = {
        "one turn": {"value": {"role": "user", "content": "Let's use PostgreSQL for the ledger."}},
        "a batch": {
            "value": {
                "agent_id": "support",
                "expected_version": 0,
                "turns": [
                    {"role": "user", "content": "Where is my order?", "idempotency_key": "m-1"},
                    {"role": "assistant", "content": [{"type": "text", "text": "It ships today."}]},
                ],
            }
        },
    }
    return {**shown, "requestBody": body, "responses": _by_text(_responses({201: gives, 200: gives}))}


def _context_operation(parameters: list[dict[str, Any]]) -> dict[str, Any]:
    shown = _operation("Context", parameters=parameters, gives="Context")
    shown["responses"]["200"]["content"]["text/markdown"] = {"schema": {"type": "string"}}
    return shown


def _by_text(responses: dict[Any, Any]) -> dict[str, Any]:
    return {str(status): response for status, response in responses.items()}


def _schemas() -> dict[str, Schema]:
    made: dict[str, Schema] = {}
    for value in _VALUES:
        _schema(value, made)
    _, bodies = msgspec.json.schema_components(_BODIES, ref_template="#/components/schemas/{name}")
    # Raw content says nothing of itself: here is what may be in it.
    bodies["TurnIn"]["properties"] |= {"content": _CONTENT, "metadata": _METADATA}
    bodies["Posted"]["properties"] |= {"content": _CONTENT, "metadata": _METADATA}
    bodies["ViewIn"]["properties"]["memory_strategy"] = {"anyOf": [_ref("StrategyFields"), {"type": "null"}]}
    bodies["ChatIn"]["properties"] |= {
        "message": _CONTENT,
        "memory_strategy": bodies["ViewIn"]["properties"]["memory_strategy"],
    }
    bodies["Posted"]["anyOf"] = [{"required": ["role", "content"]}, {"required": ["turns"]}]
    made |= bodies
    session = made.pop("Session")
    session["properties"] |= {
        "turn_count": {"type": "integer"},
        "turns": {"type": "array", "items": _ref("Turn")},
        "turn": _object({"seq": int, "id": str}),
        "next_cursor": _CURSOR,
    }
    made["SessionResponse"] = session
    made["StreamResponse"] = made.pop("Page")
    made["Snapshot"] = _snapshot(made)
    made["Strategy"]["properties"]["source"] = _schema(Layer, made)
    made["Operation"] = _object({"op": _schema(Action, made), "range": _RANGE, "reason": str})
    return made | _SHAPES


def _schema(hint: Any, made: dict[str, Schema]) -> Schema:
    """The JSON schema of a type of `core`, as `core.wire` encodes its values."""
    origin, args = get_origin(hint), get_args(hint)
    if hint == Time:
        return {"type": "string", "format": "date-time"}
    if origin is Annotated:
        return _schema(args[0], made)
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(arg, made) for arg in args]}
    if origin is Literal:
        return {"type": "string", "enum": list(args)}
    if origin is tuple:
        return {"type": "array", "items": _schema(args[0], made)}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _schema(args[1], made)}
    return _named(hint, made) if is_dataclass(hint) else _SCALARS[hint]


def _named(hint: Any, made: dict[str, Schema]) -> Schema:
    kind = cast("type[Any]", hint)
    name = kind.__name__
    if name not in made:
        made[name] = {}
        hints = get_type_hints(kind, include_extras=True)
        made[name] = {
            "type": "object",
            "description": (kind.__doc__ or "").partition("\n")[0],
            "properties": {field.name: _schema(hints[field.name], made) for field in fields(kind)},
            "required": [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING],
        }
    return _ref(name)


def _snapshot(made: dict[str, Schema]) -> Schema:
    _schema(Snapshot, made)
    shown = made["Snapshot"]
    del shown["properties"]["findings"]
    findings = {"type": "array", "items": _ref("Finding")}
    shown["properties"] |= {kind + "s": findings for kind in FINDING_KINDS}
    return shown


def _object(members: dict[str, Any]) -> Schema:
    """An object of these members, all required; a member's type is a Python type or a schema."""
    shown = {name: _SCALARS[kind] if isinstance(kind, type) else kind for name, kind in members.items()}
    return {"type": "object", "properties": shown, "required": list(members)}


def _list_of(name: str) -> Schema:
    return {"type": "array", "items": _ref(name)}


_CONTENT: Schema = {
    "description": "text, or a list of parts; parts of unknown kinds are kept byte for byte",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {}}],
}
_METADATA: Schema = {"anyOf": [{"type": "object"}, {"type": "null"}]}
_CURSOR: Schema = {"type": ["string", "null"]}
_TIME: Schema = {"type": "string", "format": "date-time"}
_RANGE: Schema = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
_TURN: Schema = {
    "seq": int,
    "id": str,
    "role": {"type": "string", "enum": list(ROLES)},
    "kind": {"type": "string", "enum": list(KINDS)},
    "content": _CONTENT,
    "created_at": _TIME,
    "received_at": _TIME,
    "tokens": int,
}
_STRATEGY: Schema = {
    "type": "object",
    "description": "What is said of a strategy; null clears a field, and what is left out is inherited.",
    "properties": {name: {"anyOf": [rule, {"type": "null"}]} for name, rule in RULES.items()},
    "additionalProperties": False,
}
_SHAPES: dict[str, Schema] = {
    "Turn": _object(_TURN),
    "Appended": _object(
        {
            **dict.fromkeys(list(Appended.__dataclass_fields__)[:2], str),
            "version": int,
            "turns": {"type": "array", "items": _object({"seq": int, "id": str})},
        }
    ),
    "SessionListResponse": _object({"sessions": _list_of("SessionResponse"), "next_cursor": _CURSOR}),
    "SnapshotList": _object({"snapshots": _list_of("Snapshot")}),
    "ExtractorList": _object({"extractors": _list_of("ExtractorState")}),
    "AuditList": _object({"lines": _list_of("AuditLine"), "next_cursor": _CURSOR}),
    "DigestList": _object({"digests": _list_of("Digest"), "next_cursor": _CURSOR}),
    "PatternList": _object({"patterns": _list_of("Pattern")}),
    "EffectList": _object({"effects": _list_of("Effect")}),
    "RunList": _object({"runs": _list_of("Run"), "next_cursor": _CURSOR}),
    "ChatEvent": {"oneOf": [_ref(kind.__name__) for kind in EVENTS.values()]},
    "ChoiceList": _object({"choices": _list_of("Choice")}),
    "ProfileEdit": PROFILE_EDIT,
    "ProfileDeleted": _object({"message": str, "receipt": _object({"user_id": str, "counts": {"type": "object"}})}),
    "FitAccepted": _object({"job": _object({"kind": str, "status": str})}),
    "FileList": _object({"files": _list_of("Written")}),
    "StrategyFields": _STRATEGY,
    "StrategySet": {
        **_STRATEGY,
        "properties": {
            **_STRATEGY["properties"],
            "expected_version": {"type": ["integer", "null"], "minimum": 0},
        },
    },
    "Deleted": _object({"message": str, "receipt": _ref("Receipt")}),
    "LegalHolds": _object({"holds": _list_of("LegalHold")}),
    "Accepted": _object({"job": _object({"kind": str, "agent_id": str, "session_id": str, "status": str})}),
    "Health": _object(
        {
            "status": {"type": "string", "enum": ["ok", "degraded", "down"]},
            **{key: {"type": "object"} for key in ("store", "cache", "queue")},
            "notes": {"type": "array", "items": {"type": "string"}},
            "version": str,
        }
    ),
    "Live": _object({"status": {"type": "string", "enum": ["ok"]}, "version": str}),
    "Metrics": {"type": "string"},
    "Index": _object({"service": str, "version": str, "links": {"type": "object"}, "routes": {"type": "array"}}),
    "Problem": _object({"type": str, "title": str, "status": int, "detail": str}),
}
