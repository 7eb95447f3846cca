"""Verdicts: what came of checking findings against their turns, one row a finding."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from carryover.core.job import subject_of
from carryover.core.snapshot import Finding
from carryover.core.text import digest
from carryover.core.verdict import Outcome, Verdict
from carryover.store import counters, sealed
from carryover.store.parts import parts
from carryover.store.states import findings_of
from carryover.store.store import Tx
from carryover.store.tables import findings, tiers, verdicts

COUNTER = "verdicts"
_HOLDS: dict[Outcome, bool | None] = {"holds": True, "fails": False, "unknown": None}
_OUTCOME: dict[bool | None, Outcome] = {holds: outcome for outcome, holds in _HOLDS.items()}
_later = findings.alias("later")
# The newest states of findings that are live in their newest snapshot, or that left it for want of room and can be
# told all the same. Also those that a later session closed: it may be erased.
_LIVE = sa.and_(
    findings.c.status.in_(("open", "active")),
    sa.or_(
        findings.c.until.is_(None),
        sa.and_(
            sa.exists().where(
                tiers.c.tenant == findings.c.tenant,
                tiers.c.finding == findings.c.id,
                tiers.c.since == findings.c.since,
            ),
            ~sa.exists().where(
                _later.c.tenant == findings.c.tenant,
                _later.c.id == findings.c.id,
                _later.c.since > findings.c.since,
            ),
        ),
    ),
)


def state_of(finding: Finding) -> str:
    """What a check of it looks at, as a hash: a verdict is about this state of the finding only."""
    cited = [f"{s.session_id}/{s.first}/{s.last}/{s.quote}" for s in finding.sources]
    return digest(finding.text, str(finding.valid_from), *cited)


def live(tx: Tx, agent: str, session: str) -> list[Finding]:
    """The session's findings that memory may tell, oldest first."""
    here = (findings.c.tenant == tx.tenant, findings.c.agent == agent, findings.c.session == session)
    rows = tx.conn.execute(sa.select(findings).where(*here, _LIVE)).all()
    return sorted(findings_of(tx, rows), key=lambda f: (f.learned_at, f.id))


def put(tx: Tx, checked: Sequence[tuple[Finding, Verdict]]) -> None:
    """These are the verdicts on these findings, in place of earlier ones."""
    before = failing(tx, [finding.id for finding, _ in checked])
    made = [_row(tx, finding, verdict) for finding, verdict in sorted(checked, key=lambda pair: pair[0].id)]
    rows = sealed.closed(tx, verdicts, made)
    if not rows:
        return
    new = tx.insert(verdicts)
    state = {name: new.excluded[name] for name in ("state", "checker", "checked_at", "holds", "detail")}
    tx.conn.execute(new.on_conflict_do_update(index_elements=["tenant", "finding"], set_=state), rows)
    if before != {finding.id for finding, verdict in checked if verdict.outcome == "fails"}:
        counters.bump(tx, COUNTER)


def of(tx: Tx, ids: Sequence[str]) -> dict[str, Verdict]:
    """The verdicts on those of the findings that were checked."""
    found: dict[str, Verdict] = {}
    for part in parts(ids):
        wanted = sa.select(verdicts).where(verdicts.c.tenant == tx.tenant, verdicts.c.finding.in_(part))
        for row, (detail,) in sealed.opened(tx, verdicts, tx.conn.execute(wanted), "detail"):
            said = json.loads(detail)
            found[row.finding] = Verdict(
                _OUTCOME[row.holds], row.checked_at, row.checker, tuple(said["faults"]), tuple(said["missing"])
            )
    return found


def failing(tx: Tx, ids: Sequence[str]) -> set[str]:
    """Those of the findings that do not stand in their turns."""
    found: set[str] = set()
    for part in parts(ids):
        wanted = sa.select(verdicts.c.finding).where(
            verdicts.c.tenant == tx.tenant, verdicts.c.finding.in_(part), verdicts.c.holds.is_(False)
        )
        found.update(tx.conn.execute(wanted).scalars())
    return found


def unchecked(tx: Tx, known: Mapping[str, str], checker: int) -> set[str]:
    """Those of the findings, by id with their states, whose state this version of the check has not seen."""
    left = set(known)
    for part in parts(sorted(known)):
        wanted = sa.select(verdicts.c.finding, verdicts.c.state).where(
            verdicts.c.tenant == tx.tenant, verdicts.c.finding.in_(part), verdicts.c.checker == checker
        )
        seen = sealed.opened(tx, verdicts, tx.conn.execute(wanted), "state")
        left -= {row.finding for row, (state,) in seen if known[row.finding] == state}
    return left


def overdue(tx: Tx, checker: int, limit: int) -> list[tuple[str, str]]:
    """At most so many (tenant, subject), of all tenants, of sessions with findings that this check has never seen."""
    tx.dialect.unhurried(tx.conn)
    # Looked up finding by finding: behind row-level security PostgreSQL takes both tables for nearly empty, and would
    # compare each row of one with each of the other.
    seen = (
        sa.select(verdicts.c.checker)
        .where(verdicts.c.tenant == findings.c.tenant, verdicts.c.finding == findings.c.id)
        .correlate(findings)
        .scalar_subquery()
    )
    wanted = sa.select(findings.c.tenant, findings.c.agent, findings.c.session).distinct()
    wanted = wanted.where(_LIVE, seen.is_distinct_from(checker)).limit(limit)
    return [(row[0], subject_of(row[1], row[2])) for row in tx.conn.execute(wanted)]


def generation(tx: Tx) -> int:
    """A number that is another one whenever a finding of the tenant has begun to fail, or fails no more."""
    return counters.values(tx, [COUNTER])[0]


def sessions_with_findings(tx: Tx, agent: str | None) -> list[tuple[str, str]]:
    """(agent, session) of all sessions of the tenant, or of one agent, that have live findings, in order."""
    wanted = sa.select(findings.c.agent, findings.c.session).where(findings.c.tenant == tx.tenant, _LIVE).distinct()
    wanted = wanted if agent is None else wanted.where(findings.c.agent == agent)
    return [(row[0], row[1]) for row in tx.conn.execute(wanted.order_by(findings.c.agent, findings.c.session))]


def flagged(tx: Tx, limit: int) -> list[str]:
    """The ids of at most so many live findings of the tenant that do not stand in their turns, oldest first."""
    wanted = (
        sa.select(findings.c.id)
        .join_from(
            verdicts, findings, sa.and_(findings.c.tenant == verdicts.c.tenant, findings.c.id == verdicts.c.finding)
        )
        .where(verdicts.c.tenant == tx.tenant, verdicts.c.holds.is_(False), _LIVE)
    )
    return list(tx.conn.execute(wanted.order_by(findings.c.id).limit(limit)).scalars())


def _row(tx: Tx, finding: Finding, verdict: Verdict) -> dict[str, object]:
    return {
        "tenant": tx.tenant,
        "finding": finding.id,
        "agent": finding.agent_id,
        "session": finding.session_id,
        "state": state_of(finding),
        "checker": verdict.checker,
        "checked_at": verdict.checked_at,
        "holds": _HOLDS[verdict.outcome],
        "detail": json.dumps({"faults": verdict.faults, "missing": verdict.missing}),
    }
