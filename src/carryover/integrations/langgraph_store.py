"""A store of LangGraph over the log: what graphs remember across threads, and every value that it ever had.

A namespace is a session of one agent: `("users", "ada")` is the session `users.ada`. A put is a turn that is appended,
and so is a delete; what is in the namespace is what the last turn of each key says.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

from carryover.core.chunk import Query
from carryover.core.clock import SystemClock
from carryover.core.errors import NotFound
from carryover.core.ids import is_id
from carryover.core.ports import Clock
from carryover.core.session import Append, Draft, Session, Turn
from carryover.memories import Memory

try:
    from langgraph.store.base import (
        BaseStore,
        GetOp,
        Item,
        ListNamespacesOp,
        MatchCondition,
        Op,
        PutOp,
        Result,
        SearchItem,
        SearchOp,
        TTLConfig,
        get_text_at_path,
        validate_op_namespace,
    )
except ImportError as cause:
    raise ImportError("langgraph is not installed; run: pip install 'carryover-memory[langgraph]'") from cause

Namespace = tuple[str, ...]

AGENT = "langgraph-store"
_PAGE = 1000
_MOST_HITS = 200
_MINUTE_MS = 60_000
_REFRESH = 20  # a read makes an item live on once a 20th of its time has passed


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key's value as of the turn `seq`; times in UTC milliseconds."""

    key: str
    value: dict[str, Any]
    seq: int
    created_at: int
    updated_at: int
    used_at: int
    ttl_ms: int | None = None

    def is_live(self, now: int) -> bool:
        return self.ttl_ms is None or now < self.used_at + self.ttl_ms


@dataclass(slots=True)
class _Folded:
    """What a namespace holds once its log is read up to `version`."""

    born: int
    version: int = 0
    tokens: int = 0  # of the turns that were read
    entries: dict[str, _Entry] = field(default_factory=dict[str, _Entry])
    lock: threading.Lock = field(default_factory=threading.Lock)


class CarryoverStore(BaseStore):
    """Items in namespaces, kept in a memory's log; safe to share between threads and processes.

        store = CarryoverStore(memory)
        graph = builder.compile(store=store)

    A search by `query` ranks what the filters leave: first what memory finds, best first, then the rest. `fields` are
    the paths of values that it looks at (default: every text in them). Items live as long as `ttl` says.
    """

    supports_ttl = True

    __slots__ = ("_clock", "_fields", "_folded", "_lock", "_memory", "agent", "ttl_config", "user")

    def __init__(
        self,
        memory: Memory,
        *,
        agent: str = AGENT,
        user: str | None = None,
        fields: Sequence[str] | None = None,
        ttl: TTLConfig | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.agent = agent
        self.user = user
        self.ttl_config = ttl
        self._memory = memory
        self._fields = None if fields is None else list(fields)
        self._clock = clock or SystemClock()
        self._folded: dict[str, _Folded] = {}
        self._lock = threading.Lock()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The answers of the operations, in order. All reads are of before the puts; puts of a namespace are atomic.

        Raises InvalidNamespaceError, or Invalid for a value that is no JSON.
        """
        asked = list(ops)
        for op in asked:
            validate_op_namespace(op)
        answers: list[Result] = [None if isinstance(op, PutOp) else self._read(op) for op in asked]
        puts: dict[Namespace, list[PutOp]] = {}
        for op in asked:
            if isinstance(op, PutOp):
                puts.setdefault(tuple(op.namespace), []).append(op)
        for namespace, own in puts.items():
            self._put(namespace, own)
        return answers

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The same, outside of the event loop's thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    def session_of(self, namespace: Namespace) -> str:
        """The session that holds the namespace; `memory.delete_session(..., agent=store.agent)` erases it for good."""
        joined = ".".join(namespace)
        # No label has a dot in it, so what begins with one is no namespace that was joined.
        return joined if is_id(joined) else "." + hashlib.sha256("\x00".join(namespace).encode()).hexdigest()[:40]

    def _read(self, op: GetOp | SearchOp | ListNamespacesOp) -> Result:
        if isinstance(op, GetOp):
            return self._get(op)
        if isinstance(op, SearchOp):
            return self._search(op)
        return self._list(op)

    def _get(self, op: GetOp) -> Item | None:
        namespace = tuple(op.namespace)
        folded = self._known(namespace)
        entry = None if folded is None else folded.entries.get(op.key)
        if entry is None or not entry.is_live(self._clock.now()):
            return None
        self._use(namespace, [entry], op.refresh_ttl)
        return Item(
            namespace=namespace,
            key=entry.key,
            value=_copied(entry.value),
            created_at=_datetime(entry.created_at),
            updated_at=_datetime(entry.updated_at),
        )

    def _search(self, op: SearchOp) -> list[SearchItem]:
        now, wanted = self._clock.now(), op.filter or {}
        found = [
            (namespace, entry)
            for namespace, folded in self._all(tuple(op.namespace_prefix))
            for entry in list(folded.entries.values())
            if entry.is_live(now) and all(_matches(entry.value.get(name), want) for name, want in wanted.items())
        ]
        scores = self._scores(op.query, {namespace for namespace, _ in found}) if op.query and found else {}
        found.sort(key=lambda one: -scores.get((one[0], one[1].seq), -1.0))
        page = found[op.offset : op.offset + op.limit]
        for namespace in {namespace for namespace, _ in page}:
            self._use(namespace, [entry for own, entry in page if own == namespace], op.refresh_ttl)
        return [
            SearchItem(
                namespace,
                entry.key,
                _copied(entry.value),
                _datetime(entry.created_at),
                _datetime(entry.updated_at),
                scores.get((namespace, entry.seq)),
            )
            for namespace, entry in page
        ]

    def _scores(self, query: str, namespaces: set[Namespace]) -> dict[tuple[Namespace, int], float]:
        """What memory finds for the query in these namespaces: the best score of each turn."""
        sessions = {self.session_of(namespace): namespace for namespace in namespaces}
        only = next(iter(sessions)) if len(sessions) == 1 else None
        hits = self._memory.search(Query(query, _MOST_HITS, self.agent, self.user, only, kinds=("turn",)))
        scores: dict[tuple[Namespace, int], float] = {}
        for hit in hits.results:
            if (namespace := sessions.get(hit.session_id)) is not None:
                place = (namespace, hit.sources[0].first)
                scores[place] = max(scores.get(place, 0.0), hit.score)
        return scores

    def _list(self, op: ListNamespacesOp) -> list[Namespace]:
        now = self._clock.now()
        found = {
            namespace[: op.max_depth]
            for namespace, folded in self._all(())
            if all(_has(namespace, condition) for condition in op.match_conditions or ())
            and any(entry.is_live(now) for entry in list(folded.entries.values()))
        }
        return sorted(found)[op.offset : op.offset + op.limit]

    # The log

    def _put(self, namespace: Namespace, ops: Sequence[PutOp]) -> None:
        """The puts and deletes are in the log; a delete of what is not there is nothing to be noted."""
        if all(op.value is None for op in ops):
            folded = self._known(namespace)
            ops = [op for op in ops if folded is not None and op.key in folded.entries]
        if ops:
            self._append(namespace, [self._draft(op) for op in ops])

    def _draft(self, op: PutOp) -> Draft:
        part: dict[str, Any] = {"type": "item", "namespace": list(op.namespace), "key": op.key}
        if op.value is None:
            return Draft("system", [part | {"deleted": True}])
        value = dict(op.value)
        text = "" if op.index is False else _text(value, self._fields if op.index is None else op.index)
        part |= {"value": value} | ({"text": text} if text else {})
        return Draft("system", [part | ({} if op.ttl is None else {"ttl": op.ttl})])

    def _use(self, namespace: Namespace, entries: Sequence[_Entry], refresh: bool) -> None:
        """The entries live on from now, which is noted where it makes a difference."""
        now = self._clock.now()
        used = [
            entry for entry in entries if entry.ttl_ms is not None and now - entry.used_at >= entry.ttl_ms // _REFRESH
        ]
        if used and refresh:
            kept: dict[str, Any] = {"type": "item", "namespace": list(namespace), "used": True}
            self._append(namespace, [Draft("system", [kept | {"key": entry.key}]) for entry in used])

    def _append(self, namespace: Namespace, drafts: Sequence[Draft]) -> None:
        metadata = {"namespace": list(namespace)}
        self._memory.append(Append(self.session_of(namespace), tuple(drafts), self.agent, self.user, metadata=metadata))

    def _known(self, namespace: Namespace) -> _Folded | None:
        """What the namespace holds as of now; None where nothing was ever put into it."""
        session_id = self.session_of(namespace)
        try:
            session = self._memory.session(session_id, agent=self.agent)
        except NotFound:
            return None
        return self._current(session)

    def _all(self, prefix: Namespace) -> Iterator[tuple[Namespace, _Folded]]:
        """What each namespace below the prefix holds, in the order of their names."""
        found: dict[Namespace, Session] = {}
        cursor = None
        while True:
            page, cursor = self._memory.sessions(agent=self.agent, user=self.user, limit=_PAGE, cursor=cursor)
            for session in page:
                namespace = tuple(session.metadata.get("namespace", ()))
                if namespace[: len(prefix)] == prefix and namespace:
                    found[namespace] = session
            if cursor is None:
                break
        for namespace in sorted(found):
            yield namespace, self._current(found[namespace])

    def _current(self, session: Session) -> _Folded:
        """What the session says up to its version; only turns that were not seen yet are read."""
        with self._lock:
            folded = self._folded.get(session.session_id)
            if folded is None or folded.born != session.created_at:
                folded = self._folded[session.session_id] = _Folded(session.created_at)
        with folded.lock:
            if folded.version == session.version and folded.tokens != session.token_count:
                folded.version, folded.tokens = 0, 0  # some of its turns were erased since
                folded.entries.clear()
            while folded.version < session.version:
                _, turns = self._memory.turns(session.session_id, agent=self.agent, after=folded.version, limit=_PAGE)
                for turn in turns:
                    _fold(folded.entries, turn)
                folded.tokens += sum(turn.tokens for turn in turns)
                folded.version = turns[-1].seq if turns else session.version
        return folded


def _fold(entries: dict[str, _Entry], turn: Turn) -> None:
    """The entries as the turn leaves them."""
    content = turn.content
    part: Any = content[0] if isinstance(content, list) and content else None
    if not isinstance(part, dict):
        return
    said = cast("dict[str, Any]", part)
    key, at = said.get("key"), turn.received_at
    if said.get("type") != "item" or not isinstance(key, str):
        return
    before = entries.get(key)
    if said.get("deleted"):
        entries.pop(key, None)
    elif said.get("used"):
        if before is not None:
            entries[key] = replace(before, used_at=at)
    else:
        ttl = said.get("ttl")
        ttl_ms = None if ttl is None else int(ttl * _MINUTE_MS)
        born = at if before is None or not before.is_live(at) else before.created_at
        entries[key] = _Entry(key, said["value"], turn.seq, born, at, at, ttl_ms)


def _text(value: Mapping[str, Any], fields: Sequence[str] | None) -> str:
    """What search finds the value by."""
    if fields is None or list(fields) == ["$"]:
        return "\n".join(_texts(value))
    return "\n".join(text for path in fields for text in get_text_at_path(value, path))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in cast("Mapping[str, Any]", value).values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in cast("Sequence[Any]", value):
            yield from _texts(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _matches(value: Any, wanted: Any) -> bool:
    """Whether the value is what a filter wants: a value, one part by part, or bounds by operators."""
    if isinstance(wanted, Mapping):
        conditions = cast("Mapping[str, Any]", wanted)
        if any(name.startswith("$") for name in conditions):
            return all(_holds(value, name, operand) for name, operand in conditions.items())
        inside = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None
        return inside is not None and all(_matches(inside.get(name), want) for name, want in conditions.items())
    if isinstance(wanted, (list, tuple)):
        wants = cast("Sequence[Any]", wanted)
        values = cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else None
        return values is not None and len(values) == len(wants) and all(map(_matches, values, wants))
    return value == wanted


def _holds(value: Any, operator: str, operand: Any) -> bool:
    if operator == "$eq":
        return value == operand
    if operator == "$ne":
        return value != operand
    if operator not in ("$gt", "$gte", "$lt", "$lte"):
        raise ValueError(f"operator {operator!r} is unknown; use $eq, $ne, $gt, $gte, $lt or $lte")
    if isinstance(value, str) and isinstance(operand, str):
        order = float((value > operand) - (value < operand))
    elif isinstance(value, (int, float)) and isinstance(operand, (int, float)):
        order = float(value) - float(operand)
    else:
        return False  # what cannot be compared is neither more nor less
    return {"$gt": order > 0, "$gte": order >= 0, "$lt": order < 0, "$lte": order <= 0}[operator]


def _has(namespace: Namespace, condition: MatchCondition) -> bool:
    path = tuple(condition.path)
    if len(path) > len(namespace):
        return False
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(want in ("*", label) for label, want in zip(part, path, strict=True))


def _copied(value: Any) -> Any:
    """The value with containers of its own: what a graph does to it is not done to what is kept here."""
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in cast("dict[str, Any]", value).items()}
    return [_copied(inner) for inner in cast("list[Any]", value)] if isinstance(value, list) else value


def _datetime(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
