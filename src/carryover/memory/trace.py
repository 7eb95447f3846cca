"""Tracing: from a turn to everything that was derived from it, the way back from a finding to its turns."""

from __future__ import annotations

from collections.abc import Iterable

from carryover.core.context import Reach
from carryover.core.errors import NotFound
from carryover.core.scope import Scope
from carryover.core.snapshot import Finding
from carryover.core.trace import Covered, Derived, Trace
from carryover.memory.merge import said_in
from carryover.store import chunks, reach, sessions, snapshots, traces, turns, usages, verdicts
from carryover.store.sessions import Head
from carryover.store.store import Store, Tx

SHOWN = 1_000  # characters of the turn's text


def trace(store: Store, scope: Scope, agent_id: str, session_id: str, seq: int) -> Trace:
    """What was derived from the turn: findings, snapshots, chunks, and whether contexts reach it. Raises NotFound."""
    scope.require("read")
    with store.read(scope) as tx:
        head = sessions.get(tx, agent_id, session_id)
        if not 1 <= seq <= head.version:
            said = f"it has turns 1 to {head.version}" if head.version else "it has none"
            raise NotFound(f"session {session_id!r} has no turn {seq}; {said}")
        turn = next(iter(turns.between(tx, agent_id, session_id, seq, seq)), None)
        citing = traces.citing(tx, agent_id, session_id, seq)
        known = _known(tx, citing)
        verdict = verdicts.of(tx, [finding.id for finding in known])
        return Trace(
            session_id=session_id,
            agent_id=agent_id,
            seq=seq,
            turn_id=turn and turn.id,
            role=turn and turn.role,
            kind=turn and turn.kind,
            name=turn and turn.name,
            said_at=turn and turn.created_at,
            text=turn.text[:SHOWN] if turn else "",
            covered=_covered(tx, head, seq),
            findings=tuple(Derived(finding, citing[finding.id], verdict.get(finding.id)) for finding in known),
            closed=tuple(_known(tx, _closed(tx, head, seq, citing.keys()))),
            indexed=chunks.watermark(tx, agent_id, session_id).through >= seq,
            chunks=tuple(traces.indexed(tx, agent_id, session_id, seq, [finding.id for finding in known])),
            in_reach=_in_reach(tx, head),
        )


def _known(tx: Tx, ids: Iterable[str]) -> list[Finding]:
    """Those of the findings that the scope may see, as they are known now, oldest first."""
    found: list[Finding] = []
    for id in ids:
        try:
            found.append(snapshots.finding(tx, id))
        except NotFound:
            continue
    return sorted(found, key=lambda f: (f.learned_at, f.id))


def _closed(tx: Tx, head: Head, seq: int, citing: Iterable[str]) -> set[str]:
    """The findings that this turn ended: it is named as the reason, or what stands instead was said in it."""
    new = set(citing)
    ended: set[str] = set()
    for id, reason, by in traces.ends(tx, head.agent, head.session):
        told = said_in(reason)
        if told == seq or (told is None and by in new):
            ended.add(id)
    return ended


def _covered(tx: Tx, head: Head, seq: int) -> Covered | None:
    first = traces.covering(tx, head.agent, head.session, seq)
    if first is None:
        return None
    # Usage is not kept by user: a key that is narrowed to one may not see it, here as anywhere.
    usage = None if tx.scope.user else usages.of_run(tx, head.agent, head.session, first[2])
    return Covered(*first, usage=usage)


def _in_reach(tx: Tx, head: Head) -> tuple[Reach, ...]:
    wider: tuple[tuple[Reach, str | None], ...] = (("agent", head.agent), ("user", None))
    here = (head.agent, head.session)
    near: list[Reach] = ["session"]
    for name, agent in wider:
        if here in {(one.agent, one.session) for one in reach.newest(tx, agent, head.user)}:
            near.append(name)
    return tuple(near)
