"""Removing a session from every table that holds a word of it or about it."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from carryover.core.job import subject_of
from carryover.store import archive, chunks, counters, cursors, marks, preferences, profiles, queue, repeats
from carryover.store import tiers as tier_store
from carryover.store.coding_tables import digests, evidence, origins, spends
from carryover.store.coding_tables import marks as mark_rows
from carryover.store.persona_tables import noticed, personas_shown
from carryover.store.steps import DIGEST
from carryover.store.store import Tx
from carryover.store.strategy_tables import agent_run_events, strategies, summaries, views
from carryover.store.tables import (
    bodies,
    events,
    findings,
    links,
    sessions,
    snapshots,
    sources,
    tiers,
    turns,
    usages,
    verdicts,
    watermarks,
)

# What may have been made of any of the session's turns, and can be made again of those that are left.
_MADE = (
    *(verdicts, tiers, findings, snapshots, watermarks, digests, evidence),
    *(summaries, views, agent_run_events, personas_shown),
)
_REST = (events, bodies, turns, sessions, mark_rows, spends, origins, strategies, noticed)


def erase(tx: Tx, agent: str, session: str) -> dict[str, int]:
    """Nothing of the session is left; how many rows went, by table. A second call finds nothing and counts zeros.

    What later sessions had closed of its findings goes too; what it had closed of earlier sessions' findings is
    open again. Its usage stays on the account, without naming it. Of a coding session every log goes that held it,
    whatever else it held, and is not read again.
    """
    # Jobs before counters, as everywhere: two that lock in one order never wait for each other.
    jobs = queue.cancel(tx, subject_of(agent, session))
    repeats.spend(tx, agent, session)
    logs = _logs(tx, agent, session)
    users = preferences.users_of(tx, agent, session)
    for user in users:
        profiles.touch(tx, user)  # before their preferences, as everywhere
    counts = _made(tx, agent, session)
    counts["preferences"] = preferences.erase_session(tx, agent, session)
    for table in _REST:
        counts[table.name] = _delete(tx, table, _here(table, agent, session))
    for user in users:
        profiles.unsettle(tx, user)
    counts |= logs
    counts["jobs"] = jobs
    unnamed = usages.update().where(usages.c.tenant == tx.tenant, _here(usages, agent, session)).values(session="")
    counts["usages"] = tx.conn.execute(unnamed).rowcount
    counters.bump(tx, "erasures")
    return counts


def unmake(tx: Tx, agent: str, session: str, gone: Iterable[int]) -> dict[str, int]:
    """Nothing is left that was made of the session's turns, though they are; how many rows went, by table.

    Of the preferences that were noticed in it those go that were said in the turns `gone`. Whoever is at work on any
    of it saves nothing.
    """
    jobs = queue.cancel(tx, subject_of(agent, session))
    said = preferences.said_in(tx, agent, session, gone)
    users = sorted(set(said.values()))
    for user in users:
        profiles.touch(tx, user)
    counts = _made(tx, agent, session)
    preferences.drop(tx, list(said))
    for user in users:
        profiles.unsettle(tx, user)
    counters.bump(tx, "erasures")
    return counts | {"preferences": len(said), "jobs": jobs}


def counted(tx: Tx, agent: str, session: str) -> dict[str, int]:
    """How many rows `erase` would take, by table; those that only lose the session's name are not among them."""
    doomed = [*_quoted(tx, agent, session), *((table, _here(table, agent, session)) for table in (*_MADE, *_REST))]
    counts = {table.name: _count(tx, table, which) for table, which in doomed}
    return counts | {
        "chunks": len(chunks.of_session(tx, agent, session)),
        "preferences": preferences.count_session(tx, agent, session),
    }


def _made(tx: Tx, agent: str, session: str) -> dict[str, int]:
    _reopen(tx, agent, session)
    tier_store.unfold(tx, agent, session)
    counts = dict(chunks.erase(tx, agent, session))
    for table, which in _quoted(tx, agent, session):
        counts[table.name] = _delete(tx, table, which)
    for table in _MADE:
        counts[table.name] = _delete(tx, table, _here(table, agent, session))
    return counts


def _quoted(tx: Tx, agent: str, session: str) -> list[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """What others may have written of the session's findings, and those of others that quote it."""
    own = sa.select(findings.c.id).where(findings.c.tenant == tx.tenant, _here(findings, agent, session))
    return [(table, sa.or_(_here(table, agent, session), table.c.finding.in_(own))) for table in (sources, links)]


def _logs(tx: Tx, agent: str, session: str) -> dict[str, int]:
    """The logs that hold the session are erased; other sessions that shared them, or its steps, are digested anew."""
    mine, theirs = origins.alias("mine"), origins.alias("theirs")
    here = (mine.c.tenant == tx.tenant, mine.c.agent == agent, mine.c.session == session)
    paths = tx.conn.execute(sa.select(mine.c.path).where(*here).order_by(mine.c.path)).scalars().all()
    shared = sa.select(theirs.c.agent, theirs.c.session, mine.c.path).join(
        mine, sa.and_(theirs.c.tenant == mine.c.tenant, theirs.c.path == mine.c.path)
    )
    found = {tuple(row) for row in tx.conn.execute(shared.where(*here)) if (row[0], row[1]) != (agent, session)}
    others = {(row[0], row[1]) for row in found}
    due = sorted(subject_of(*other) for other in others | set(marks.sharers(tx, agent, session)))
    queue.arm(tx, [(DIGEST, subject, tx.now) for subject in due], push=False)
    # A log of others is read again, for them; but the name of a log mostly names a session, and then it goes as well.
    left = {path for *_, path in found if session not in path}
    doomed = [path for path in paths if path not in left]
    for path in doomed:
        there = (origins.c.tenant == tx.tenant, origins.c.path == path)
        tx.conn.execute(origins.update().where(*there).values(path=cursors.buried(path)))
    if paths:
        cursors.bury(tx, agent, session)
    gone = cursors.erase(tx, doomed) + sum(cursors.restart(tx, path) for path in sorted(left))
    return {**archive.erase(tx, paths), "cursors": gone}


def _reopen(tx: Tx, agent: str, session: str) -> None:
    """The sessions whose findings this one had closed are indexed again: those findings can be found from now on."""
    closed = (
        sa.select(findings.c.agent, findings.c.session)
        .join(links, sa.and_(links.c.tenant == findings.c.tenant, links.c.finding == findings.c.id))
        .where(links.c.tenant == tx.tenant, findings.c.tenant == tx.tenant, _here(links, agent, session))
        .distinct()
    )
    tier_store.retell(tx, [(row[0], row[1]) for row in tx.conn.execute(closed)])


def _delete(tx: Tx, table: sa.Table, which: sa.ColumnElement[bool]) -> int:
    return tx.conn.execute(table.delete().where(table.c.tenant == tx.tenant, which)).rowcount


def _count(tx: Tx, table: sa.Table, which: sa.ColumnElement[bool]) -> int:
    counted = sa.select(sa.func.count()).select_from(table).where(table.c.tenant == tx.tenant, which)
    return tx.conn.execute(counted).scalar_one()


def _here(table: sa.Table, agent: str, session: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.agent == agent, table.c.session == session)
