"""How memory came to be: the versions of a session's snapshots, what changed between two, and why a finding is so."""

from __future__ import annotations

from dataclasses import replace

from carryover.core.errors import Invalid, NotFound
from carryover.core.scope import Scope
from carryover.core.session import Source
from carryover.core.snapshot import Change, Diff, Finding, FindingDetail, Snapshot
from carryover.store import sessions
from carryover.store import snapshots as kept
from carryover.store.store import Store, Tx

PAGE = 1000  # the most that one list answers


def snapshots(
    store: Store, scope: Scope, agent_id: str, session_id: str, *, limit: int = 100, before: int | None = None
) -> tuple[list[Snapshot], int | None]:
    """Snapshots without their findings, newest first, and the version to pass as `before` for more (None: no more).

    Raises NotFound, or Invalid for a limit that is not from 1 to 1000.
    """
    scope.require("read")
    if not 1 <= limit <= PAGE:
        raise Invalid(f"limit is {limit}; use 1 to {PAGE}", field="limit")
    with store.read(scope) as tx:
        sessions.get(tx, agent_id, session_id)
        found = kept.listed(tx, agent_id, session_id, limit=limit + 1, before=before)
    return found[:limit], found[limit - 1].version if len(found) > limit else None


def snapshot(store: Store, scope: Scope, agent_id: str, session_id: str, version: int | None = None) -> Snapshot:
    """One version (None: the newest) with its findings, as it was made. Raises NotFound."""
    scope.require("read")
    with store.read(scope) as tx:
        return _snapshot(tx, agent_id, session_id, version)


def diff(store: Store, scope: Scope, agent_id: str, session_id: str, a: int, b: int) -> Diff:
    """What changed from version `a` to version `b`, each with its reason, oldest finding first. Raises NotFound."""
    scope.require("read")
    with store.read(scope) as tx:
        before = {f.id: f for f in _snapshot(tx, agent_id, session_id, a).findings}
        after = {f.id: f for f in _snapshot(tx, agent_id, session_id, b).findings}
    changes = [_change(before.get(id), after.get(id)) for id in {**before, **after}]
    found = sorted((c for c in changes if c is not None), key=lambda c: (c.finding.learned_at, c.finding.id))
    return Diff(session_id, a, b, tuple(found))


def finding(store: Store, scope: Scope, id: str) -> FindingDetail:
    """The finding as it is known now, what it replaced and what replaced it, and why. Raises NotFound."""
    scope.require("read")
    with store.read(scope) as tx:
        known = kept.finding(tx, id)
        # What replaced it, or was replaced, is of the same user; it may be of an agent outside this scope.
        wide = tx.within(Scope(tx.tenant))
        earlier = tuple(f for f in kept.replaced_by(wide, id) if scope.agent in (None, f.agent_id))
        later = _later(wide, known)
        if later is not None and scope.agent not in (None, later.agent_id):
            later, known = (
                None,
                replace(known, superseded_by=None, reason="another agent knows better"),
            )
    return FindingDetail(known, earlier, later, _why(known, earlier, later))


def _snapshot(tx: Tx, agent_id: str, session_id: str, version: int | None) -> Snapshot:
    sessions.get(tx, agent_id, session_id)
    if version is not None:
        return kept.get(tx, agent_id, session_id, version)
    newest = kept.latest(tx, agent_id, session_id)
    if newest is None:
        raise NotFound(f"session {session_id!r} has no snapshot yet; consolidate it first", session_id=session_id)
    return newest


def _later(tx: Tx, known: Finding) -> Finding | None:
    try:
        return None if known.superseded_by is None else kept.finding(tx, known.superseded_by)
    except NotFound:
        return None  # its session was erased


def _change(before: Finding | None, after: Finding | None) -> Change | None:
    if before is None and after is not None:
        return Change("added", after, reason=_says(after.sources[-1]))
    if before is not None and after is None:
        return Change("removed", before, before.status, "the later snapshot no longer holds it")
    if before is None or after is None or before == after:
        return None
    reasons = [
        (before.status != after.status, after.reason or f"it is {after.status} now"),
        (before.text != after.text, f"it read {before.text!r} before"),
        (len(before.sources) < len(after.sources), f"{_says(after.sources[-1])} as well"),
    ]
    told = "; ".join(reason for holds, reason in reasons if holds)
    return Change("changed", after, before.status, told or "it weighs differently now")


def _says(source: Source) -> str:
    turn = f"turn {source.first}" if source.first == source.last else f"one of turns {source.first} to {source.last}"
    return f'{turn} of {source.session_id!r} says "{source.quote}"'


def _why(known: Finding, earlier: tuple[Finding, ...], later: Finding | None) -> str:
    """One sentence a person can check against the log."""
    said = f"{known.kind.capitalize()} known because {_says(known.sources[0])}"
    if earlier:
        said += f", in place of {earlier[-1].text!r}"
    if known.live:
        return f"{said}; nothing since has closed it."
    if later is not None:
        return f"{said}; superseded because {_says(later.sources[0])}."
    return f"{said}; {known.status} because {known.reason or 'its session says so'}."
