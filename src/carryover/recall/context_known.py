"""What a context may tell: the live findings and last summaries of the sessions in reach, kept while they hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

from carryover.core.context import Reach
from carryover.core.snapshot import Finding
from carryover.recall.context_text import one_line
from carryover.store import reach, snapshots, turns
from carryover.store.reach import Reached
from carryover.store.sessions import Head
from carryover.store.store import Store, Tx

MOST_SUMMARIES = 8
MOST_FINDINGS = 500  # the newest; standing wishes whatever their age
KEPT = 128  # results per store

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose context it is; `head` is None while the session does not exist."""

    agent: str
    session: str
    user: str | None
    reach: Reach
    head: Head | None

    @property
    def key(self) -> tuple[str, str]:
        return self.agent, self.session


@dataclass(frozen=True, slots=True)
class Told:
    """A session as its newest snapshot tells it; `at` is when its last covered turn was said."""

    agent: str
    session: str
    version: int
    through: int
    at: int = 0
    summary: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """Out of what a session may be told, before it is read: `stamp` is another one when any of it may have changed."""

    stamp: Hashable
    made: tuple[tuple[str, str, int, int, int], ...]  # agent, session, version, through, made_at of newest snapshots
    reached: tuple[Reached, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What memory holds within reach: each statement once, newest first."""

    findings: tuple[Finding, ...] = ()
    sessions: tuple[Told, ...] = ()
    by_id: dict[str, Finding] = field(default_factory=dict[str, Finding])


def state_of(tx: Tx, asked: Asked) -> State:
    """The at most 50 sessions in reach that changed last, and what memory of them is made of."""
    reached: tuple[Reached, ...] = ()
    if asked.reach != "session":
        reached = reach.newest(tx, None if asked.reach == "user" else asked.agent, asked.user)
    if asked.head is not None and all((row.agent, row.session) != asked.key for row in reached):
        last = next(iter(snapshots.listed(tx, *asked.key, limit=1)), None)
        newest = (last.version, last.through, last.created_at) if last else (0, 0, 0)
        reached += (Reached(*asked.key, asked.head.version, asked.head.updated_at, *newest),)
    # In the order of their snapshots, so that an append alone changes nothing here.
    made = sorted((row for row in reached if row.version), key=lambda row: (-row.made_at, row.agent, row.session))
    rows = tuple((row.agent, row.session, row.version, row.through, row.made_at) for row in made)
    return State((tx.tenant, rows, reach.changes(tx, asked.user)), rows, reached)


def known_to(tx: Tx, state: State, store: Store) -> Known:
    """What the session may be told."""
    return recent(store, state.stamp, lambda: _read(tx, state.made))


def recent(store: Store, key: Hashable, make: Callable[[], Value]) -> Value:
    """What was made for this key before, or is made now; the results asked for last are kept, per store."""
    with _lock:
        kept = _kept.setdefault(store, OrderedDict())
        if key in kept:
            kept.move_to_end(key)
            return cast("Value", kept[key])
    value = make()
    with _lock:
        kept[key] = value
        while len(kept) > KEPT:
            kept.popitem(last=False)
    return value


_lock = Lock()
_kept: WeakKeyDictionary[Store, OrderedDict[Hashable, object]] = WeakKeyDictionary()


def _read(tx: Tx, rows: Sequence[tuple[str, str, int, int, int]]) -> Known:
    live = snapshots.live(tx, [row[:2] for row in rows])
    findings = _most(_once(sorted(live, key=lambda f: (f.learned_at, f.id), reverse=True)))
    told = [_summarised(tx, Told(*row[:4])) for row in rows[:MOST_SUMMARIES]]
    told += [Told(*row[:4]) for row in rows[MOST_SUMMARIES:]]
    return Known(
        findings=tuple(findings),
        sessions=tuple(sorted(told, key=lambda one: -one.at)),
        by_id={finding.id: finding for finding in findings},
    )


def _summarised(tx: Tx, told: Told) -> Told:
    head = snapshots.listed(tx, told.agent, told.session, limit=1)[0]
    last = turns.between(tx, told.agent, told.session, told.through, told.through)
    at = last[0].created_at if last else head.created_at
    return Told(told.agent, told.session, told.version, told.through, at, head.summary)


def _once(newest_first: Sequence[Finding]) -> list[Finding]:
    """Each statement once: of those about one subject the newest, of those that read the same the newest."""
    seen: set[tuple[str, str]] = set()
    kept: list[Finding] = []
    for finding in newest_first:
        names = {(finding.kind, f"= {one_line(finding.text).lower().rstrip('.')}")}
        if finding.subject:
            names.add((finding.kind, finding.subject))
        if not names & seen:
            kept.append(finding)
        seen |= names
    return kept


def _most(newest_first: Sequence[Finding]) -> list[Finding]:
    room = MOST_FINDINGS - sum(finding.pinned for finding in newest_first)
    kept = {finding.id for finding in [f for f in newest_first if not f.pinned][: max(room, 0)]}
    return [finding for finding in newest_first if finding.pinned or finding.id in kept]
