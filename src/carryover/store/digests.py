"""Digests of coding sessions: one row a session, the newest account of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypedDict, Unpack

import msgspec
import sqlalchemy as sa

from carryover.core.clock import Time
from carryover.core.digest import DIGEST_VERSION, Digest, Outcome
from carryover.core.job import subject_of
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.core.step import Flavor
from carryover.store import hot, origins, sealed
from carryover.store.coding_tables import cursors, digests
from carryover.store.coding_tables import origins as origin_rows
from carryover.store.dialect import Dialect
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import sessions

_PAGE = 200
_COPIED = ("flavor", "kind", "repo", "outcome", "source_hash", "version", "started_at")
_KEY = ["tenant", "agent", "session"]
# Members that a later version has written are passed over; those that it did not write keep their defaults.
_DECODER = msgspec.json.Decoder(Digest)
_ORDER = (digests.c.ended_at, digests.c.session, digests.c.agent)
Place = tuple[Time, str, str]


class Wanted(TypedDict, total=False):
    """Which digests are listed: of this repository, flavor and outcome, of sessions that ended in `since`..`until`
    (not included); what is not named, or None, does not matter.
    """

    repo: str | None
    flavor: Flavor | None
    outcome: Outcome | None
    since: Time | None
    until: Time | None


def put(tx: Tx, digest: Digest, user: str | None = None, *, at: Time | None = None) -> None:
    """This is the digest of its session, in place of an earlier one; `at` is when its logs were read (default: now)."""
    ended_at, session, agent = place(digest)
    row = {
        **{name: getattr(digest, name) for name in _COPIED},
        **{"tenant": tx.tenant, "agent": agent, "session": session, "user": user, "ended_at": ended_at},
        "made_at": tx.now if at is None else at,
        "body": encode(digest),
    }
    if kept := sealed.closed(tx, digests, [row]):
        hot.write(tx.conn, _putting(tx.dialect), kept)


def encode(digest: Digest) -> str:
    """The digest as canonical JSON: equal digests are equal bytes."""
    return msgspec.json.encode(digest, order="sorted").decode()


def place(digest: Digest) -> Place:
    """Where the digest stands in a list: `listed` goes on behind it. What has no time counts as the oldest."""
    return digest.ended_at or 0, digest.session_id, digest.agent_id


def get(tx: Tx, agent: str, session: str) -> Digest | None:
    """The digest of a session, None where there is none or the scope does not admit it."""
    wanted = _select(tx).where(digests.c.agent == agent, digests.c.session == session)
    return next(_digests(tx, tx.conn.execute(wanted)), None)


def made(tx: Tx, found: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these (agent, session) have a digest."""
    have: set[tuple[str, str]] = set()
    for part in parts(sorted({session for _, session in found})):
        wanted = sa.select(digests.c.agent, digests.c.session).where(digests.c.tenant == tx.tenant)
        have.update((row[0], row[1]) for row in tx.conn.execute(wanted.where(digests.c.session.in_(part))))
    return have & set(found)


def listed(tx: Tx, *, limit: int, before: Place | None = None, **wanted: Unpack[Wanted]) -> list[Digest]:
    """At most `limit` digests as they are wanted, newest first, after the `place` `before`."""
    repo, flavor, outcome = wanted.get("repo"), wanted.get("flavor"), wanted.get("outcome")
    since, until = wanted.get("since"), wanted.get("until")
    limits = (
        (repo, digests.c.repo == repo),
        (flavor, digests.c.flavor == flavor),
        (outcome, digests.c.outcome == outcome),
        (since, digests.c.ended_at >= (since or 0)),
        (until, digests.c.ended_at < (until or 0)),
        (before, sa.tuple_(*_ORDER) < sa.tuple_(*map(sa.literal, before or ()))),
    )
    chosen = _select(tx).where(*(within for asked, within in limits if asked is not None))
    chosen = chosen.order_by(*(column.desc() for column in _ORDER)).limit(limit)
    return list(_digests(tx, tx.conn.execute(chosen)))


def every(tx: Tx) -> Iterator[Digest]:
    """All digests that the scope admits, by agent and session; few of them are held at a time."""
    order = (digests.c.agent, digests.c.session)
    last = ("", "")
    while True:
        beyond = sa.tuple_(*order) > sa.tuple_(*map(sa.literal, last))
        found = tx.conn.execute(_select(tx).where(beyond).order_by(*order).limit(_PAGE)).all()
        yield from _digests(tx, found)
        if len(found) < _PAGE:
            return
        last = (found[-1].agent, found[-1].session)


def sessions_with(tx: Tx) -> set[tuple[str, str]]:
    """(agent, session) of all that have a digest and that the scope admits."""
    return {(row[0], row[1]) for row in tx.conn.execute(_of_scope(tx, sa.select(digests.c.agent, digests.c.session)))}


def stale(tx: Tx) -> list[tuple[str, str]]:
    """(agent, session) of the sessions whose digest is missing, of an earlier version, or of other logs, in order."""
    return [(agent, session) for _, agent, session in _stale(tx)]


def overdue(tx: Tx, limit: int) -> list[tuple[str, str]]:
    """In `EVERY_TENANT`, at most so many (tenant, subject) of sessions as `stale` has them."""
    tx.dialect.unhurried(tx.conn)
    found: list[tuple[str, str]] = []
    for tenant, agent, session in _stale(tx):
        found.append((tenant, subject_of(agent, session)))
        if len(found) == limit:
            break
    return found


def size(tx: Tx) -> int:
    """The bytes that the tenant's digests take."""
    # Only one of the engines counts bytes of a text, and only the other casts any text to them.
    body = digests.c.body
    plain = sa.func.length(sa.cast(body, sa.LargeBinary)) if tx.dialect.name == "sqlite" else sa.func.octet_length(body)
    total = sa.select(sa.func.coalesce(sa.func.sum(plain), 0)).where(digests.c.tenant == tx.tenant)
    return int(tx.conn.execute(total).scalar_one())


def _select(tx: Tx) -> sa.Select[*tuple[Any, ...]]:
    return _of_scope(tx, sa.select(digests.c.agent, digests.c.session, digests.c.body))


def _digests(tx: Tx, rows: Iterable[Any]) -> Iterator[Digest]:
    return (_DECODER.decode(body) for _, (body,) in sealed.opened(tx, digests, rows))


def _of_scope(tx: Tx, wanted: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
    wanted = wanted.where(digests.c.tenant == tx.tenant)
    if tx.scope.agent is not None:
        wanted = wanted.where(digests.c.agent == tx.scope.agent)
    return wanted if tx.scope.user is None else wanted.where(digests.c.user == tx.scope.user)


def _stale(tx: Tx) -> Iterator[tuple[str, str, str]]:
    """Sessions with a digest of this version are looked at only where a log of them was read since it was made."""
    same = sa.and_(*(digests.c[name] == origin_rows.c[name] for name in _KEY))
    log = sa.and_(cursors.c.tenant == origin_rows.c.tenant, cursors.c.path == origin_rows.c.path)
    logged = sa.exists().where(*(sessions.c[name] == origin_rows.c[name] for name in _KEY), sessions.c.version > 0)
    right = sa.case((digests.c.version >= DIGEST_VERSION, digests.c.source_hash))
    wanted: sa.Select[*tuple[Any, ...]] = (
        sa.select(*(origin_rows.c[name] for name in _KEY), right)
        .distinct()
        .join_from(origin_rows, digests, same, isouter=True)
        .join(cursors, log, isouter=True)
        .where(
            sa.or_(
                digests.c.version.is_(None), digests.c.version < DIGEST_VERSION, cursors.c.read_at > digests.c.made_at
            )
        )
        .where(
            logged, origin_rows.c.tenant.is_not(None) if tx.scope == EVERY_TENANT else origin_rows.c.tenant == tx.tenant
        )
        .order_by(*(origin_rows.c[name] for name in _KEY))
    )
    for tenant, agent, session, source_hash in tx.conn.execute(wanted).all():
        here = tx.within(Scope(tenant)) if tx.scope == EVERY_TENANT else tx
        if source_hash is None or source_hash != origins.source_hash(here, agent, session):
            yield tenant, agent, session


@lru_cache(maxsize=8)
def _putting(dialect: Dialect) -> Any:
    new = dialect.insert(digests)
    kept = {column.name: new.excluded[column.name] for column in digests.c if column.name not in _KEY}
    return new.on_conflict_do_update(index_elements=_KEY, set_=kept)
