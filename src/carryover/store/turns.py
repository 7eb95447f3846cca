"""Turns and their bodies: inserted, read, never updated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from carryover.core.session import Json, Turn
from carryover.store import hot
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import bodies, turns

_SELECT: sa.Select[*tuple[Any, ...]] = sa.select(
    turns.c.seq,
    turns.c.id,
    turns.c.role,
    bodies.c.body,
    turns.c.kind,
    turns.c.received_at,
    turns.c.tokens,
    turns.c.created_at,
    turns.c.name,
    turns.c.call_id,
    turns.c.metadata,
    turns.c.idempotency_key,
).join_from(
    turns,
    bodies,
    sa.and_(
        bodies.c.tenant == turns.c.tenant,
        bodies.c.agent == turns.c.agent,
        bodies.c.session == turns.c.session,
        bodies.c.seq == turns.c.seq,
    ),
)
_NAMES = tuple(column.name for column in turns.c if column.name != "tenant")
_ADD, _ADD_BODY = sa.insert(turns), sa.insert(bodies)
_OF = _SELECT.where(*(turns.c[name] == sa.bindparam(name) for name in ("tenant", "agent", "session")))
_MOST = sa.bindparam("most", type_=sa.Integer)
_AFTER = _OF.where(turns.c.seq > sa.bindparam("after")).order_by(turns.c.seq).limit(_MOST)
_LAST = _OF.order_by(turns.c.seq.desc()).limit(_MOST)
_BETWEEN = _OF.where(turns.c.seq.between(sa.bindparam("first"), sa.bindparam("last"))).order_by(turns.c.seq)

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
    return [_turn(row) for row in tx.conn.execute(_AFTER, {**_in(tx, agent, session), "after": seq, "most": limit})]


def last(tx: Tx, agent: str, session: str, n: int) -> list[Turn]:
    """The last `n` turns, in order."""
    return [_turn(row) for row in tx.conn.execute(_LAST, {**_in(tx, agent, session), "most": n})][::-1]


def between(tx: Tx, agent: str, session: str, first: int, last: int) -> list[Turn]:
    """The turns from `first` to `last`, both included."""
    found = tx.conn.execute(_BETWEEN, {**_in(tx, agent, session), "first": first, "last": last})
    return [_turn(row) for row in found]


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
