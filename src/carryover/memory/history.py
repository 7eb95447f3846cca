"""How memory came to be: the versions of a session's snapshots, what changed between two, and why a finding is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from carryover.core.errors import Invalid, NotFound
from carryover.core.ids import check_id
from carryover.core.scope import Scope
from carryover.core.session import Source, Turn
from carryover.core.snapshot import Change, Cited, Diff, Finding, FindingDetail, Snapshot
from carryover.memory import ground
from carryover.memory.merge import said_in
from carryover.store import sessions, traces, turns, verdicts
from carryover.store import snapshots as kept
from carryover.store.store import Store, Tx

PAGE = 1000  # the most that one list answers
SHORTEST = 6  # characters that name a finding by the beginning of its id
LONGEST_CHAIN = 100  # findings
AROUND = 160  # characters that are shown on each side of a quote
MOST_TURNS = 2_000  # of one source that are looked through
PAGE_TURNS = 50

_QUOTED = re.compile(r'turn \d+: (?:\w+, )?"?(.+?)(?: …)?"?(?: \(.*\))?$')


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
    """The finding as it is known now, in the turns that say it, what it replaced and what replaced it, and why.

    The beginning of an id will do where no other finding's begins so. Raises NotFound, or Invalid where one does.
    """
    scope.require("read")
    with store.read(scope) as tx:
        known = _named(tx, id)
        chain = _chain(tx, known)
        shown = {f.id: f for f in chain}
        known = shown[known.id]
        earlier = tuple(shown[f.id] for f in kept.replaced_by(_wide(tx), known.id) if f.id in shown)
        later = shown.get(known.superseded_by or "")
        ended = None if known.live else _ended(tx, known, later)
        return FindingDetail(
            known,
            earlier,
            later,
            _why(known, earlier, later, ended),
            cited=tuple(_cited(tx, known.agent_id, source) for source in known.sources),
            ended=ended,
            chain=chain,
            verdict=verdicts.of(tx, [known.id]).get(known.id),
        )


def _named(tx: Tx, id: str) -> Finding:
    try:
        return kept.finding(tx, check_id(id, "finding"))
    except Invalid as cause:
        raise NotFound(cause.message) from cause
    except NotFound:
        meant = traces.beginning(tx, id, 2) if len(id) >= SHORTEST else []
        if not meant:
            raise
    if len(meant) > 1:
        raise Invalid(f"finding {id!r} could be {meant[0]!r} or {meant[1]!r}, or more; give more of the id", field="id")
    return kept.finding(tx, meant[0])


def _wide(tx: Tx) -> Tx:
    """All of the tenant: what replaced a finding, or was replaced, may be of an agent outside the scope."""
    return tx.within(Scope(tx.tenant))


def _chain(tx: Tx, known: Finding) -> tuple[Finding, ...]:
    """All findings that lead to this one or follow from it, as far as the scope may see them, oldest first."""
    wide = _wide(tx)
    found = {known.id: known}
    waiting = [known]
    while waiting and len(found) < LONGEST_CHAIN:
        one = waiting.pop()
        later = _later(wide, one)
        for near in (*kept.replaced_by(wide, one.id), *(() if later is None else (later,))):
            if near.id not in found:
                found[near.id] = near
                waiting.append(near)
    shown = {id: one for id, one in found.items() if id == known.id or _may_see(tx, id)}
    hidden = found.keys() - shown.keys()
    told = (
        replace(one, superseded_by=None, reason="another agent knows better") if one.superseded_by in hidden else one
        for one in shown.values()
    )
    return tuple(sorted(told, key=lambda f: (f.learned_at, f.id)))


def _may_see(tx: Tx, id: str) -> bool:
    try:
        kept.finding(tx, id)
    except NotFound:
        return False
    return True


def _cited(tx: Tx, agent: str, source: Source) -> Cited:
    """The source in the turn that says it, with what stands around it there."""
    for turn in _readable(tx, agent, source):
        text = turn.text
        at = text.find(source.quote)
        if at >= 0:
            before, after = text[max(0, at - AROUND) : at], text[at + len(source.quote) :][:AROUND]
            return Cited(source, turn.seq, turn.role, turn.name, turn.created_at, before, after)
    return Cited(source)


def _readable(tx: Tx, agent: str, source: Source) -> Iterator[Turn]:
    """The turns of a source that there are to read in the scope."""
    head = sessions.find(tx, [(agent, source.session_id)]).get((agent, source.session_id))
    if head is None or not tx.scope.admits(agent, head.user):
        return
    first = max(source.first, 1)
    last = min(source.last, head.version, first + MOST_TURNS - 1)
    for start in range(first, last + 1, PAGE_TURNS):
        yield from turns.between(tx, agent, source.session_id, start, min(start + PAGE_TURNS - 1, last))


def _ended(tx: Tx, known: Finding, later: Finding | None) -> Cited | None:
    """The turn that closed the finding; None where it is not recorded, or outside the scope."""
    reason = known.reason or ""
    seq = said_in(reason)
    if later is not None:
        telling = (source for source in later.sources if source.first <= (seq or 0) <= source.last)
        return _cited(tx, later.agent_id, next(telling, later.sources[0]))
    agent, session = traces.closed_in(tx, known.id) or (known.agent_id, known.session_id)
    for turn in _readable(tx, agent, Source(session, seq, seq)) if seq else ():
        told = _QUOTED.search(reason)
        quote = ground.verbatim(told[1], [turn], turn.seq, turn.seq) if told else None
        return _cited(tx, agent, Source(session, turn.seq, turn.seq, quote or ""))
    return None


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


def _why(known: Finding, earlier: tuple[Finding, ...], later: Finding | None, ended: Cited | None) -> str:
    """One sentence a person can check against the log."""
    said = f"{known.kind.capitalize()} known because {_says(known.sources[0])}"
    if earlier:
        said += f", in place of {earlier[-1].text!r}"
    if known.live:
        return f"{said}; nothing since has closed it."
    if later is not None:
        return f"{said}; superseded because {_says(later.sources[0])}."
    if ended is not None and ended.source.quote:
        return f"{said}; {known.status} because {_says(ended.source)}."
    return f"{said}; {known.status} because {known.reason or 'its session says so'}."
