"""Whether the log holds exactly what the clients were told."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from benchmarks.chaos_clients import Outcome
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.opening import open_store
from carryover.settings import Settings
from carryover.store import check as checks
from carryover.store import queue
from carryover.store import turns as stored
from carryover.store.tables import events, sessions, snapshots, turns

Place = tuple[str, str, str]  # tenant, agent, session


@dataclass(frozen=True)
class Row:
    """One turn as it lies in the database."""

    place: Place
    seq: int
    key: str | None
    text: str


@dataclass
class Found:
    """What lies in the database after all of it."""

    rows: list[Row] = field(default_factory=list[Row])
    versions: dict[Place, int] = field(default_factory=dict[Place, int])
    appends: dict[Place, list[tuple[int, int]]] = field(default_factory=dict[Place, list[tuple[int, int]]])
    consolidated: dict[Place, list[tuple[int, int]]] = field(default_factory=dict[Place, list[tuple[int, int]]])
    snapshots: dict[Place, list[tuple[int, int]]] = field(default_factory=dict[Place, list[tuple[int, int]]])
    faults: list[str] = field(default_factory=list[str])
    dead: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Violation:
    """A promise that was broken: `lost`, `doubled`, `reordered` or another word, and where."""

    kind: str
    detail: str


def look(url: str) -> Found:
    """All that the checks need of the database, as of one moment."""
    found = Found()
    with open_store(Settings(database_url=url)) as store:
        with store.read(EVERY_TENANT) as tx:
            heads = sa.select(sessions.c.tenant, sessions.c.agent, sessions.c.session, sessions.c.version)
            found.versions = {(row[0], row[1], row[2]): row[3] for row in tx.conn.execute(heads)}
            place = turns.c.tenant, turns.c.agent, turns.c.session
            tops = sa.select(*place, sa.func.max(turns.c.seq)).group_by(*place)  # also of logs without a head
            for tenant, agent, session, top in tx.conn.execute(tops).all():
                log = stored.between(tx.within(Scope(tenant)), agent, session, 1, top)
                where = tenant, agent, session
                found.rows += [Row(where, turn.seq, turn.idempotency_key, str(turn.content)) for turn in log]
            told = sa.select(events.c.tenant, events.c.agent, events.c.session, events.c.action, events.c.detail)
            for tenant, agent, session, action, detail in tx.conn.execute(told.order_by(events.c.id)):
                said = json.loads(detail)
                if action == "append":
                    found.appends.setdefault((tenant, agent, session), []).append((said["version"], said["turns"]))
                elif action == "consolidate":
                    saved = (said["version"], said["through"])
                    found.consolidated.setdefault((tenant, agent, session), []).append(saved)
            kept = sa.select(
                snapshots.c.tenant, snapshots.c.agent, snapshots.c.session, snapshots.c.version, snapshots.c.through
            )
            for tenant, agent, session, version, through in tx.conn.execute(kept.order_by(snapshots.c.version)):
                found.snapshots.setdefault((tenant, agent, session), []).append((version, through))
            found.dead = [f"{job.kind} {job.subject}: {job.reason}" for job in queue.dead(tx)]
        found.faults = [f"{fault.check}: {fault.detail}" for fault in checks.check(store)]
    return found


def judge(outcomes: Sequence[Outcome], found: Found) -> list[Violation]:
    """Every promise that was broken; none is what is wanted."""
    return [
        *_once(outcomes, found.rows),
        *_in_place(outcomes, found.rows),
        *_in_order(outcomes),
        *_dense(found),
        *_told(found),
        *_consolidated_once(found),
        *(Violation("unsound", fault) for fault in found.faults),
        *(Violation("dead job", job) for job in found.dead),
        *(Violation("odd answer", f"{one.request.key}: {odd}") for one in outcomes for odd in one.odd),
    ]


def _once(outcomes: Iterable[Outcome], rows: Iterable[Row]) -> list[Violation]:
    """An acknowledged turn is there once, a refused one not at all, any other at most once, and nobody else's."""
    times = Counter(row.key for row in rows)
    broken: list[Violation] = []
    for one in outcomes:
        key, there = one.request.key, times.pop(one.request.key, 0)
        if there > 1:
            broken.append(Violation("doubled", f"{key} is in the log {there} times"))
        if one.seq is not None and there == 0:
            broken.append(Violation("lost", f"{key} was acknowledged at {one.seq} and is in no log"))
        if one.refused and there:
            broken.append(Violation("saved and refused", f"{key} was told of a conflict and is in the log"))
    return broken + [Violation("invented", f"nobody sent {key}") for key in times]


def _in_place(outcomes: Iterable[Outcome], rows: Iterable[Row]) -> list[Violation]:
    """Where it was acknowledged it is, with its text, right behind the version that it expected."""
    by_key = {row.key: row for row in rows}
    broken: list[Violation] = []
    for one in outcomes:
        asked, row = one.request, by_key.get(one.request.key)
        if row is None:
            continue
        if (row.place, row.text) != ((asked.tenant, asked.agent, asked.session), asked.text):
            broken.append(Violation("changed", f"{asked.key} is {row.text!r} in {row.place}"))
        if row.seq != asked.expected + 1:
            broken.append(Violation("reordered", f"{asked.key} expected version {asked.expected}, is turn {row.seq}"))
        if one.seq is not None and (one.seq != row.seq or one.version is None or one.version < row.seq):
            told = f"was acknowledged at {one.seq} (version {one.version})"
            broken.append(Violation("reordered", f"{asked.key} {told} and is turn {row.seq}"))
    return broken


def _in_order(outcomes: Iterable[Outcome]) -> list[Violation]:
    """What was acknowledged before another was sent stands before it in the log."""
    by_place: dict[Place, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        if one.seq is not None:
            by_place[one.request.tenant, one.request.agent, one.request.session].append(one)
    broken: list[Violation] = []
    for acknowledged in by_place.values():
        earliest: Outcome | None = None  # the first acknowledgement of a turn further on in the log
        for one in sorted(acknowledged, key=lambda one: -(one.seq or 0)):
            if earliest and earliest.ended_at and earliest.ended_at < one.sent_at:
                told = f"{earliest.request.key} was acknowledged before {one.request.key} was sent"
                broken.append(Violation("reordered", f"{told}, and stands behind it"))
            if earliest is None or (one.ended_at or 0) < (earliest.ended_at or 0):
                earliest = one
    return broken


def _dense(found: Found) -> list[Violation]:
    """Turns are numbered from 1 without a gap, and the version is their number."""
    numbers: dict[Place, list[int]] = defaultdict(list)
    for row in found.rows:
        numbers[row.place].append(row.seq)
    return [
        Violation("not dense", f"{place} is at version {version} and has turns {sorted(numbers[place])[-3:]}")
        for place, version in found.versions.items()
        if sorted(numbers[place]) != list(range(1, version + 1))
    ]


def _told(found: Found) -> list[Violation]:
    """The stream tells of every turn, in order, once."""
    broken: list[Violation] = []
    for place, version in found.versions.items():
        through = 0
        for at, count in found.appends.get(place, []):
            if at != through + count:
                broken.append(Violation("stream", f"{place} went from {through} to {at} by {count} turns"))
            through = at
        if through != version:
            broken.append(Violation("stream", f"{place} was told up to {through} and is at {version}"))
    return broken


def _consolidated_once(found: Found) -> list[Violation]:
    """No version of a session was consolidated twice, and what was saved is what was told."""
    broken: list[Violation] = []
    for place in found.versions:
        saved = found.snapshots.get(place, [])
        if saved != found.consolidated.get(place, []):
            broken.append(Violation("consolidated", f"{place}: told {found.consolidated.get(place)}, saved {saved}"))
        through = [one[1] for one in saved]
        if through != sorted(set(through)) or [one[0] for one in saved] != list(range(1, len(saved) + 1)):
            broken.append(Violation("consolidated twice", f"{place}: {saved}"))
    return broken
