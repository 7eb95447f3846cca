"""Tiers: how much of a finding is told as of now, kept beside the findings, whose states never change.

A row is about one state of a finding: said again, it has a new state and is told in full. Findings that left their
snapshot for want of room have a row as well, which is how they can be told again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from carryover.core.tier import Gist, Held, Step, TierCounts
from carryover.store import counters, queue, sealed, sessions
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import findings, links, sources, tiers, turns, watermarks

LIVE = ("open", "active")
LONGEST_GIST = 300  # characters; what is beyond it is told by no gist
_PIECES = 400  # read for all gists together

_STATE = sa.and_(
    tiers.c.tenant == findings.c.tenant, tiers.c.finding == findings.c.id, tiers.c.since == findings.c.since
)
_later, _said = findings.alias("later"), sources.alias("said")
_NEWEST = ~sa.exists().where(
    _later.c.tenant == findings.c.tenant, _later.c.id == findings.c.id, _later.c.since > findings.c.since
)
_OPEN = ~sa.exists().where(links.c.tenant == findings.c.tenant, links.c.finding == findings.c.id)
_TOLD = sa.or_(tiers.c.tier.is_(None), tiers.c.tier != "summarised")
_SHOWN = tiers.c.text != sa.literal_column("''")  # in the words of its index
_IN_PLAY = sa.or_(tiers.c.text.is_(None), _SHOWN)


def put(tx: Tx, steps: Sequence[Step], *, user: str | None) -> None:
    """The findings are told as the steps say, once their sessions are indexed again; what each freed adds up.

    Those of a session that is gone by now are not told at all.
    """
    there = sessions.find(tx, list({(step.agent_id, step.session_id): None for step in steps})) if steps else {}
    steps = [step for step in steps if (step.agent_id, step.session_id) in there]
    if not steps:
        return
    fixed = {"tenant": tx.tenant, "user": user}
    rows = [
        {
            "finding": step.id,
            "since": step.since,
            "agent": step.agent_id,
            "session": step.session_id,
            "tier": step.tier,
            "text": step.text,
            "period": step.period,
            "twin": step.twin,
            "at": step.at,
            "freed": step.freed,
            **fixed,
        }
        for step in sorted(steps, key=lambda step: (step.id, step.since))
    ]
    new = tx.insert(tiers)
    state = {name: new.excluded[name] for name in ("tier", "text", "period", "twin", "at")}
    freed = tiers.c.freed + new.excluded.freed
    tx.conn.execute(
        new.on_conflict_do_update(index_elements=["tenant", "finding", "since"], set_={**state, "freed": freed}),
        sealed.closed(tx, tiers, rows),
    )
    retell(tx, {(step.agent_id, step.session_id) for step in steps})
    counters.bump(tx, "tiers")


def retell(tx: Tx, keys: Iterable[tuple[str, str]]) -> None:
    """The findings of these (agent, session) pairs are indexed again, as they are told now."""
    named = sorted(keys)
    queue.arm(tx, [("index", f"{agent}/{session}", tx.now) for agent, session in named], push=False)
    for agent, session in named:
        tx.conn.execute(
            watermarks.update()
            .where(watermarks.c.tenant == tx.tenant, watermarks.c.agent == agent, watermarks.c.session == session)
            .values(snapshot=0)
        )


def restore(tx: Tx, agent: str, session: str | None = None, *, user: str | None = None) -> int:
    """All findings of the session (None: of the user with the agent) are told in full; how many were not.

    They count as said now, so that they are not the first to go again.
    """
    here = _of_pool(tiers, tx, agent, user) if session is None else _of_session(tiers, tx, agent, session)
    lowered = sa.select(findings, tiers.c.freed, tiers.c.user.label("whose")).join_from(findings, tiers, _STATE)
    rows = tx.conn.execute(lowered.where(*here, tiers.c.tier != "full", _NEWEST, _OPEN, findings.c.status.in_(LIVE)))
    by_user: dict[str | None, list[Step]] = {}
    for row, (text,) in sealed.opened(tx, findings, rows, "text"):
        step = Step(row.id, row.since, row.agent, row.session, "full", text, tx.now, -row.freed)
        by_user.setdefault(row.whose, []).append(step)
    for whose, steps in by_user.items():
        put(tx, steps, user=whose)
    return sum(map(len, by_user.values()))


def unfold(tx: Tx, agent: str, session: str) -> None:
    """What was told by findings of this session alone is told by itself again: the session is about to go."""
    own = sa.select(findings.c.id).where(*_of_session(findings, tx, agent, session))
    rows = tx.conn.execute(
        sa.delete(tiers)
        .where(tiers.c.tenant == tx.tenant, tiers.c.twin.in_(own))
        .returning(tiers.c.agent, tiers.c.session)
    )
    retell(tx, {(row[0], row[1]) for row in rows} - {(agent, session)})


def told(tx: Tx, agent: str, named: Sequence[str]) -> list[Any]:
    """The live states of findings of these sessions that are told one by one, each with its `tier` and `told`."""
    wanted = sa.select(findings, tiers.c.tier, tiers.c.text.label("told"))
    now = wanted.join_from(findings, tiers, _STATE, isouter=True).where(
        findings.c.tenant == tx.tenant,
        findings.c.agent == agent,
        findings.c.session.in_(named),
        findings.c.until.is_(None),
        findings.c.status.in_(LIVE),
        _TOLD,
    )
    # Restored, though their snapshot had no room for them.
    apart = wanted.join_from(tiers, findings, _STATE).where(
        tiers.c.tenant == tx.tenant,
        tiers.c.agent == agent,
        tiers.c.session.in_(named),
        tiers.c.tier.in_(("full", "compressed")),
        findings.c.until.is_not(None),
        findings.c.status.in_(LIVE),
        _NEWEST,
    )
    return [*tx.conn.execute(now), *tx.conn.execute(apart)]


def in_gists(tx: Tx, agent: str | None, user: str | None, session: str | None = None) -> list[Any]:
    """The states of findings that gists tell (agent None: of all that the scope admits), each with `told`, `period`.

    The newest periods first; at most 400.
    """
    agent = tx.scope.agent or agent
    wanted = sa.select(findings, tiers.c.text.label("told"), tiers.c.period).join_from(tiers, findings, _STATE)
    wanted = wanted.where(*_of_pool(tiers, tx, agent, user), _SHOWN, tiers.c.tier == "summarised", _NEWEST, _OPEN)
    if session is not None:
        wanted = wanted.where(tiers.c.session == session)
    ordered = wanted.where(findings.c.status.in_(LIVE)).order_by(tiers.c.period.desc(), findings.c.learned_at.desc())
    return list(tx.conn.execute(ordered.order_by(findings.c.id).limit(_PIECES)))


def gists(tx: Tx, agent: str | None, user: str | None, session: str | None = None) -> list[Gist]:
    """What is told of summarised findings, the newest period first; none is longer than 300 characters."""
    made: dict[str, list[tuple[str, str]]] = {}
    rows = in_gists(tx, agent, user, session)
    said = texts(tx, rows)
    for row in (row for row in rows if row.id in said):
        pieces = made.setdefault(row.period, [])
        if len(Gist(row.period, (*pieces, (row.id, said[row.id]))).text) <= LONGEST_GIST:
            pieces.append((row.id, said[row.id]))
    return [Gist(period, tuple(reversed(pieces))) for period, pieces in made.items() if pieces]


def held(tx: Tx, agent: str, user: str | None) -> list[Held]:
    """The live findings of the user with the agent that memory tells, in whatever tier."""
    said = sa.select(sa.func.count()).where(_said.c.tenant == findings.c.tenant, _said.c.finding == findings.c.id)
    at = (
        sa.select(sa.func.max(turns.c.created_at))
        .where(
            *(getattr(turns.c, name) == getattr(_said.c, name) for name in ("tenant", "agent", "session")),
            turns.c.seq == _said.c.last,
        )
        .where(_said.c.tenant == findings.c.tenant, _said.c.finding == findings.c.id)
    )
    wanted = sa.select(
        *(findings.c[name] for name in ("id", "since", "agent", "session", "kind", "text", "salience", "pinned")),
        said.correlate(findings).scalar_subquery(),
        sa.func.coalesce(tiers.c.at, at.correlate(findings).scalar_subquery(), findings.c.learned_at),
        sa.func.coalesce(tiers.c.tier, "full"),
        tiers.c.text.label("told"),
        sa.func.coalesce(tiers.c.period, ""),
    ).where(findings.c.status.in_(LIVE), _OPEN)
    now = wanted.join_from(findings, tiers, _STATE, isouter=True).where(
        *_of_pool(findings, tx, agent, user), findings.c.until.is_(None), _IN_PLAY
    )
    apart = wanted.join_from(tiers, findings, _STATE).where(
        *_of_pool(tiers, tx, agent, user), _SHOWN, findings.c.until.is_not(None), _NEWEST
    )
    rows = [row for query in (now, apart) for row in tx.conn.execute(query)]
    return list(_held(tx, rows))


def _held(tx: Tx, rows: Sequence[Any]) -> Iterator[Held]:
    said = texts(tx, [row for row in rows if row.told is not None])
    for row, (text,) in sealed.opened(tx, findings, rows, "text"):
        id, since, agent, session, kind, _, salience, pinned, times, at, tier, _, period = row
        told_now = said.get(id, str(text))
        yield Held(id, since, agent, session, kind, text, salience, pinned, times, at, tier, told_now, period)


def texts(tx: Tx, rows: Sequence[Any]) -> dict[str, str]:
    """How states of findings are told, by finding; each row has `id` and `since`, and as `told` what is kept of it."""
    places = [sealed.place(tiers, "text", {"finding": row.id, "since": row.since}) for row in rows]
    found = tx.opened_all([(place, row.told) for place, row in zip(places, rows, strict=True)])
    return {row.id: text for row, text in zip(rows, found, strict=True) if text is not None}


def newest_states(tx: Tx, ids: Sequence[str]) -> dict[str, int]:
    """The number of the newest state of each of these findings."""
    found: dict[str, int] = {}
    for part in parts(ids):
        wanted = sa.select(findings.c.id, sa.func.max(findings.c.since)).where(
            findings.c.tenant == tx.tenant, findings.c.id.in_(part)
        )
        found |= {row[0]: row[1] for row in tx.conn.execute(wanted.group_by(findings.c.id))}
    return found


def tally(tx: Tx) -> TierCounts:
    """How the tenant's live findings stand."""
    tier = sa.func.coalesce(tiers.c.tier, "full")
    here = (findings.c.tenant == tx.tenant, findings.c.status.in_(LIVE), _OPEN)
    wanted = sa.select(tier, sa.func.count(), sa.func.coalesce(sa.func.sum(tiers.c.freed), 0)).group_by(tier)
    now = wanted.join_from(findings, tiers, _STATE, isouter=True).where(*here, findings.c.until.is_(None))
    apart = wanted.join_from(tiers, findings, _STATE).where(*here, findings.c.until.is_not(None), _NEWEST)
    found: dict[str, int] = {}
    freed = 0
    for query in (now, apart):
        for name, count, bytes_ in tx.conn.execute(query):
            found[name] = found.get(name, 0) + count
            freed += int(bytes_)
    in_gist = sa.select(tiers.c.agent, tiers.c.user, tiers.c.period).join_from(tiers, findings, _STATE)
    in_gist = in_gist.where(*here, _SHOWN, tiers.c.tier == "summarised", _NEWEST)
    told_gists = tx.conn.execute(sa.select(sa.func.count()).select_from(in_gist.distinct().subquery())).scalar_one()
    return TierCounts(found.get("full", 0), found.get("compressed", 0), found.get("summarised", 0), told_gists, freed)


def _of_pool(table: sa.Table, tx: Tx, agent: str | None, user: str | None) -> list[sa.ColumnElement[bool]]:
    whose = table.c.user.is_(None) if user is None else table.c.user == user
    return [table.c.tenant == tx.tenant, whose, *([] if agent is None else [table.c.agent == agent])]


def _of_session(table: sa.Table, tx: Tx, agent: str, session: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.tenant == tx.tenant, table.c.agent == agent, table.c.session == session
