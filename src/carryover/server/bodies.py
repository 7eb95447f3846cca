"""Request bodies: read within the limit, decoded strictly, content kept byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Annotated, Any, TypeVar, cast

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from starlette.requests import ClientDisconnect, Request

from carryover.coding.verbs import BY
from carryover.core.chunk import ChunkKind, Query
from carryover.core.clock import parse_time
from carryover.core.errors import Invalid, TooLarge
from carryover.core.pattern import LEAST, Rollout
from carryover.core.scope import DEFAULT
from carryover.core.session import Append, Draft, Json, Kind, Role
from carryover.core.strategy import Format
from carryover.server import surrogates
from carryover.server.errors import Malformed

Body = TypeVar("Body", bound=Struct)
_USUAL = Rollout()
Version = Annotated[int, Meta(ge=0, lt=2**53)]
Whole = Annotated[int, Meta(ge=-(2**31), lt=2**31)]
Seconds = Annotated[int, Meta(ge=-(2**53), lt=2**53)]


# msgspec keeps bytes as they are only where a member is nothing but Raw.
_NULL = Raw(b"null")
_MISSING = Raw(b"")


class TurnIn(Struct, forbid_unknown_fields=True):
    """One turn as it comes in."""

    role: Role
    content: Raw
    kind: Kind = "message"
    name: str | None = None
    call_id: str | None = None
    created_at: str | None = None
    metadata: Raw = msgspec.field(default_factory=lambda: _NULL)
    idempotency_key: str | None = None


class Posted(Struct, forbid_unknown_fields=True):
    """One turn, or a batch of them in `turns`, and where it goes."""

    turns: list[TurnIn] | UnsetType = UNSET
    agent_id: str | None = None
    user_id: str | None = None
    expected_version: Version | None = None
    metadata: Raw = msgspec.field(default_factory=lambda: _NULL)
    role: Role | UnsetType = UNSET
    content: Raw = msgspec.field(default_factory=lambda: _MISSING)
    kind: Kind | UnsetType = UNSET
    name: str | None = None
    call_id: str | None = None
    created_at: str | None = None
    idempotency_key: str | None = None


class Named(Struct, forbid_unknown_fields=True):
    """Which agent's session is meant."""

    agent_id: str | None = None


class Hold(Struct, forbid_unknown_fields=True):
    """How long nothing is consolidated."""

    seconds: Seconds = 600
    agent_id: str | None = None


class Ttl(Struct, forbid_unknown_fields=True):
    """After how many seconds of silence the session erases itself; null is never."""

    seconds: Seconds | None


class Consolidate(Struct, forbid_unknown_fields=True):
    """Whether the answer waits for the snapshot, and for how long at most; and whether all turns are read anew."""

    wait: bool = True
    again: bool = False
    force: bool = False
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 300.0
    agent_id: str | None = None


class Search(Struct, forbid_unknown_fields=True):
    """What is asked of search; an unset filter admits everything that the key may see."""

    query: str
    k: Annotated[int, Meta(ge=-(2**31), lt=2**31)] = 10
    agent_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    kinds: list[ChunkKind] | None = None
    since: str | None = None
    until: str | None = None
    as_of: str | None = None


class Detect(Struct, forbid_unknown_fields=True):
    """Which sessions are counted, and how many of them show what recurs."""

    min_frequency: Annotated[int, Meta(ge=-(2**31), lt=2**31)] = LEAST
    repo: str | None = None
    flavor: str | None = None
    since: str | None = None


class Decided(Struct, forbid_unknown_fields=True):
    """Who decides about a pattern, and why."""

    by: str = BY
    reason: str = ""


class Distribute(Struct, forbid_unknown_fields=True):
    """Where a pattern is told, and how; an unset member is as in `Rollout`."""

    repos: list[str] = []
    files: list[str] = []
    skill: str | None = None
    all_flavors: bool = False
    seen_here: bool = False
    lines: Whole = _USUAL.lines
    tokens: Whole = _USUAL.tokens
    share: float = _USUAL.share
    seed: Whole = _USUAL.seed
    effect: float = _USUAL.effect
    days: Whole = _USUAL.days
    force: bool = False
    dry_run: bool = False
    by: str = BY
    reason: str = ""


class Withdraw(Struct, forbid_unknown_fields=True):
    """How a pattern is withdrawn, by whom, and why."""

    force: bool = False
    dry_run: bool = False
    by: str = BY
    reason: str = ""


class Edited(Struct, forbid_unknown_fields=True):
    """What a pattern says from now on, by whom, and why; an unset member stays as it is."""

    title: str | None = None
    lesson: str | None = None
    by: str = BY
    reason: str = ""


class ViewIn(Struct, forbid_unknown_fields=True):
    """For which wire a view is made, and what of its strategy counts this once; null: what is set."""

    memory_strategy: Raw = msgspec.field(default_factory=lambda: _NULL)
    provider: Format = "generic"
    dry_run: bool = False
    agent_id: str | None = None

    @property
    def strategy(self) -> dict[str, Any] | None:
        """The fields that count this once. Raises Invalid for what is no object."""
        if _text(self.memory_strategy) == "null":
            return None
        return _object(self.memory_strategy, "memory_strategy")


async def read(request: Request) -> bytes:
    """The whole body. Raises TooLarge as soon as it is known to pass `max_body_bytes`, Malformed when it broke off."""
    limit: int = request.app.state.memory.engine.settings.max_body_bytes
    if int(request.headers.get("content-length", "0")) > limit:
        raise _too_large(limit)
    size, pieces = 0, list[bytes]()
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
    except ClientDisconnect as cause:
        raise Malformed("the body broke off; send the request again") from cause
    return b"".join(pieces)


def body(kind: type[Body]) -> Callable[[Request], Coroutine[Any, Any, Body]]:
    """A dependency: the request's body as `kind`; an empty one is `{}`."""

    async def read_body(request: Request) -> Body:
        return decode(await read(request) or b"{}", kind)

    return read_body


async def members(request: Request) -> dict[str, Any]:
    """A dependency: the members of the object that the request's body is, whatever they are called.

    Raises Malformed for what is no JSON, an empty body too; Invalid for what is no object.
    """
    try:
        return _object(_any_decoder(Raw).decode(await read(request)), "body")
    except RecursionError as cause:
        raise Malformed("the body is nested too deeply; flatten it") from cause
    except msgspec.DecodeError as cause:
        raise Malformed(f"the body is not JSON in UTF-8 ({cause}); correct it and send it again") from cause


def decode(raw: bytes, kind: type[Body]) -> Body:
    """The body that the bytes say.

    Raises Malformed for what is no JSON in UTF-8 or is nested too deeply, Invalid (with the path in `field`) for a
    member that is unknown, missing or wrong.
    """
    try:
        return _decoder(kind).decode(raw)
    except msgspec.ValidationError as cause:
        raise _invalid(str(cause)) from cause
    except RecursionError as cause:
        raise Malformed("the body is nested too deeply; flatten it") from cause
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        if surrogates.are_in(raw):
            return _decode_surrogates(raw, kind)
        raise Malformed(f"the body is not JSON in UTF-8 ({cause}); correct it and send it again") from cause


def appends(raw: bytes, session_id: str, agent_id: str | None, expected: int | None) -> Append:
    """The append that a body of `POST /sessions/{id}/turns` asks for; `agent_id` and `expected` are from elsewhere."""
    posted = decode(raw, Posted)
    metadata = None
    if posted.turns is UNSET:
        drafts = (_draft(_single(posted), ""),)
    else:
        _refuse_mixture(posted)
        drafts = tuple(_draft(turn, f"turns[{n}].") for n, turn in enumerate(posted.turns))
        metadata = None if _text(posted.metadata) == "null" else _object(posted.metadata, "metadata")
    agent = one_of(posted.agent_id, agent_id, "agent_id")
    version = one_of(posted.expected_version, expected, "expected_version")
    return Append(session_id, drafts, DEFAULT if agent is None else agent, posted.user_id, version, metadata)


def query_of(asked: Search) -> Query:
    times = {
        name: None if value is None else parse_time(value, name)
        for name, value in (("since", asked.since), ("until", asked.until), ("as_of", asked.as_of))
    }
    return Query(
        text=asked.query,
        k=asked.k,
        agent_id=asked.agent_id,
        user_id=asked.user_id,
        session_id=asked.session_id,
        kinds=None if asked.kinds is None else tuple(asked.kinds),
        **times,
    )


def one_of(in_body: Any, elsewhere: Any, field: str) -> Any:
    """What is said in the body or outside of it. Raises Invalid where the two differ."""
    if in_body is not None and elsewhere is not None and in_body != elsewhere:
        raise Invalid(f"{field} is {in_body!r} in the body and {elsewhere!r} outside of it; say one", field=field)
    return elsewhere if in_body is None else in_body


def _single(posted: Posted) -> TurnIn:
    for field, is_missing in (("role", posted.role is UNSET), ("content", posted.content == _MISSING)):
        if is_missing:
            raise Invalid(f"{field} is missing; send a turn, or a batch in `turns`", field=field)
    return TurnIn(
        role=cast("Role", posted.role),
        content=posted.content,
        kind="message" if posted.kind is UNSET else posted.kind,
        name=posted.name,
        call_id=posted.call_id,
        created_at=posted.created_at,
        metadata=posted.metadata,
        idempotency_key=posted.idempotency_key,
    )


def _refuse_mixture(posted: Posted) -> None:
    """Beside `turns`, members of a single turn would be dropped: that is refused."""
    for field in ("role", "content", "kind", "name", "call_id", "created_at", "idempotency_key"):
        if getattr(posted, field) not in (UNSET, None, _MISSING):
            raise Invalid(f"{field} stands beside turns; move it into a turn", field=field)


def _draft(turn: TurnIn, where: str) -> Draft:
    return Draft(
        role=turn.role,
        content=_text(turn.content),
        kind=turn.kind,
        name=turn.name,
        call_id=turn.call_id,
        created_at=None if turn.created_at is None else parse_time(turn.created_at, f"{where}created_at"),
        metadata=_metadata(turn.metadata, f"{where}metadata"),
        idempotency_key=turn.idempotency_key,
    )


def _text(raw: Raw) -> Json:
    try:
        return Json(bytes(raw).decode())
    except UnicodeDecodeError as cause:
        raise Malformed(f"the body is not UTF-8 ({cause}); correct it and send it again") from cause


def _metadata(raw: Raw, field: str) -> Json | None:
    text = _text(raw)
    if text == "null":
        return None
    _object(raw, field)
    return text


def _object(raw: Raw, field: str) -> dict[str, Any]:
    try:
        value: object = json.loads(_text(raw))
    except RecursionError as cause:
        raise Invalid(f"{field} is nested too deeply; flatten it", field=field) from cause
    except ValueError as cause:  # a number of more digits than Python reads
        raise Invalid(f"{field} is not JSON that can be read ({cause}); correct it", field=field) from cause
    if not isinstance(value, dict):
        raise Invalid(f"{field} is not an object; send one, or leave it out", field=field)
    return cast("dict[str, Any]", value)


@cache
def _any_decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _decoder(kind: type[Body]) -> msgspec.json.Decoder[Body]:
    return _any_decoder(kind)


_WHERE = re.compile(r" - at `\$\.?(.*)`$")
_NAMED = re.compile(r"^Object (?:contains unknown|missing required) field `(.*?)`")


def _invalid(message: str) -> Invalid:
    """msgspec's message as ours, with the path to what is wrong."""
    place = _WHERE.search(message)
    named = _NAMED.match(message)
    path = [place[1] if place else "", named[1] if named else ""]
    field = ".".join(part for part in path if part) or "body"
    return Invalid(f"{field}: {_WHERE.sub('', message)}; correct it and send it again", field=field)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes; send less at a time", limit=limit)


def _decode_surrogates(raw: bytes, kind: type[Body]) -> Body:
    """As `decode`, of a body with lone surrogates: a mark stands for them meanwhile. Only content may hold them."""
    marked, mark = surrogates.marked(raw)
    if marked == raw:
        raise Malformed("the body is not JSON in UTF-8; correct it and send it again")
    try:
        decoded = _decoder(kind).decode(marked)
    except msgspec.ValidationError as cause:
        raise _invalid(str(cause).replace(mark.decode(), "\\u")) from cause
    except RecursionError as cause:
        raise Malformed("the body is nested too deeply; flatten it") from cause
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        raise Malformed(f"the body is not JSON in UTF-8 ({cause}); correct it and send it again") from cause
    surrogates.restore(decoded, mark)
    return decoded
