"""What retention decides on: every archived log, what it takes, and whether all that was read of it is digested."""

from __future__ import annotations

import sqlalchemy as sa

from carryover.core.budget import TIERS, Held
from carryover.core.digest import DIGEST_VERSION
from carryover.core.step import FLAVORS, uid
from carryover.store import origins
from carryover.store.coding_tables import cursors, digests, pieces, segments
from carryover.store.coding_tables import origins as origin_rows
from carryover.store.store import Tx
from carryover.store.tables import sessions

_BYTES_A_TOKEN, _BYTES_A_TURN = 4, 600  # of what is said in a turn, and of what else is kept of it


def held(tx: Tx) -> list[Held]:
    """Every generation of every archived log of the tenant."""
    ranks = sa.case(*((pieces.c.tier == tier, n) for n, tier in enumerate(TIERS)), else_=0)
    bytes = sa.func.sum(sa.func.coalesce(segments.c.packed, 0))
    same = sa.and_(segments.c.tenant == pieces.c.tenant, segments.c.hash == pieces.c.hash)
    wanted = (
        sa.select(pieces.c.path, pieces.c.generation, bytes, sa.func.min(ranks))
        .join_from(pieces, segments, same, isouter=True)
        .where(pieces.c.tenant == tx.tenant)
        .group_by(pieces.c.path, pieces.c.generation)
    )
    known = sa.select(cursors.c.path, cursors.c.flavor, cursors.c.mtime, cursors.c.generation)
    logs = {row.path: row for row in tx.conn.execute(known.where(cursors.c.tenant == tx.tenant))}
    digested = _digested(tx)
    found: list[Held] = []
    for path, generation, size, rank in tx.conn.execute(wanted):
        log = logs.get(path)
        flavor, at, newest = ("", 0, generation) if log is None else (log.flavor, log.mtime // 10**6, log.generation)
        old = generation < newest
        found.append(Held(path, generation, flavor, at, int(size), TIERS[int(rank)], path in digested, old))
    return found


def is_digested(tx: Tx, path: str) -> bool:
    """Whether each session in the log has a digest of all that was read of its logs; a log without sessions has not."""
    found = sessions_of(tx, path)
    for agent, session in found:
        wanted = sa.select(digests.c.version, digests.c.source_hash).where(
            digests.c.tenant == tx.tenant, digests.c.agent == agent, digests.c.session == session
        )
        row = tx.conn.execute(wanted).first()
        if row is None or row.version < DIGEST_VERSION or row.source_hash != origins.source_hash(tx, agent, session):
            return False
    return bool(found)


def sessions_of(tx: Tx, path: str) -> list[tuple[str, str]]:
    """(agent, session) of the sessions that the log holds something of."""
    return [(agent, session) for agent, session, _ in origins.of_path(tx, path)]


def logged(tx: Tx) -> int:
    """About how many bytes the turns of coding sessions take."""
    wanted = sa.select(
        sa.func.coalesce(sa.func.sum(sessions.c.tokens), 0), sa.func.coalesce(sa.func.sum(sessions.c.version), 0)
    )
    tokens, turns = tx.conn.execute(wanted.where(sessions.c.tenant == tx.tenant, sessions.c.agent.in_(FLAVORS))).one()
    return int(tokens) * _BYTES_A_TOKEN + int(turns) * _BYTES_A_TURN


def _digested(tx: Tx) -> set[str]:
    """The logs that `is_digested` holds of, found for all at once."""
    known = sa.select(cursors.c.path, cursors.c.content).where(cursors.c.tenant == tx.tenant)
    read = {row.path: row.content for row in tx.conn.execute(known)}
    by_session: dict[tuple[str, str], set[str]] = {}
    wanted = sa.select(origin_rows.c.agent, origin_rows.c.session, origin_rows.c.path)
    for agent, session, path in tx.conn.execute(wanted.where(origin_rows.c.tenant == tx.tenant)):
        by_session.setdefault((agent, session), set()).add(path)
    made = sa.select(digests.c.agent, digests.c.session, digests.c.source_hash)
    made = made.where(digests.c.tenant == tx.tenant, digests.c.version >= DIGEST_VERSION)
    hashes = {(row.agent, row.session): row.source_hash for row in tx.conn.execute(made)}
    good, bad = set[str](), set[str]()
    for key, paths in by_session.items():
        contents = sorted({read[path] for path in paths if path in read})
        (good if hashes.get(key) == uid(*contents) else bad).update(paths)
    return good - bad
