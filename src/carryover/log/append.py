"""Appending: drafts become turns, once, in order, and on disk before anyone is told so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from carryover.core import telemetry
from carryover.core.chain import linked
from carryover.core.clock import EARLIEST, LATEST
from carryover.core.errors import CarryoverError, Conflict, Invalid, NotFound, TooLarge, VersionConflict
from carryover.core.event import Action
from carryover.core.ids import check_id, check_session_id, new_id
from carryover.core.job import subject_of
from carryover.core.scope import Scope
from carryover.core.session import KINDS, ROLES, Append, Appended, Draft, Json, Place, to_json
from carryover.core.text import content_tokens, digest
from carryover.store import events, hot, queue, repeats, sessions, turns
from carryover.store.commit import GroupCommit
from carryover.store.repeats import Keyed
from carryover.store.sessions import Head
from carryover.store.store import Store, Tx


@dataclass(frozen=True, slots=True)
class Limits:
    """What an append may be, and what it sets in motion.

    A session that is silent for `idle_ms` is due for consolidation; `ttl_s` gives agents a time to live.
    """

    idle_ms: int = 300_000
    index_ms: int = 0
    turn_bytes: int = 16 << 20
    batch_turns: int = 10_000
    ttl_s: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Prepared:
    """An append that is legal in itself; whether it fits its session is decided at the commit."""

    request: Append
    rows: tuple[dict[str, Any], ...]


DEEPEST = 200  # levels of nesting: what was appended can be read from any depth of a program's stack

Log = GroupCommit[Prepared, Appended]


def open_log(store: Store, limits: Limits) -> Log:
    """Where appends to this store queue up for their commits."""
    return GroupCommit(store, lambda tx, batch: append_all(tx, batch, limits), tell)


def append(log: Log, scope: Scope, request: Append, limits: Limits) -> Appended:
    """The turns are on disk, after those that were there.

    Raises Invalid, TooLarge, NotFound or VersionConflict; then nothing was saved.
    """
    return log.run(scope, prepare(scope, request, limits))


def prepare(scope: Scope, request: Append, limits: Limits) -> Prepared:
    """Checks all that can be checked without the session, outside its commit.

    Raises Forbidden, NotFound, Invalid or TooLarge.
    """
    try:
        return _checked(scope, request, limits)
    except CarryoverError as refusal:
        telemetry.count("append_refusals", kind=type(refusal).__name__)
        raise


def _checked(scope: Scope, request: Append, limits: Limits) -> Prepared:
    scope.require("write")
    check_session_id(request.session_id)
    check_id(request.agent_id, "agent_id")
    if request.user_id is not None:
        check_id(request.user_id, "user_id")
    scope.require_inside(request.agent_id, request.user_id or scope.user, f"session {request.session_id!r}")
    if not request.drafts:
        raise Invalid("turns is empty; give at least one turn", field="turns")
    if len(request.drafts) > limits.batch_turns:
        raise TooLarge(
            f"turns holds {len(request.drafts)} turns and may hold {limits.batch_turns}; append in batches",
            field="turns",
            limit=limits.batch_turns,
        )
    if request.metadata is not None:
        _metadata(request.metadata, "metadata", limits.turn_bytes)
    rows = tuple(_row(request, n, draft, limits) for n, draft in enumerate(request.drafts))
    keys = [row["idempotency_key"] for row in rows if row["idempotency_key"] is not None]
    if len(set(keys)) < len(keys):
        raise Invalid(
            "two turns of one batch have the same idempotency_key; give each its own", field="turns.idempotency_key"
        )
    return Prepared(request, rows)


def append_all(tx: Tx, batch: Sequence[Prepared], limits: Limits) -> list[Appended | CarryoverError]:
    """Every request that fits its session is saved, in the order of the batch; the others get their errors.

    The transaction keeps other writers off the heads that it read, so what is decided here on them holds.
    """
    heads = sessions.find(tx, list({(p.request.agent_id, p.request.session_id): None for p in batch}))
    keys = _keys(batch)
    # No key that was used before an erasure is kept for longer than these sessions have been there.
    old = {at for at, head in heads.items() if head.created_at <= tx.now - repeats.KEPT_MS}
    spent = repeats.spent(tx, [key for key in keys if key[:2] not in old])
    page = _Page(tx, limits, heads, turns.keyed(tx, keys), spent)
    answers: list[Appended | CarryoverError] = []
    for prepared in batch:
        try:
            answers.append(page.take(prepared))
        except CarryoverError as refusal:
            answers.append(refusal)
    if not page.rows:
        # Nothing new: each answer was decided by what the log holds, which must not be lost after it.
        sessions.fence(tx, heads)
    page.write()
    return answers


def tell(answers: Sequence[Appended | CarryoverError]) -> None:
    """What a commit did, for whoever listens."""
    saved = [len(answer.turns) for answer in answers if isinstance(answer, Appended) and answer.saved]
    if saved:
        telemetry.count("appends", len(saved))
        telemetry.count("turns", sum(saved))
        telemetry.observe("commit_turns", sum(saved))
    for answer in answers:
        if isinstance(answer, CarryoverError):
            telemetry.count("append_refusals", kind=type(answer).__name__)


class _Page:
    """What one commit will write; requests are taken one after the other and see those before them."""

    def __init__(
        self,
        tx: Tx,
        limits: Limits,
        heads: dict[tuple[str, str], Head],
        known: dict[Keyed, tuple[int, str, str | None]],
        spent: set[Keyed],
    ) -> None:
        self.tx, self.limits, self.heads, self.known, self.spent = tx, limits, heads, known, spent
        self.changed: dict[tuple[str, str], Head] = {}
        self.rows: list[dict[str, Any]] = []
        self.events: list[tuple[Action, str, str, str | None, dict[str, Any]]] = []

    def take(self, prepared: Prepared) -> Appended:
        request, rows = prepared.request, prepared.rows
        key = (request.agent_id, request.session_id)
        head = self.heads.get(key)
        user = _user(self.tx.scope, request, head)
        places = [self._place(row, head.key if head else None) for row in rows]
        if all(places):
            seen = tuple(place for place in places if place)
            return Appended(request.session_id, request.agent_id, max(p.seq for p in seen), seen, saved=False)
        version = head.version if head else 0
        if request.expected_version is not None and request.expected_version != version:
            raise VersionConflict(
                f"session {request.session_id!r} is at version {version}, not {request.expected_version}; "
                "read it again and retry",
                current_version=version,
            )
        # All that can be refused is refused before anything is noted: those behind in the batch must not see it.
        metadata = head.metadata if head else "{}"
        if request.metadata:
            metadata = to_json({**json.loads(metadata), **request.metadata}, "metadata")
        unseen = [row for row, place in zip(rows, places, strict=True) if place is None]
        for seq, row in enumerate(unseen, version + 1):
            if row["kind"] == "retraction":
                _check_past(row, seq)
        sealed_by = head.key if head else self.tx.new_key()
        placed = [self._placed(row, Place(seq, new_id("t")), sealed_by) for seq, row in enumerate(unseen, version + 1)]
        new = linked(placed, head.chain if head else None)
        fresh = iter(Place(row["seq"], row["id"]) for row in new)
        self._note((request.agent_id, request.session_id, user), head, metadata, new)
        self.rows += new
        return Appended(
            request.session_id, request.agent_id, version + len(new), tuple(p or next(fresh) for p in places)
        )

    def write(self) -> None:
        """All that was taken is in the transaction: turns, heads, events and the jobs they arm."""
        if not self.rows:
            return
        tx, now = self.tx, self.tx.now
        subjects = {subject_of(*key): head for key, head in self.changed.items()}
        idle, indexed = now + self.limits.idle_ms, now + self.limits.index_ms
        armed = [("consolidate", subject, idle, True) for subject in subjects]
        armed += [("index", subject, indexed, False) for subject in subjects]
        armed += [("expire", subject, head.expires_at, True) for subject, head in subjects.items() if head.expires_at]
        with hot.together(tx.conn):
            turns.add(tx, self.rows)  # first: two that begin the same session meet here
            sessions.put(tx, self.changed.values())
            queue.arm_mixed(tx, armed)
        # Last: from here to the commit no other commit of the agent can have its ids.
        events.add(tx, self.events)

    def _place(self, row: dict[str, Any], sealed_by: bytes | None) -> Place | None:
        """Where a turn with this idempotency key already is."""
        key = row["idempotency_key"]
        found = None if key is None else self.known.get((row["agent"], row["session"], key))
        if found is None:
            if (row["agent"], row["session"], key) in self.spent:
                raise Conflict(
                    f"idempotency_key {key!r} was used in session {row['session']!r} before it was erased, and what "
                    "is sent again does not come back; use a new key for new content"
                )
            return None
        seq, id, was = found
        if was is not None and was != self.tx.hashed(sealed_by, row["digest"]):  # None: it was erased
            raise Invalid(
                f"idempotency_key {key!r} was used for another turn of this session (seq {seq}); "
                "use a new key for new content",
                field="idempotency_key",
                seq=seq,
            )
        return Place(seq, id)

    def _placed(self, row: dict[str, Any], place: Place, sealed_by: bytes | None) -> dict[str, Any]:
        compared = ""  # only those with an idempotency key are compared by it
        if row["idempotency_key"] is not None:
            compared = self.tx.hashed(sealed_by, row["digest"])
            self.known[row["agent"], row["session"], row["idempotency_key"]] = (place.seq, place.id, compared)
        said = self.tx.now if row["created_at"] is None else row["created_at"]
        when = {"received_at": self.tx.now, "created_at": said}
        return {**row, **when, "seq": place.seq, "id": place.id, "digest": compared, "key": sealed_by}

    def _note(
        self, whose: tuple[str, str, str | None], head: Head | None, metadata: str, new: list[dict[str, Any]]
    ) -> None:
        """The head as it will be, and the events of the append."""
        now, (agent, session, user) = self.tx.now, whose
        if head is None:
            head = Head(agent, session, user, 0, 0, now, now, now, None, self.limits.ttl_s.get(agent), None, "{}")
            self.events.append(("open", agent, session, user, {}))
        elif head.closed_at is not None:
            self.events.append(("open", agent, session, user, {"reopened": True}))
        version = head.version + len(new)
        after = replace(
            head,
            version=version,
            tokens=head.tokens + sum(row["tokens"] for row in new),
            updated_at=now,
            active_until=now + self.limits.idle_ms,
            closed_at=None,
            expires_at=None if head.ttl_s is None else now + head.ttl_s * 1000,
            metadata=metadata,
            key=new[-1]["key"],
            chain=new[-1]["chain"],
        )
        self.heads[agent, session] = self.changed[agent, session] = after
        self.events.append(("append", agent, session, user, {"version": version, "turns": len(new)}))


def _user(scope: Scope, request: Append, head: Head | None) -> str | None:
    """Whose session it is: its first append says so, once and for all."""
    asked = request.user_id or scope.user
    if head is None:
        return asked
    if not scope.admits(head.agent, head.user):
        raise NotFound(f"session {request.session_id!r} does not exist here; check the id and the agent")
    if asked is not None and asked != head.user:
        raise Invalid(
            f"session {request.session_id!r} belongs to {repr(head.user) if head.user else 'no user'}, "
            f"not to {asked!r}; a session's user is set by its first turn: use another session",
            field="user_id",
        )
    return head.user


def _keys(batch: Sequence[Prepared]) -> list[Keyed]:
    return [
        (row["agent"], row["session"], row["idempotency_key"])
        for prepared in batch
        for row in prepared.rows
        if row["idempotency_key"] is not None
    ]


def _metadata(given: dict[str, Any] | Json, field: str, most: int) -> Json:
    text = to_json(given, field)
    if not isinstance(_read(text, field, most), dict):
        raise Invalid(f"{field} is no JSON object; send one", field=field)
    return text


def _row(request: Append, n: int, draft: Draft, limits: Limits) -> dict[str, Any]:
    where = f"turns[{n}]"
    body = to_json(draft.content, f"{where}.content")
    content = _read(body, f"{where}.content", limits.turn_bytes)
    if not isinstance(content, (str, list)):
        raise Invalid(
            f"{where}.content is neither a string nor a list of parts; wrap it in a list", field=f"{where}.content"
        )
    if draft.role not in ROLES:
        raise Invalid(f"{where}.role {draft.role!r} is unknown; use one of {', '.join(ROLES)}", field=f"{where}.role")
    if draft.kind not in KINDS:
        raise Invalid(f"{where}.kind {draft.kind!r} is unknown; use one of {', '.join(KINDS)}", field=f"{where}.kind")
    if draft.created_at is not None and not EARLIEST <= draft.created_at <= LATEST:
        raise Invalid(f"{where}.created_at is out of range; use a year from 1 to 9999", field=f"{where}.created_at")
    if draft.kind == "retraction":
        _check_retraction(draft, content, where)
    metadata = None
    if draft.metadata is not None:
        metadata = _metadata(draft.metadata, f"{where}.metadata", limits.turn_bytes)
    return {
        "agent": request.agent_id,
        "session": request.session_id,
        "role": draft.role,
        "kind": draft.kind,
        "name": _short(draft.name, f"{where}.name"),
        "call_id": _short(draft.call_id, f"{where}.call_id"),
        "created_at": draft.created_at,
        "tokens": content_tokens(content),
        "metadata": metadata,
        "idempotency_key": _short(draft.idempotency_key, f"{where}.idempotency_key"),
        "digest": digest(draft.role, draft.kind, draft.name or "", draft.call_id or "", body, metadata or ""),
        "body": body,
    }


def _check_retraction(draft: Draft, content: Any, where: str) -> None:
    """Raises Invalid unless the content is one run of turns to take back."""
    part = cast("dict[str, Any]", content[0]) if len(content) == 1 and isinstance(content[0], dict) else {}
    first, last = part.get("first"), part.get("last")
    exact = part == {"type": "retraction", "first": first, "last": last}
    if draft.role != "system" or not exact or type(first) is not int or type(last) is not int or not 1 <= first <= last:
        raise Invalid(
            f"{where} is no retraction; its role is 'system', and its content is one part of the type 'retraction' "
            "with the numbers `first` and `last` of the turns that it takes back",
            field=f"{where}.content",
        )


def _check_past(row: dict[str, Any], seq: int) -> None:
    """Raises Invalid for a retraction, about to become turn `seq`, of turns that are not there yet."""
    last = json.loads(row["body"])[0]["last"]
    if last >= seq:
        raise Invalid(
            f"turn {seq} would take back the turns up to {last} and can take back those before it; "
            f"lower `last` to at most {seq - 1}",
            field="turns.content",
            seq=seq,
        )


def _read(text: Json, field: str, most: int) -> Any:
    """What the JSON text says, once it is known that every reader of the log can read it.

    Raises TooLarge beyond `most` bytes, Invalid for what is no JSON or is nested more than `DEEPEST` levels deep.
    """
    try:
        size = len(text.encode())
        if size > most:
            raise TooLarge(
                f"{field} is larger than {most} bytes; split it, or log a reference to where it is kept",
                field=field,
                limit=most,
            )
        value = json.loads(text, parse_constant=_no_constant)
    except (RecursionError, ValueError) as cause:
        raise Invalid(f"{field} is not JSON that can be read ({cause}); correct it", field=field) from cause
    if text.count("[") + text.count("{") > DEEPEST and _is_deeper(value, DEEPEST):
        raise Invalid(f"{field} is nested more than {DEEPEST} levels deep; flatten it", field=field)
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _is_deeper(value: Any, levels: int) -> bool:
    inside = [value]
    for _ in range(levels):
        nested = [cast("list[Any] | dict[str, Any]", item) for item in inside if isinstance(item, (list, dict))]
        inside = [inner for outer in nested for inner in _members(outer)]
    return any(isinstance(inner, (list, dict)) for inner in inside)


def _members(outer: list[Any] | dict[str, Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer


def _short(value: str | None, field: str) -> str | None:
    """A label of at most 512 characters that any database can hold."""
    if value is None:
        return None
    if len(value) > 512 or "\x00" in value or not value.isprintable():
        raise Invalid(f"{field} must be at most 512 printable characters; shorten it", field=field)
    return value
