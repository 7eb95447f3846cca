"""Runs of agents: every step of the answering of a user's turn, as it was, whatever a view made of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from carryover.core.chat import RunEvent, RunEventType
from carryover.core.session import to_json
from carryover.store import sealed
from carryover.store.store import Tx
from carryover.store.strategy_tables import agent_run_events as rows

STARTED: RunEventType = "run_started"
ENDED: tuple[RunEventType, ...] = ("run_finished", "run_failed")


@dataclass(frozen=True, slots=True)
class Span:
    """A run by what happened first in it, and last so far."""

    run_id: str
    first: RunEvent
    last: RunEvent

    @property
    def is_over(self) -> bool:
        return self.last.type in ENDED


def add(
    tx: Tx, agent: str, session: str, run: str, n: int, happened: Sequence[tuple[RunEventType, int | None, Any]]
) -> None:
    """Each (type, turn, payload) is an event of the run, in the order given; the first one is its `n`-th."""
    if not happened:
        return
    key = {"tenant": tx.tenant, "agent": agent, "session": session, "run": run, "at": tx.now}
    new = [
        {**key, "n": n + i, "type": type, "seq": seq, "payload": str(to_json(payload, "payload"))}
        for i, (type, seq, payload) in enumerate(happened)
    ]
    if kept := sealed.closed(tx, rows, new):
        tx.conn.execute(sa.insert(rows), kept)


def events(tx: Tx, agent: str, session: str, run: str) -> list[RunEvent]:
    """All that happened in the run, in order."""
    wanted = sa.select(rows).where(*_of(tx, agent, session), rows.c.run == run).order_by(rows.c.n)
    return [event for _, event in _events(tx, tx.conn.execute(wanted))]


def listed(tx: Tx, agent: str, session: str, *, limit: int, before: tuple[int, str] | None = None) -> list[Span]:
    """At most `limit` runs of the session, the one that began last first, that began before (time, run)."""
    wanted = sa.select(rows).where(*_of(tx, agent, session), rows.c.type == STARTED)
    if before is not None:
        wanted = wanted.where(sa.tuple_(rows.c.at, rows.c.run) < sa.tuple_(*before))
    return _spans(tx, agent, session, wanted.order_by(rows.c.at.desc(), rows.c.run.desc()).limit(limit))


def of_turn(tx: Tx, agent: str, session: str, seq: int) -> list[Span]:
    """The runs that answer this turn of the user, the newest first."""
    wanted = sa.select(rows).where(*_of(tx, agent, session), rows.c.type == STARTED, rows.c.seq == seq)
    return _spans(tx, agent, session, wanted.order_by(rows.c.at.desc(), rows.c.run.desc()))


def find(tx: Tx, agent: str, session: str, run: str) -> Span | None:
    """The run, if there is one of that id."""
    wanted = sa.select(rows).where(*_of(tx, agent, session), rows.c.run == run, rows.c.type == STARTED)
    return next(iter(_spans(tx, agent, session, wanted)), None)


def newest(tx: Tx, agent: str, session: str, type: RunEventType) -> RunEvent | None:
    """The last event of this type in any run of the session."""
    wanted = sa.select(rows).where(*_of(tx, agent, session), rows.c.type == type)
    ordered = wanted.order_by(rows.c.at.desc(), rows.c.run.desc(), rows.c.n.desc()).limit(1)
    return next((event for _, event in _events(tx, tx.conn.execute(ordered))), None)


def last_at(tx: Tx, agent: str, session: str) -> int | None:
    """When anything happened last in a run of the session."""
    return tx.conn.execute(sa.select(sa.func.max(rows.c.at)).where(*_of(tx, agent, session))).scalar()


def _of(tx: Tx, agent: str, session: str) -> tuple[sa.ColumnElement[bool], ...]:
    return rows.c.tenant == tx.tenant, rows.c.agent == agent, rows.c.session == session


def _spans(tx: Tx, agent: str, session: str, first: sa.Select[Any]) -> list[Span]:
    begun = {row.run: event for row, event in _events(tx, tx.conn.execute(first))}
    if not begun:
        return []
    highest = sa.select(rows.c.run, sa.func.max(rows.c.n).label("n"))
    highest = highest.where(*_of(tx, agent, session), rows.c.run.in_(list(begun))).group_by(rows.c.run).subquery()
    same = sa.and_(rows.c.run == highest.c.run, rows.c.n == highest.c.n)
    found = tx.conn.execute(sa.select(rows).join(highest, same).where(*_of(tx, agent, session)))
    last = {row.run: event for row, event in _events(tx, found)}
    return [Span(run, event, last[run]) for run, event in begun.items() if run in last]


def _events(tx: Tx, found: Iterable[Any]) -> Iterator[tuple[Any, RunEvent]]:
    for row, (payload,) in sealed.opened(tx, rows, found):
        type = cast("RunEventType", row.type)
        yield row, RunEvent(n=row.n, at=row.at, type=type, payload=json.loads(payload), seq=row.seq)
