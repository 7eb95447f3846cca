"""Turns and their bodies: inserted, read, never updated.

Where a session is sealed, the body's place holds all that was said: the salt of the chain, the metadata and the body.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from carryover.core.chain import SALT_BYTES
from carryover.core.session import ERASED, Json, Turn
from carryover.core.strategy import Sketch
from carryover.core.text import digest
from carryover.store import hot
from carryover.store.marked import is_sealed
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
_NAMES = tuple(column.name for column in turns.c)
_BODY_NAMES = tuple(column.name for column in bodies.c)
_ADD, _ADD_BODY = sa.insert(turns), sa.insert(bodies)
# Those that were erased keep their places, and nobody is shown them.
_OF = _SELECT.where(
    *(turns.c[name] == sa.bindparam(name) for name in ("tenant", "agent", "session")), turns.c.kind != ERASED
)
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

_LINKS = (
    sa.select(*(column for column in turns.c if column.name != "tenant"), _BODY)
    .where(*(turns.c[name] == sa.bindparam(name) for name in ("tenant", "agent", "session")))
    .where(turns.c.seq > sa.bindparam("after"))
    .order_by(turns.c.seq)
    .limit(_MOST)
)
_REMOVE, _REMOVE_BODIES = (
    table.delete()
    .where(*(table.c[name] == sa.bindparam(name) for name in ("tenant", "agent", "session")))
    .where(table.c.seq.between(sa.bindparam("first"), sa.bindparam("last")))
    for table in (turns, bodies)
)
_PAGE = 500
TOMBSTONES = "tombstones"  # the counter of how often turns were erased in the middle of logs
_SALT = 2 * SALT_BYTES  # digits

_KEYED = sa.select(turns.c.idempotency_key, turns.c.seq, turns.c.id, turns.c.digest, turns.c.kind).where(
    turns.c.tenant == sa.bindparam("tenant"),
    turns.c.agent == sa.bindparam("agent"),
    turns.c.session == sa.bindparam("session"),
    turns.c.idempotency_key.is_not(None),
    turns.c.idempotency_key.in_(sa.bindparam("keys", expanding=True)),
)


@dataclass(frozen=True, slots=True)
class Link:
    """A turn as its chain sees it: `row` has the columns of `turns`, the body (None: it is gone) and the salt."""

    seq: int
    row: dict[str, Any]
    is_sealed: bool


def add(tx: Tx, rows: Sequence[dict[str, object]]) -> None:
    """Each row is one new turn with its `body`, linked into its chain, and the `key` of its session's data or None.

    `agent`, `session` and `seq` say where.
    """
    if not rows:
        return
    kept = [_kept(tx, row) for row in rows]
    hot.write(tx.conn, _ADD, [{name: row[name] for name in _NAMES} for row in kept])
    hot.write(tx.conn, _ADD_BODY, [{name: row[name] for name in _BODY_NAMES} for row in kept])


def after(tx: Tx, agent: str, session: str, seq: int, limit: int) -> list[Turn]:
    """At most `limit` turns that follow `seq`, in order."""
    asked = {**_in(tx, agent, session), "after": seq, "most": limit}
    return _turns(tx, agent, session, tx.conn.execute(_AFTER, asked))


def last(tx: Tx, agent: str, session: str, n: int) -> list[Turn]:
    """The last `n` turns, in order."""
    return _turns(tx, agent, session, tx.conn.execute(_LAST, {**_in(tx, agent, session), "most": n}))[::-1]


def between(tx: Tx, agent: str, session: str, first: int, last: int) -> list[Turn]:
    """The turns from `first` to `last`, both included."""
    asked = {**_in(tx, agent, session), "first": first, "last": last}
    return _turns(tx, agent, session, tx.conn.execute(_BETWEEN, asked))


def sketches(tx: Tx, agent: str, session: str, first: int, last: int) -> list[Sketch]:
    """The turns from `first` to `last` without their content; of retractions, what they take back.

    One that was erased is as a retraction that takes nothing back: it has its place, and is shown nowhere.
    """
    rows: Sequence[Any] = tx.conn.execute(_SKETCHES, {**_in(tx, agent, session), "first": first, "last": last}).all()
    backs = [row[0] for row in rows if row[2] == "retraction"]
    found = tx.conn.execute(_RETRACTIONS, {**_in(tx, agent, session), "after": backs[0] - 1}) if backs else ()
    taken = {turn.seq: turn.retracts for turn in _turns(tx, agent, session, found)}
    return [
        Sketch(row[0], row[1], "retraction" if row[2] == ERASED else row[2], *row[3:7], retracts=taken.get(row[0]))
        for row in rows
    ]


def id_of(tx: Tx, agent: str, session: str, seq: int) -> str | None:
    """The id of the turn at this place; None where there is none."""
    return tx.conn.execute(_ID, {**_in(tx, agent, session), "seq": seq}).scalar()


def retractions(tx: Tx, agent: str, session: str, after: int = 0) -> list[tuple[int, int]]:
    """The runs of turns that the retractions behind `after` take back."""
    found = tx.conn.execute(_RETRACTIONS, {**_in(tx, agent, session), "after": after})
    return [turn.retracts for turn in _turns(tx, agent, session, found) if turn.retracts is not None]


def keyed(tx: Tx, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], tuple[int, str, str | None]]:
    """For the (agent, session, idempotency key) triples that exist: seq, id and digest of their turns.

    The digest of one that was erased is None.
    """
    by_session: dict[tuple[str, str], list[str]] = {}
    for agent, session, key in keys:
        by_session.setdefault((agent, session), []).append(key)
    found: dict[tuple[str, str, str], tuple[int, str, str | None]] = {}
    for (agent, session), wanted in by_session.items():
        for part in parts(wanted):
            rows = tx.conn.execute(_KEYED, {"tenant": tx.tenant, "agent": agent, "session": session, "keys": part})
            found |= {(agent, session, r[0]): (r[1], r[2], None if r[4] == ERASED else r[3]) for r in rows}
    return found


def _in(tx: Tx, agent: str, session: str) -> dict[str, Any]:
    return {"tenant": tx.tenant, "agent": agent, "session": session}


def linked(tx: Tx, agent: str, session: str, after: int, limit: int) -> list[Link]:
    """At most `limit` turns behind `after` with what their chain is made of, in order; also those without a body."""
    asked = {**_in(tx, agent, session), "after": after, "most": limit}
    return links(tx, agent, session, tx.conn.execute(_LINKS, asked).all())


def reseal(tx: Tx, agent: str, session: str, key: bytes | None) -> None:
    """All turns of the session are sealed with the key of this id, or with none; nothing else of them is changed.

    The session's row is not: it has to name the key in the same transaction.
    """
    after = 0
    while found := linked(tx, agent, session, after, _PAGE):
        after = found[-1].seq
        here = {**_in(tx, agent, session), "first": found[0].seq, "last": after}
        for gone in (_REMOVE_BODIES, _REMOVE):
            tx.conn.execute(gone, here)
        rows = [{**link.row, "agent": agent, "session": session, "key": key} for link in found]
        empty = [row for row in rows if row["body"] is None]
        add(tx, [{**row, "digest": _digest(tx, key, row)} for row in rows if row["body"] is not None])
        if empty:
            hot.write(tx.conn, _ADD, [{"tenant": tx.tenant, **{n: row[n] for n in _NAMES[1:]}} for row in empty])


def _kept(tx: Tx, row: dict[str, Any]) -> dict[str, Any]:
    """The row as it is kept."""
    key = row["key"]
    if key is None:
        return {"tenant": tx.tenant, **row}
    metadata = row["metadata"]
    salt = row["salt"] or bytes(SALT_BYTES)  # a turn of an older program is in no chain
    all_said = f"{salt.hex()}{'' if metadata is None else len(metadata)}:{metadata or ''}{row['body']}"
    body = tx.closed(key, _place(row["agent"], row["session"], row["seq"]), all_said)
    return {"tenant": tx.tenant, **row, "salt": None, "metadata": None, "body": body}


def _place(agent: str, session: str, seq: int) -> str:
    return f"bodies/{agent}/{session}/{seq}"


def _digest(tx: Tx, key: bytes | None, row: dict[str, Any]) -> str:
    """What an append with the same idempotency key is compared by."""
    if row["idempotency_key"] is None:
        return ""
    said = (row["role"], row["kind"], row["name"] or "", row["call_id"] or "", row["body"], row["metadata"] or "")
    return tx.hashed(key, digest(*said))


def _opened(tx: Tx, agent: str, session: str, rows: Sequence[Any]) -> list[tuple[Any, str, str | None, bytes | None]]:
    """Of each row that has its body: itself, its body, its metadata, and its salt where that was sealed.

    A row whose body was lost, or sealed with a key that was dropped, is left out, and `check` tells of it.
    """
    there = [row for row in rows if row.body is not None]
    found = tx.opened_all([(_place(agent, session, row.seq), row.body) for row in there])
    made: list[tuple[Any, str, str | None, bytes | None]] = []
    for row, text in zip(there, found, strict=True):
        if text is None:
            continue
        if not is_sealed(row.body):
            made.append((row, text, row.metadata, None))
            continue
        length, _, rest = text[_SALT:].partition(":")
        cut = int(length or 0)
        made.append((row, rest[cut:], rest[:cut] if length else None, bytes.fromhex(text[:_SALT])))
    return made


def _turns(tx: Tx, agent: str, session: str, found: Iterable[Any]) -> list[Turn]:
    return [_turn(row, body, metadata) for row, body, metadata, _ in _opened(tx, agent, session, list(found))]


def links(tx: Tx, agent: str, session: str, rows: Sequence[Any]) -> list[Link]:
    """Rows of the session, each with the columns of `turns` and its `body` as it is kept, opened."""
    opened = {row.seq: (body, metadata, salt) for row, body, metadata, salt in _opened(tx, agent, session, rows)}
    made: list[Link] = []
    for row in rows:
        body, metadata, salt = opened.get(row.seq, (None, row.metadata, None))
        said = {**row._asdict(), "body": body, "metadata": metadata, "salt": salt or row.salt}
        made.append(Link(row.seq, said, is_sealed=row.body is not None and is_sealed(row.body)))
    return made


def _turn(row: Any, body: str, metadata: str | None) -> Turn:
    seq, id, role, _, kind, received_at, tokens, created_at, name, call_id, _, key = row
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
