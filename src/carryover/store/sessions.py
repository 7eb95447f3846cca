"""Sessions: one row each, with the version that optimistic concurrency compares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from carryover.core.errors import NotFound
from carryover.core.session import Session, Status
from carryover.store import counters, hot
from carryover.store.dialect import Dialect
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import sessions


@dataclass(frozen=True, slots=True)
class Head:
    """A session's row as the log sees it: times of its life, and where its turns have got to."""

    agent: str
    session: str
    user: str | None
    version: int
    tokens: int
    created_at: int
    updated_at: int
    active_until: int
    closed_at: int | None
    ttl_s: int | None
    expires_at: int | None
    metadata: str
    key: bytes | None = None  # the id of the data key that seals what is kept of it
    chain: bytes | None = None  # over all its turns


_COLUMNS = [sessions.c[name] for name in Head.__dataclass_fields__]
_KEY = ["tenant", "agent", "session"]
_NOTHING = "{}"
_FIND = sa.select(*_COLUMNS).where(
    sessions.c.tenant == sa.bindparam("tenant"),
    sessions.c.agent == sa.bindparam("agent"),
    sessions.c.session.in_(sa.bindparam("sessions", expanding=True)),
)
_FIND_ONE = sa.select(*_COLUMNS).where(*(sessions.c[name] == sa.bindparam(name) for name in _KEY))
_KEY_OF = sa.select(sessions.c.key).where(*(sessions.c[name] == sa.bindparam(name) for name in _KEY))
# What a writer decides on stays as it is until its commit. In one order, so that two never wait for each other.
_LOCK, _LOCK_ONE = _FIND.order_by(sessions.c.session).with_for_update(), _FIND_ONE.with_for_update()


def find(tx: Tx, keys: Sequence[tuple[str, str]], *, lock: bool = True) -> dict[tuple[str, str], Head]:
    """The heads of those of the (agent, session) pairs that exist.

    A transaction that writes keeps others off them until it ends, unless it only looks (`lock` false).
    """
    lock = lock and tx.writing
    if len(keys) == 1:
        agent, session = keys[0]
        rows = hot.read(
            tx.conn, _LOCK_ONE if lock else _FIND_ONE, {"tenant": tx.tenant, "agent": agent, "session": session}
        )
        return {(head.agent, head.session): head for head in _heads(tx, rows)}
    # Agent by agent: a list of pairs would find its rows by no index.
    by_agent: dict[str, list[str]] = {}
    for agent, session in keys:
        by_agent.setdefault(agent, []).append(session)
    found: dict[tuple[str, str], Head] = {}
    for agent, named in sorted(by_agent.items()):
        for part in parts(sorted(named)):
            asked = {"tenant": tx.tenant, "agent": agent, "sessions": part}
            rows = tx.conn.execute(_LOCK if lock else _FIND, asked).all()
            found |= {(head.agent, head.session): head for head in _heads(tx, rows)}
    return found


def get(tx: Tx, agent: str, session: str, *, lock: bool = True) -> Head:
    """The head of one session, as `find` has it.

    Raises NotFound when it does not exist, or lies outside the transaction's scope.
    """
    head = find(tx, [(agent, session)], lock=lock).get((agent, session))
    if head is None or not tx.scope.admits(agent, head.user):
        raise missing(agent, session)
    return head


def missing(agent: str, session: str) -> NotFound:
    return NotFound(
        f"session {session!r} of agent {agent!r} does not exist here; check both ids",
        session_id=session,
        agent_id=agent,
    )


def fence(tx: Tx, keys: Iterable[tuple[str, str]]) -> None:
    """What the log holds of these (agent, session) pairs is as safe as a commit once this transaction is committed.

    A commit that was given up while it waited for the standby can be read on the primary and still be lost with it.
    This writes to the same rows: its own commit waits for the standby, and for all that came before. Where none is
    there it writes to another row, because that too is said for sure only by the server that leads.
    """
    if not tx.dialect.concurrent:
        return
    written = 0
    for agent, session in sorted(keys):
        here = (sessions.c.tenant == tx.tenant, sessions.c.agent == agent, sessions.c.session == session)
        written += tx.conn.execute(sessions.update().where(*here).values(version=sessions.c.version)).rowcount
    if not written:
        counters.bump(tx, "fence", 0)


def put(tx: Tx, heads: Iterable[Head]) -> None:
    """These heads are as given, whether their sessions existed or not."""
    rows = [{"tenant": tx.tenant, **_row(tx, head)} for head in heads]
    if not rows:
        return
    hot.write(tx.conn, _putting(tx.dialect), rows)


@lru_cache(maxsize=8)
def _putting(dialect: Dialect) -> Any:
    new = dialect.insert(sessions)
    kept = {c.name: new.excluded[c.name] for c in sessions.c if c.name not in (*_KEY, "created_at")}
    return new.on_conflict_do_update(index_elements=_KEY, set_=kept)


def listed(
    tx: Tx, agent: str | None, *, user: str | None = None, limit: int, before: tuple[int, str, str] | None = None
) -> list[Head]:
    """Newest first: at most `limit` heads of an agent (None: of all), after the (updated_at, session, agent) `before`.

    What is asked for and what the scope admits are both limits: a narrowed scope finds nothing outside of it.
    """
    wanted = sa.select(*_COLUMNS).where(sessions.c.tenant == tx.tenant)
    order = (sessions.c.updated_at, sessions.c.session, sessions.c.agent)
    limits = (
        (agent, sessions.c.agent == agent),
        (tx.scope.agent, sessions.c.agent == tx.scope.agent),
        (user, sessions.c.user == user),
        (tx.scope.user, sessions.c.user == tx.scope.user),
        (before, sa.tuple_(*order) < sa.tuple_(*(before or ()))),
    )
    wanted = wanted.where(*(within for asked, within in limits if asked is not None))
    wanted = wanted.order_by(*(column.desc() for column in order)).limit(limit)
    return _heads(tx, tx.conn.execute(wanted).all())


def key_of(tx: Tx, agent: str, session: str) -> bytes | None:
    """The id of the data key that seals what is kept of the session; None where it is not sealed, or not there."""
    found = hot.read(tx.conn, _KEY_OF, {"tenant": tx.tenant, "agent": agent, "session": session})
    return found[0][0] if found else None


def status(head: Head, now: int) -> Status:
    if head.closed_at is not None:
        return "closed"
    return "active" if now < head.active_until else "idle"


def shown(head: Head, now: int) -> Session:
    """The session as others see it."""
    return Session(
        agent_id=head.agent,
        session_id=head.session,
        user_id=head.user,
        version=head.version,
        created_at=head.created_at,
        updated_at=head.updated_at,
        token_count=head.tokens,
        status=status(head, now),
        metadata=json.loads(head.metadata),
        ttl_s=head.ttl_s,
        expires_at=head.expires_at,
    )


def _heads(tx: Tx, rows: Sequence[Any]) -> list[Head]:
    heads = [Head(*row) for row in rows]
    kept = [(f"sessions/{head.agent}/{head.session}", head.metadata) for head in heads]
    # One whose key was dropped is erased: what is left of it is its place in the log.
    return [
        head if text == head.metadata else replace(head, metadata=text or _NOTHING)
        for head, text in zip(heads, tx.opened_all(kept), strict=True)
    ]


def _row(tx: Tx, head: Head) -> dict[str, object]:
    said = {name: getattr(head, name) for name in Head.__dataclass_fields__}
    if head.metadata != _NOTHING:
        said["metadata"] = tx.closed(head.key, f"sessions/{head.agent}/{head.session}", head.metadata)
    return said
