"""The activity stream: one row per thing that happened, in the order of commits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa

from carryover.core.event import Action, Event, Filter
from carryover.guard.redact import redacted
from carryover.store import hot
from carryover.store.store import Tx
from carryover.store.tables import events

_ADD = sa.insert(events)
LAST_ID = sa.select(sa.func.max(events.c.id)).where(
    events.c.tenant == sa.bindparam("tenant"), events.c.agent == sa.bindparam("agent")
)


def add(tx: Tx, happened: Sequence[tuple[Action, str, str, str | None, dict[str, Any]]], *, above: int = 0) -> None:
    """Each (action, agent, session, user, detail) is an event, in the order given, with an id higher than `above`."""
    count = Counter(agent for _, agent, *_ in happened)
    # An erasure takes events away, and says so in one that stands above them (`above`): ids are never used twice.
    floor = max(above, tx.now * 1000)
    # In one order whatever happened, so that two transactions never wait for each other.
    next_id = {agent: tx.dialect.event_ids(tx.conn, tx.tenant, agent, count[agent], floor) for agent in sorted(count)}
    rows: list[dict[str, object]] = []
    for action, agent, session, user, detail in happened:
        rows.append(
            {
                "tenant": tx.tenant,
                "agent": agent,
                "id": next_id[agent],
                "at": tx.now,
                "action": action,
                "session": session,
                "user": user,
                "detail": json.dumps(redacted(detail), ensure_ascii=False, separators=(",", ":")),
            }
        )
        next_id[agent] += 1
    if rows:
        hot.write(tx.conn, _ADD, rows)
        tx.streams.update((tx.tenant, agent) for agent in count)


def newest(tx: Tx, agent: str, want: Filter, *, limit: int, before: int | None = None) -> list[Event]:
    """At most `limit` events, newest first, older than the id `before`."""
    chosen = _chosen(tx, agent, want)
    if before is not None:
        chosen = chosen.where(events.c.id < before)
    return _read(tx, chosen.order_by(events.c.id.desc()).limit(limit))


def after(tx: Tx, agent: str, want: Filter, *, id: int, limit: int) -> list[Event]:
    """At most `limit` events that follow the one with this id, oldest first."""
    return _read(tx, _chosen(tx, agent, want).where(events.c.id > id).order_by(events.c.id).limit(limit))


def last_id(tx: Tx, agent: str) -> int:
    """The id of the newest event of an agent, 0 where there is none."""
    return hot.read(tx.conn, LAST_ID, {"tenant": tx.tenant, "agent": agent})[0][0] or 0


def _chosen(tx: Tx, agent: str, want: Filter) -> sa.Select[Any]:
    wanted = sa.select(events).where(events.c.tenant == tx.tenant, events.c.agent == agent)
    same = (
        (events.c.action, want.action),
        (events.c.session, want.session),
        (events.c.user, want.user),
        (events.c.user, tx.scope.user),
    )
    wanted = wanted.where(*(column == value for column, value in same if value is not None))
    if want.since is not None:
        wanted = wanted.where(events.c.at >= want.since)
    if want.until is not None:
        wanted = wanted.where(events.c.at < want.until)
    return wanted


def _read(tx: Tx, wanted: sa.Select[Any]) -> list[Event]:
    return [
        Event(
            id=row.id,
            at=row.at,
            action=cast("Action", row.action),
            agent_id=row.agent,
            session_id=row.session,
            user_id=row.user,
            detail=json.loads(row.detail),
        )
        for row in tx.conn.execute(wanted)
    ]
