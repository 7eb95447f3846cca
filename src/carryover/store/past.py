"""Memory as it was at an earlier moment: what had been said by then, and had not been ended by anything said by then.

Moments are those at which turns were said, not those at which a snapshot was made of them: an old log that was
imported today has a past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from carryover.core.clock import Time
from carryover.core.snapshot import Finding
from carryover.store.parts import parts
from carryover.store.states import findings_of
from carryover.store.store import Tx
from carryover.store.tables import findings, links, sessions, turns
from carryover.store.tables import snapshots as heads

MOST = 50

Key = tuple[str, str]  # agent, session


def begun(tx: Tx, agent: str | None, user: str | None, at: Time) -> list[Key]:
    """The 50 sessions of this user (None: that name no user) that had begun by then, the last to begin first.

    `agent` None reaches over all agents that the scope admits.
    """
    agent, user = tx.scope.agent or agent, tx.scope.user or user
    first = [turns.c[name] == sessions.c[name] for name in ("tenant", "agent", "session")]
    wanted = (
        sa.select(sessions.c.agent, sessions.c.session)
        .join(turns, sa.and_(*first, turns.c.seq == 1))
        .where(sessions.c.tenant == tx.tenant, turns.c.tenant == tx.tenant)
        .where(sessions.c.user.is_not_distinct_from(user), turns.c.created_at <= at)
        .order_by(turns.c.created_at.desc(), sessions.c.agent, sessions.c.session)
        .limit(MOST)
    )
    wanted = wanted if agent is None else wanted.where(sessions.c.agent == agent)
    return [(row.agent, row.session) for row in tx.conn.execute(wanted)]


def known(tx: Tx, keys: Sequence[Key], at: Time) -> tuple[list[Finding], list[Finding]]:
    """The findings of these sessions that held at that time, as they read then, and those that had ended by then."""
    newest: dict[str, Any] = {}
    for agent, part in _by_agent(keys):
        here = findings.c.tenant == tx.tenant, findings.c.agent == agent, findings.c.session.in_(part)
        wanted = sa.select(findings).where(*here, findings.c.learned_at <= at).order_by(findings.c.since)
        newest |= {row.id: row for row in tx.conn.execute(wanted)}
    ends = _ended(tx, list(newest.values()))
    ended = {id for id, end in ends.items() if end <= at}
    found = sorted(findings_of(tx, list(newest.values())), key=lambda f: (f.learned_at, f.id))
    return [_as_it_was(f) for f in found if f.id not in ended], [f for f in found if f.id in ended]


def versions(tx: Tx, keys: Sequence[Key], at: Time) -> list[tuple[str, str, int]]:
    """(agent, session, version) of the newest snapshots of these sessions of which every turn had been said."""
    found: list[tuple[str, str, int]] = []
    for agent, part in _by_agent(keys):
        said = [turns.c[name] == heads.c[name] for name in ("tenant", "agent", "session")]
        wanted = (
            sa.select(heads.c.session, sa.func.max(heads.c.version))
            .join(turns, sa.and_(*said, turns.c.seq == heads.c.through))
            .where(heads.c.tenant == tx.tenant, turns.c.tenant == tx.tenant)
            .where(heads.c.agent == agent, heads.c.session.in_(part), turns.c.created_at <= at)
            .group_by(heads.c.session)
        )
        found += [(agent, row[0], row[1]) for row in tx.conn.execute(wanted)]
    return found


def _by_agent(keys: Sequence[Key]) -> list[tuple[str, list[str]]]:
    named: dict[str, list[str]] = {}
    for agent, session in keys:
        named.setdefault(agent, []).append(session)
    return [(agent, list(part)) for agent, named_here in named.items() for part in parts(named_here)]


def _ended(tx: Tx, rows: Sequence[Any]) -> dict[str, Time]:
    """When each of these findings ended, for those that did: with what replaced it, if anything did."""
    ends: dict[str, tuple[str | None, Time]] = {
        row.id: (row.superseded_by, row.learned_at if row.valid_to is None else row.valid_to)
        for row in rows
        if row.status in _ENDED
    }
    for part in parts([row.id for row in rows if row.id not in ends]):
        wanted = sa.select(links).where(links.c.tenant == tx.tenant, links.c.finding.in_(part))
        for row in tx.conn.execute(wanted.order_by(links.c.at.desc())):
            ends[row.finding] = (row.superseded_by, row.at)
    said: dict[str, Time] = {}
    for part in parts(sorted({by for by, _ in ends.values() if by})):
        wanted = sa.select(findings.c.id, findings.c.learned_at)
        rows = tx.conn.execute(wanted.where(findings.c.tenant == tx.tenant, findings.c.id.in_(part))).all()
        said |= {row.id: row.learned_at for row in rows}
    return {id: said.get(by or "", otherwise) for id, (by, otherwise) in ends.items()}


_ENDED = ("done", "superseded")


def _as_it_was(finding: Finding) -> Finding:
    if finding.live:
        return finding
    status = "open" if finding.kind == "task" else "active"
    return replace(finding, status=status, valid_to=None, superseded_by=None, reason=None)
