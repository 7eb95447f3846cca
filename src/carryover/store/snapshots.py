"""Snapshots and their findings: every version stays readable as it was.

A row of `findings` is one state of a finding and belongs to the snapshots `since` <= version < `until`.
Closings by a later session are kept apart, in `links`, and laid over a finding when it is read as of now.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, cast

import sqlalchemy as sa

from carryover.core.errors import DataLoss, NotFound
from carryover.core.snapshot import Finding, FindingStatus, Snapshot, Theme
from carryover.core.text import canonical_json
from carryover.store import sealed, states, tiers
from carryover.store.parts import parts
from carryover.store.states import findings_of
from carryover.store.store import Tx
from carryover.store.tables import findings, links, snapshots


@dataclass(frozen=True, slots=True)
class Link:
    """A finding of another session that this one closed."""

    finding_id: str
    status: FindingStatus
    superseded_by: str | None
    reason: str


def add(
    tx: Tx, snapshot: Snapshot, *, user: str | None, links_made: Sequence[Link] = (), left: Sequence[Finding] = ()
) -> None:
    """The snapshot is the newest of its session; findings that it no longer holds ended with the one before.

    What `left` it for want of room keeps a state that belongs to no snapshot, where it has none yet.

    Raises DataLoss when its version does not follow the last one, or a finding has no source inside `1..through`.
    """
    _check(tx, snapshot)
    before = {f.id: f for f in _as_of(tx, snapshot.agent_id, snapshot.session_id)}
    after = {f.id: f for f in snapshot.findings}
    head = {
        "tenant": tx.tenant,
        "agent": snapshot.agent_id,
        "session": snapshot.session_id,
        "version": snapshot.version,
        "user": user,
        "through": snapshot.through,
        "created_at": snapshot.created_at,
        "by": snapshot.by,
        "summary": snapshot.summary,
        "extractor": snapshot.extractor,
        "themes": canonical_json([[theme.text, theme.count] for theme in snapshot.themes]),
    }
    for row in sealed.closed(tx, snapshots, [head]):
        tx.conn.execute(sa.insert(snapshots), row)
    changed = [f for f in snapshot.findings if _state(before.get(f.id)) != _state(f)]
    ended = [id for id, old in before.items() if id not in after or _state(after[id]) != _state(old)]
    _end(tx, ended, snapshot.version)
    apart = [f for f in left if _state(before.get(f.id)) != _state(f)]
    states.add(tx, snapshot, user, changed, None)
    states.add(tx, snapshot, user, apart, snapshot.version)
    states.add_sources(tx, snapshot, [*changed, *apart])
    _link(tx, snapshot, links_made)


def latest(tx: Tx, agent: str, session: str) -> Snapshot | None:
    """The newest snapshot of a session, None before the first."""
    newest = _heads(tx).where(snapshots.c.agent == agent, snapshots.c.session == session)
    rows = tx.conn.execute(newest.order_by(snapshots.c.version.desc()).limit(1))
    head = next(heads_of(tx, rows), None)
    return None if head is None else replace(head[1], findings=tuple(_as_of(tx, agent, session)))


def get(tx: Tx, agent: str, session: str, version: int) -> Snapshot:
    """One version. Raises NotFound when the session has none of that number."""
    wanted = _heads(tx).where(
        snapshots.c.agent == agent, snapshots.c.session == session, snapshots.c.version == version
    )
    head = next(heads_of(tx, tx.conn.execute(wanted)), None)
    if head is None:
        raise NotFound(f"session {session!r} has no snapshot {version}; list its snapshots and choose one")
    return replace(head[1], findings=tuple(_as_of(tx, agent, session, version)))


def listed(tx: Tx, agent: str, session: str, *, limit: int = 100, before: int | None = None) -> list[Snapshot]:
    """Newest first, without their findings."""
    wanted = _heads(tx).where(snapshots.c.agent == agent, snapshots.c.session == session)
    if before is not None:
        wanted = wanted.where(snapshots.c.version < before)
    rows = tx.conn.execute(wanted.order_by(snapshots.c.version.desc()).limit(limit))
    return [head for _, head in heads_of(tx, rows)]


def newest_of(
    tx: Tx, *, agent: str | None, user: str | None, any_user: bool = False, limit: int = 200
) -> list[tuple[str, str, int, int, int]]:
    """(agent, session, version, through, created_at) of the newest snapshots of the sessions in reach, newest first.

    `agent` None reaches over all agents. `user` None means sessions that name no user, unless `any_user`.
    """
    mine = [snapshots.c.tenant == tx.tenant]
    mine += [snapshots.c.agent == only for only in (agent, tx.scope.agent) if only is not None]
    if not any_user:
        mine.append(snapshots.c.user.is_not_distinct_from(user))
    if tx.scope.user is not None:
        mine.append(snapshots.c.user == tx.scope.user)
    newest = (
        sa.select(
            snapshots.c.agent,
            snapshots.c.session,
            sa.func.max(snapshots.c.version).label("version"),
            sa.func.max(snapshots.c.through).label("through"),
            sa.func.max(snapshots.c.created_at).label("created_at"),
        )
        .where(*mine)
        .group_by(snapshots.c.agent, snapshots.c.session)
        .order_by(sa.desc("created_at"), snapshots.c.session)
        .limit(limit)
    )
    return [cast("tuple[str, str, int, int, int]", tuple(row)) for row in tx.conn.execute(newest)]


def live(tx: Tx, keys: Sequence[tuple[str, str]]) -> list[Finding]:
    """What is told of these (agent, session) pairs one by one, each in its tier, and nothing has closed since.

    Oldest first.
    """
    rows = [row for agent, named in _by_agent(keys) for row in tiers.told(tx, agent, named)]
    compressed = tiers.texts(tx, [row for row in rows if row.tier == "compressed"])
    return [
        replace(f, text=compressed[f.id], sources=f.sources[:1]) if f.id in compressed else f
        for f in _current(tx, rows)
    ]


def closable(tx: Tx, keys: Sequence[tuple[str, str]], *, agent: str | None, user: str | None) -> list[Finding]:
    """What later turns may close: the live findings of these pairs, whatever their tier, and what gists tell.

    As they were found, oldest first.
    """
    now = sa.select(findings).where(
        findings.c.tenant == tx.tenant, findings.c.until.is_(None), findings.c.status.in_(tiers.LIVE)
    )
    rows: list[Any] = []
    for owner, named in _by_agent(keys):
        rows += tx.conn.execute(now.where(findings.c.agent == owner, findings.c.session.in_(named))).all()
    rows += tiers.in_gists(tx, agent, user)
    return _current(tx, list({row.id: row for row in rows}.values()))


def wishes(tx: Tx, agent: str | None, user: str | None, *, limit: int = 500) -> list[Finding]:
    """The newest pinned findings of the user (agent None: with all that the scope admits), however old."""
    agent = tx.scope.agent or agent
    pinned = sa.select(findings).where(
        findings.c.tenant == tx.tenant,
        findings.c.user.is_(None) if user is None else findings.c.user == user,
        findings.c.pinned,
        sa.func.coalesce(findings.c.until, 0) == 0,  # not in the words of the index of all findings of a user
        findings.c.status.in_(tiers.LIVE),
    )
    if agent is not None:
        pinned = pinned.where(findings.c.agent == agent)
    return _current(tx, tx.conn.execute(pinned.order_by(findings.c.learned_at.desc()).limit(limit)).all())


def finding(tx: Tx, id: str) -> Finding:
    """The finding as it is known now. Raises NotFound when it does not exist in the scope."""
    newest = (
        sa.select(findings)
        .where(findings.c.tenant == tx.tenant, findings.c.id == id)
        .order_by(findings.c.since.desc())
        .limit(1)
    )
    row = tx.conn.execute(newest).first()
    if row is None or not tx.scope.admits(row.agent, row.user):
        raise _missing(id)
    known = next(iter(findings_of(tx, [row])), None)
    if known is None:
        raise _missing(id)
    link = _links_of(tx, [id]).get(id)
    if link is not None and known.live:
        known = replace(known, status=link.status, superseded_by=link.superseded_by, reason=link.reason)
    return known


def _missing(id: str) -> NotFound:
    return NotFound(f"finding {id!r} does not exist here; take an id from a search or a snapshot")


def ended_elsewhere(tx: Tx, ids: Sequence[str]) -> frozenset[str]:
    """Those of the findings that a session other than their own has closed."""
    return frozenset(_links_of(tx, ids))


def replaced_by(tx: Tx, id: str) -> list[Finding]:
    """The findings that this one superseded, oldest first."""
    own = sa.select(findings.c.id).where(findings.c.tenant == tx.tenant, findings.c.superseded_by == id)
    theirs = sa.select(links.c.finding).where(links.c.tenant == tx.tenant, links.c.superseded_by == id)
    ids = sorted({row[0] for row in tx.conn.execute(own.union(theirs))})
    return sorted((finding(tx, other) for other in ids), key=lambda f: (f.learned_at, f.id))


def _check(tx: Tx, snapshot: Snapshot) -> None:
    last = sa.select(sa.func.max(snapshots.c.version)).where(
        snapshots.c.tenant == tx.tenant,
        snapshots.c.agent == snapshot.agent_id,
        snapshots.c.session == snapshot.session_id,
    )
    if (tx.conn.execute(last).scalar() or 0) + 1 != snapshot.version:
        raise DataLoss(
            f"snapshot {snapshot.version} does not follow the last one of {snapshot.session_id!r}; consolidate again"
        )
    for f in snapshot.findings:
        inside = [
            s for s in f.sources if s.session_id != snapshot.session_id or 1 <= s.first <= s.last <= snapshot.through
        ]
        if not f.sources or len(inside) < len(f.sources):
            raise DataLoss(
                f"finding {f.id!r} has no source inside turns 1 to {snapshot.through}; "
                "an extractor must cite the turns it read"
            )


def _state(f: Finding | None) -> tuple[object, ...]:
    return () if f is None else _CHANGING(f)


_CHANGING = attrgetter(
    "text", "status", "subject", "salience", "pinned", "valid_from", "valid_to", "superseded_by", "reason", "sources"
)


def _end(tx: Tx, ids: Sequence[str], version: int) -> None:
    for part in parts(ids):
        tx.conn.execute(
            findings.update()
            .where(findings.c.tenant == tx.tenant, findings.c.id.in_(part), findings.c.until.is_(None))
            .values(until=version)
        )


def _link(tx: Tx, snapshot: Snapshot, made: Sequence[Link]) -> None:
    rows = [
        {
            "tenant": tx.tenant,
            "finding": link.finding_id,
            "agent": snapshot.agent_id,
            "session": snapshot.session_id,
            "status": link.status,
            "superseded_by": link.superseded_by,
            "at": snapshot.created_at,
            "reason": link.reason,
        }
        for link in made
    ]
    if rows := sealed.closed(tx, links, rows):
        key = ["tenant", "finding", "agent", "session"]
        tx.conn.execute(tx.insert(links).on_conflict_do_nothing(index_elements=key), rows)


def _heads(tx: Tx) -> sa.Select[Any]:
    return cast("sa.Select[Any]", sa.select(snapshots).where(snapshots.c.tenant == tx.tenant))


def heads_of(tx: Tx, rows: Iterable[Any]) -> Iterator[tuple[Any, Snapshot]]:
    """Each row with its snapshot, without the findings."""
    for row, (summary, said) in sealed.opened(tx, snapshots, rows):
        themes = tuple(Theme(text, count) for text, count in json.loads(said))
        head = Snapshot(row.session, row.agent, row.version, row.through, row.created_at, row.by, summary)
        yield row, replace(head, extractor=row.extractor, themes=themes)


def _as_of(tx: Tx, agent: str, session: str, version: int | None = None) -> list[Finding]:
    """The findings of a version; None is the newest, which is read without looking at the states of all others."""
    here = sa.select(findings).where(
        findings.c.tenant == tx.tenant, findings.c.agent == agent, findings.c.session == session
    )
    if version is None:
        here = here.where(findings.c.until.is_(None))
    else:
        here = here.where(findings.c.since <= version, sa.or_(findings.c.until.is_(None), findings.c.until > version))
    rows = tx.conn.execute(here).all()
    return sorted(findings_of(tx, rows, version), key=lambda f: (f.learned_at, f.id))


def _by_agent(keys: Sequence[tuple[str, str]]) -> list[tuple[str, Sequence[str]]]:
    """Sessions agent by agent: a list of pairs would find its rows by no index."""
    named: dict[str, list[str]] = {}
    for agent, session in keys:
        named.setdefault(agent, []).append(session)
    return [(agent, part) for agent, sessions in named.items() for part in parts(sessions)]


def _current(tx: Tx, rows: Sequence[Any]) -> list[Finding]:
    """The findings of these rows that no other session has closed, oldest first."""
    closed = _links_of(tx, [row.id for row in rows])
    current = [row for row in rows if row.id not in closed]
    return sorted(findings_of(tx, current), key=lambda f: (f.learned_at, f.id))


def _links_of(tx: Tx, ids: Sequence[str]) -> dict[str, Link]:
    found: dict[str, Link] = {}
    for part in parts(ids):
        wanted = sa.select(links).where(links.c.tenant == tx.tenant, links.c.finding.in_(part)).order_by(links.c.at)
        for row, (reason,) in sealed.opened(tx, links, tx.conn.execute(wanted)):
            found.setdefault(row.finding, Link(row.finding, row.status, row.superseded_by, reason))
    return found
