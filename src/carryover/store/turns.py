"""Turns and their bodies: inserted, read, never updated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from carryover.core.session import Json, Turn
from carryover.core.strategy import Sketch
from carryover.store import hot
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import bodies, turns

_SAME = (bodies.c[name] == turns.c[name] for name in ("tenant", "agent", "session", "seq"))
# Looked up for each turn. A join of what the planner of PostgreSQL has no statistics of yet compares every body of the
# session with every turn, so that a view of a long session would time out.
_BODY = sa.select(bodies.c.body).where(*_SAME).correlate(turns).scalar_subquery().label("body")
_SELECT: sa.Select[*tuple[Any, ...]] = sa.select(
    turns.c.seq,
    turns.c.id,
    turns.c.role,
    _BODY,
    turns.c.kind,
    turns.c.received_at,
    turns.c.tokens,
    turns.c.created_at,
    turns.c.name,
    turns.c.call_id,
    turns.c.metadata,
    turns.c.idempotency_key,
)
_NAMES = tuple(column.name for column in turns.c if column.name != "tenant")
_ADD, _ADD_BODY = sa.insert(turns), sa.insert(bodies)
_OF = _SELECT.where(*(turns.c[name] == sa.bindparam(name) for name in ("tenant", "agent", "session")))
_MOST = sa.bindparam("most", type_=sa.Integer)
_AFTER = _OF.where(turns.c.seq > sa.bindparam("after")).order_by(turns.c.seq).limit(_MOST)
_LAST = _OF.order_by(turns.c.seq.desc()).limit(_MOST)
_BETWEEN = _OF.where(turns.c.seq.between(sa.bindparam("first"), sa.bindparam("last"))).order_by(turns.c.seq)
_SKETCHES = (
    sa.select(*(turns.c[name] for name in ("seq", "role", "kind", "tokens", "received_at", "name", "call_id")))
    .where(*(turns.c[name] == sa.bindparam(name) for name in ("tenant", "agent", "session")))
    .where(turns.c.seq.between(sa.bindparam("first"), sa.bindparam("last")))
    .order_by(turns.c.seq)
)
_ID = sa.select(turns.c.id).where(
    *(turns.c[name] == sa.bindparam(name) for name in ("tenant", "agent", "session", "seq"))
)
_RETRACTIONS = _OF.where(turns.c.kind == "retraction", turns.c.seq > sa.bindparam("after")).order_by(turns.c.seq)

_KEYED = sa.select(turns.c.idempotency_key, turns.c.seq, turns.c.id, turns.c.digest).where(
    turns.c.tenant == sa.bindparam("tenant"),
    turns.c.agent == sa.bindparam("agent"),
    turns.c.session == sa.bindparam("session"),
    turns.c.idempotency_key.is_not(None),
    turns.c.idempotency_key.in_(sa.bindparam("keys", expanding=True)),
)


def add(tx: Tx, rows: Sequence[dict[str, object]]) -> None:
    """Each row is one new turn with its `body`; `agent`, `session` and `seq` say where."""
    if not rows:
        return
    tenant = tx.tenant
    hot.write(tx.conn, _ADD, [{"tenant": tenant, **{name: row[name] for name in _NAMES}} for row in rows])
    hot.write(
        tx.conn,
        _ADD_BODY,
        [
            {"tenant": tenant, "agent": row["agent"], "session": row["session"], "seq": row["seq"], "body": row["body"]}
            for row in rows
        ],
    )


def after(tx: Tx, agent: str, session: str, seq: int, limit: int) -> list[Turn]:
    """At most `limit` turns that follow `seq`, in order."""
    return _turns(tx.conn.execute(_AFTER, {**_in(tx, agent, session), "after": seq, "most": limit}))


def last(tx: Tx, agent: str, session: str, n: int) -> list[Turn]:
    """The last `n` turns, in order."""
    return _turns(tx.conn.execute(_LAST, {**_in(tx, agent, session), "most": n}))[::-1]


def between(tx: Tx, agent: str, session: str, first: int, last: int) -> list[Turn]:
    """The turns from `first` to `last`, both included."""
    return _turns(tx.conn.execute(_BETWEEN, {**_in(tx, agent, session), "first": first, "last": last}))


def sketches(tx: Tx, agent: str, session: str, first: int, last: int) -> list[Sketch]:
    """The turns from `first` to `last` without their content; of retractions, what they take back."""
    rows: Sequence[Any] = tx.conn.execute(_SKETCHES, {**_in(tx, agent, session), "first": first, "last": last}).all()
    backs = [row[0] for row in rows if row[2] == "retraction"]
    found = tx.conn.execute(_RETRACTIONS, {**_in(tx, agent, session), "after": backs[0] - 1}) if backs else ()
    taken = {turn.seq: turn.retracts for turn in _turns(found)}
    return [Sketch(*row[:7], retracts=taken.get(row[0])) for row in rows]


def id_of(tx: Tx, agent: str, session: str, seq: int) -> str | None:
    """The id of the turn at this place; None where there is none."""
    return tx.conn.execute(_ID, {**_in(tx, agent, session), "seq": seq}).scalar()


def retractions(tx: Tx, agent: str, session: str, after: int = 0) -> list[tuple[int, int]]:
    """The runs of turns that the retractions behind `after` take back."""
    found = tx.conn.execute(_RETRACTIONS, {**_in(tx, agent, session), "after": after})
    return [turn.retracts for turn in _turns(found) if turn.retracts is not None]


def keyed(tx: Tx, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], tuple[int, str, str]]:
    """For the (agent, session, idempotency key) triples that exist: seq, id and digest of their turns."""
    by_session: dict[tuple[str, str], list[str]] = {}
    for agent, session, key in keys:
        by_session.setdefault((agent, session), []).append(key)
    found: dict[tuple[str, str, str], tuple[int, str, str]] = {}
    for (agent, session), wanted in by_session.items():
        for part in parts(wanted):
            rows = tx.conn.execute(_KEYED, {"tenant": tx.tenant, "agent": agent, "session": session, "keys": part})
            found |= {(agent, session, row[0]): (row[1], row[2], row[3]) for row in rows}
    return found


def _in(tx: Tx, agent: str, session: str) -> dict[str, Any]:
    return {"tenant": tx.tenant, "agent": agent, "session": session}


def _turns(rows: Iterable[Any]) -> list[Turn]:
    """The rows as turns; one whose body was lost is left out, and `check` tells of it."""
    return [_turn(row) for row in rows if row.body is not None]


def _turn(row: Any) -> Turn:
    seq, id, role, body, kind, received_at, tokens, created_at, name, call_id, metadata, key = row
    return Turn(
        seq=seq,
        id=id,
        role=role,
        body=Json(body),
        kind=kind,
        received_at=received_at,
        tokens=tokens,
        created_at=created_at,
        name=name,
        call_id=call_id,
        metadata=None if metadata is None else Json(metadata),
        idempotency_key=key,
    )
