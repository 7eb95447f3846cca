"""What each verb sends and how its answer reads: no I/O here, so that both clients share it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote

import msgspec

from carryover.core.chunk import Hit, Hits, Query
from carryover.core.clock import EARLIEST, LATEST, rfc3339
from carryover.core.context import Context, Wanted
from carryover.core.erasure import Receipt
from carryover.core.errors import CarryoverError, Invalid, StoreUnavailable
from carryover.core.event import Filter, Page
from carryover.core.extractor import Decision, ExtractorState
from carryover.core.health import Health
from carryover.core.ids import check_id, check_session_id
from carryover.core.session import Append, Appended, Content, Draft, Json, Place, Role, Session, Turn, to_json
from carryover.core.snapshot import Diff, FindingDetail, Snapshot
from carryover.core.trace import Trace
from carryover.core.usage import Group, UsageReport
from carryover.core.wire import decode, decode_error, turn_of

Answer = TypeVar("Answer")

TIMEOUT_S = 30.0
WAIT_S = 300.0  # how long a consolidation is waited for
BEAT_S = 40.0  # silence after which a live stream counts as broken; the server sends a comment every 15 s
_LONGEST_PAUSE_S = 2.0
_WHOSE = "check that the URL is carryover's, and that client and server are of the same version"


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request, and what its answer means; `again`: it does no harm to send it twice."""

    method: str
    path: str
    read: Callable[[int, bytes], Answer]  # of status and body
    params: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    body: bytes | None = None
    again: bool = True
    wait_s: float = 0.0  # how much longer than usual the server may take


def log_turn(
    session_id: str, role: Role, content: Content, *, agent: str, user: str | None, idempotency_key: str | None
) -> Call[Place]:
    # The key makes it safe to send the turn again when the line broke before the answer.
    draft = Draft(role, content, idempotency_key=idempotency_key or secrets.token_hex(12))
    sent = append(Append(session_id, (draft,), agent, user))
    return Call(sent.method, sent.path, lambda status, raw: sent.read(status, raw).turns[0], body=sent.body)


def append(request: Append) -> Call[Appended]:
    check_session_id(request.session_id)
    check_id(request.agent_id, "agent_id")
    members = {"agent_id": request.agent_id, "user_id": request.user_id, "expected_version": request.expected_version}
    shown = _object({key: to_json(value) for key, value in members.items() if value is not None})
    if request.metadata is not None:
        shown = f'{shown[:-1]},"metadata":{to_json(request.metadata, "metadata")}}}'
    turns = ",".join(_draft(draft, f"turns[{n}]") for n, draft in enumerate(request.drafts))
    body = f'{shown[:-1]},"turns":[{turns}]}}'
    again = all(draft.idempotency_key is not None for draft in request.drafts)
    return Call("POST", f"/sessions/{quoted(request.session_id)}/turns", _appended, body=_utf8(body), again=again)


def session(session_id: str, *, agent: str) -> Call[Session]:
    return get(_of(agent, session_id), as_a(Session), turns="false")


def turns(session_id: str, *, agent: str, after: int, limit: int) -> Call[tuple[Session, list[Turn]]]:
    path = f"/sessions/{quoted(session_id)}/turns"
    return get(path, _session_with_turns, agent_id=agent, after=max(after, 0), limit=limit)


def window(session_id: str, *, agent: str, last_n: int) -> Call[tuple[Session, list[Turn]]]:
    return get(f"{_of(agent, session_id)}/window", _session_with_turns, last_n=last_n)


def sessions(*, agent: str, user: str | None, limit: int, cursor: str | None) -> Call[tuple[list[Session], str | None]]:
    return get(f"/memory/{quoted(agent)}/sessions", _sessions, user_id=user, limit=limit, cursor=cursor)


def close_session(session_id: str, *, agent: str) -> Call[Session]:
    return post(f"/sessions/{quoted(session_id)}/close", as_a(Session), {"agent_id": agent})


def hold_session(session_id: str, *, agent: str, seconds: int) -> Call[Session]:
    return post(f"/sessions/{quoted(session_id)}/hold", as_a(Session), {"agent_id": agent, "seconds": seconds})


def set_ttl(session_id: str, seconds: int | None, *, agent: str) -> Call[Session]:
    body = json.dumps({"seconds": seconds}).encode()
    return Call("PUT", f"{_of(agent, session_id)}/ttl", as_a(Session), body=body)


def delete_session(session_id: str, *, agent: str) -> Call[Receipt]:
    return Call("DELETE", _of(agent, session_id), _receipt, again=False)


def events(*, agent: str, want: Filter | None, limit: int, cursor: str | None) -> Call[Page]:
    path = f"/stream/{quoted(agent)}" + ("" if want is None else "/filter")
    return get(path, as_a(Page), limit=limit, cursor=cursor, **_filter(want))


def follow(*, agent: str, want: Filter | None) -> Call[None]:
    return replace(get(f"/stream/{quoted(agent)}/live", _nothing, **_filter(want)), wait_s=BEAT_S)


def context(wanted: Wanted) -> Call[Context]:
    return get(
        f"/sessions/{quoted(wanted.session_id)}/context",
        as_a(Context),
        agent_id=wanted.agent_id,
        user_id=wanted.user_id,
        scope=wanted.reach,
        max_tokens=wanted.max_tokens,
        query=wanted.query,
        repo=next(iter(wanted.repos), None),
        **bounds({"as_of": wanted.as_of}),
    )


def search(query: Query) -> Call[Hits]:
    times = {"since": query.since, "until": query.until, "as_of": query.as_of}
    asked = {
        "query": query.text,
        "k": query.k,
        "agent_id": query.agent_id,
        "user_id": query.user_id,
        "session_id": query.session_id,
        "kinds": query.kinds,
        **bounds(times),
    }
    return post("/memory/search", as_a(Hits), {key: value for key, value in asked.items() if value is not None})


def search_memory(query: str, *, k: int, agent: str | None, user: str | None) -> Call[list[Hit]]:
    sent = search(Query(query, k, agent_id=agent, user_id=user))
    return Call(sent.method, sent.path, lambda status, raw: list(sent.read(status, raw).results), body=sent.body)


def consolidate(
    session_id: str, *, agent: str, wait: bool, timeout_s: float, again: bool, force: bool
) -> Call[Snapshot | None]:
    asked: dict[str, Any] = {"agent_id": agent, "wait": wait, "timeout_s": timeout_s}
    asked |= {name: True for name, wanted in (("again", again), ("force", force)) if wanted}
    sent = post(f"/sessions/{quoted(session_id)}/consolidate", as_a(Snapshot) if wait else _nothing, asked)
    return replace(sent, wait_s=timeout_s if wait else 0.0, again=not (again or force))


def snapshots(session_id: str, *, agent: str, limit: int) -> Call[list[Snapshot]]:
    return get(f"/sessions/{quoted(session_id)}/snapshots", _snapshots, agent_id=agent, limit=limit)


def snapshot(session_id: str, version: int, *, agent: str) -> Call[Snapshot]:
    return get(f"/sessions/{quoted(session_id)}/snapshots/{version}", as_a(Snapshot), agent_id=agent)


def diff(session_id: str, a: int, b: int, *, agent: str) -> Call[Diff]:
    return get(f"/sessions/{quoted(session_id)}/snapshots/{a}/diff/{b}", as_a(Diff), agent_id=agent)


def finding(id: str) -> Call[FindingDetail]:
    return get(f"/findings/{quoted(id)}", as_a(FindingDetail))


def extractors() -> Call[list[ExtractorState]]:
    return get("/extractors", _extractors)


def decide_extractor(name: str, decision: Decision) -> Call[ExtractorState]:
    return Call("POST", f"/extractors/{quoted(name)}/{quoted(decision)}", as_a(ExtractorState), again=False)


def trace(session_id: str, seq: int, *, agent: str) -> Call[Trace]:
    return get(f"/sessions/{quoted(session_id)}/turns/{seq}/derived", as_a(Trace), agent_id=agent)


def usage(*, since: int | None, until: int | None, group: Group) -> Call[UsageReport]:
    return get("/usage", as_a(UsageReport), group=group, **bounds({"since": since, "until": until}))


def health() -> Call[Health]:
    return get("/health", _health)


def answer(call: Call[Answer], status: int, raw: bytes) -> Answer:
    """What the response means. Raises the error that the server raised, with its facts."""
    if status >= 400:
        raise refusal(status, raw)
    try:
        return call.read(status, raw)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as cause:
        raise CarryoverError(f"the server answered {status} and something else than was asked for; {_WHOSE}") from cause


def refusal(status: int, raw: bytes) -> CarryoverError:
    """The error that a response stands for."""
    try:
        said: object = json.loads(raw)
    except (ValueError, RecursionError):
        said = None
    problem = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    if problem.get("status") == status:
        return decode_error(problem)
    if problem.get("status") == "down":
        return StoreUnavailable(_reason(problem.get("store")), retry_after=1)
    return CarryoverError(f"the server answered {status} and no problem document; {_WHOSE}")


def _reason(store: object) -> str | None:
    """Why the database is down, as far as the server says it."""
    said = cast("dict[str, Any]", store).get("reason") if isinstance(store, dict) else None
    return said if isinstance(said, str) else None


def said(data: str) -> dict[str, Any]:
    """The object that the data of a streamed event are. Raises CarryoverError for what is none."""
    try:
        members: object = json.loads(data)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise CarryoverError(f"the stream told something that is no event; {_WHOSE}")
    return cast("dict[str, Any]", members)


def unreachable(url: str, reason: object, *, sent: bool = True) -> StoreUnavailable:
    """What is told of a server that did not answer; `sent`: the request may have reached it, and have been done."""
    told = {"unknown": True} if sent else {}
    return StoreUnavailable(
        f"{url} did not answer ({reason}); check the URL and that the server runs, and retry", retry_after=0.2, **told
    )


def of_both(first: StoreUnavailable, second: StoreUnavailable) -> StoreUnavailable:
    """What is told of two tries that failed: who says that the second saved nothing does not know of the first."""
    return first if first.facts.get("unknown") else second


def pause_s(failure: CarryoverError) -> float:
    """How long to wait before the second try."""
    told = failure.facts.get("retry_after")
    return float(min(told, _LONGEST_PAUSE_S)) if isinstance(told, int | float) and told > 0 else 0.1


def headers_of(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


class _Raw(msgspec.Struct):
    """A turn whose content and metadata stay the bytes they are."""

    seq: int
    id: str
    role: str
    kind: str
    content: msgspec.Raw
    created_at: str
    received_at: str
    tokens: int
    name: str | None = None
    call_id: str | None = None
    metadata: msgspec.Raw = msgspec.Raw(b"null")
    idempotency_key: str | None = None


class _Turns(msgspec.Struct):
    turns: list[_Raw]


def _session_with_turns(_: int, raw: bytes) -> tuple[Session, list[Turn]]:
    members = json.loads(raw)
    try:
        found = [_turn(turn) for turn in msgspec.json.decode(raw, type=_Turns).turns]
    except msgspec.DecodeError:  # half of a surrogate pair, which Python's own decoder reads
        found = [turn_of(turn) for turn in members["turns"]]
    return decode(Session, members), found


def _turn(raw: _Raw) -> Turn:
    metadata = Json(bytes(raw.metadata).decode())
    members = {name: getattr(raw, name) for name in raw.__struct_fields__}
    return turn_of(
        {**members, "content": Json(bytes(raw.content).decode()), "metadata": None if metadata == "null" else metadata}
    )


def get(path: str, read: Callable[[int, bytes], Answer], **params: str | int | None) -> Call[Answer]:
    return Call("GET", path, read, {key: value for key, value in params.items() if value is not None})


def post(path: str, read: Callable[[int, bytes], Answer], body: dict[str, Any]) -> Call[Answer]:
    # Closing, holding, consolidating and searching twice is doing it once.
    return Call("POST", path, read, body=_utf8(to_json(body)))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as cause:
        raise Invalid(
            f"the JSON text is not Unicode ({cause}); write surrogates as escapes", field="content"
        ) from cause


def _of(agent: str, session_id: str) -> str:
    return f"/memory/{quoted(agent)}/{quoted(session_id)}"


def quoted(id: str) -> str:
    return quote(id, safe="", errors="replace")


def _filter(want: Filter | None) -> dict[str, str | None]:
    if want is None:
        return {}
    times = bounds({"since": want.since, "until": want.until})
    return {"action": want.action, "session_id": want.session, "user_id": want.user, **times}


def bounds(times: Mapping[str, int | None]) -> dict[str, str | None]:
    """Bounds in time as text; beyond what RFC 3339 can say they bound nothing anyway."""
    return {name: None if at is None else rfc3339(min(max(at, EARLIEST), LATEST)) for name, at in times.items()}


def _draft(draft: Draft, where: str) -> str:
    labels = {
        "role": draft.role,
        "kind": draft.kind,
        "name": draft.name,
        "call_id": draft.call_id,
        "created_at": None if draft.created_at is None else _moment(draft.created_at, f"{where}.created_at"),
        "idempotency_key": draft.idempotency_key,
    }
    members = {name: to_json(value) for name, value in labels.items() if value is not None}
    members["content"] = to_json(draft.content, f"{where}.content")
    if draft.metadata is not None:
        members["metadata"] = to_json(draft.metadata, f"{where}.metadata")
    return _object(members)


def _moment(at: int, field: str) -> str:
    if not EARLIEST <= at <= LATEST:
        raise Invalid(f"{field} is out of range; use a year from 1 to 9999", field=field)
    return rfc3339(at)


def _object(members: Mapping[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{text}' for name, text in members.items()) + "}"


def as_a(kind: type[Answer]) -> Callable[[int, bytes], Answer]:
    return lambda _, raw: decode(kind, json.loads(raw))


def _nothing(_: int, __: bytes) -> None:
    return None


def _appended(status: int, raw: bytes) -> Appended:
    return replace(decode(Appended, json.loads(raw)), saved=status == 201)


def _receipt(_: int, raw: bytes) -> Receipt:
    return decode(Receipt, json.loads(raw)["receipt"])


def _sessions(_: int, raw: bytes) -> tuple[list[Session], str | None]:
    data = json.loads(raw)
    return [decode(Session, item) for item in data["sessions"]], data["next_cursor"]


def _snapshots(_: int, raw: bytes) -> list[Snapshot]:
    return [decode(Snapshot, item) for item in json.loads(raw)["snapshots"]]


def _extractors(_: int, raw: bytes) -> list[ExtractorState]:
    return [decode(ExtractorState, item) for item in json.loads(raw)["extractors"]]


def _health(_: int, raw: bytes) -> Health:
    data = json.loads(raw)
    return Health(data["status"], data["store"]["engine"], data["queue"], tuple(data.get("notes", ())))
