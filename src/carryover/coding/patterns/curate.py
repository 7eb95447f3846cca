"""The catalog of patterns: what people decide about them, and the life that each of them has.

    candidate ── approve ──▶ approved ── distribute ──▶ distributed ── measure ──▶ measured
        │  ▲                    │                            │                        │
        │  └── edit ── rejected ◀── reject                   └──── withdraw ──────────┴──▶ withdrawn
        └───────────── reject ──────▲

Each change is a version that says who made it, when and why, and an event in the stream of patterns. Detection makes
candidates and keeps their counts; what was decided stays as it was when it was decided.
"""

from __future__ import annotations

from dataclasses import replace

from carryover.coding.patterns import telling
from carryover.core.errors import Conflict, Forbidden, Invalid, NotFound
from carryover.core.event import PATTERNS, Action
from carryover.core.pattern import DECISIONS, PATTERN_STATES, Decision, Pattern, PatternState
from carryover.core.scope import Right, Scope
from carryover.core.text import plain
from carryover.store import audit, events, patterns
from carryover.store.store import Store, Tx

_DECIDED: dict[Decision, PatternState] = {"approve": "approved", "reject": "rejected"}
# What a pattern may become, and what to do where it may not.
_NEXT: dict[PatternState, tuple[PatternState, ...]] = {
    "candidate": ("approved", "rejected"),
    "approved": ("distributed", "rejected"),
    "rejected": (),
    "distributed": ("distributed", "measured", "withdrawn"),
    "measured": ("distributed", "measured", "withdrawn"),
    "withdrawn": ("approved", "rejected"),
}
_REMEDY: dict[PatternState, str] = {
    "candidate": "approve it first",
    "approved": "distribute it first, or reject it",
    "rejected": "edit it first, which makes it a candidate again",
    "distributed": "measure it, or withdraw it first",
    "measured": "withdraw it first",
    "withdrawn": "approve it first",
}
# What an edited pattern is: words that agents were told are not changed behind their back.
_EDITED: dict[PatternState, PatternState] = {
    "candidate": "candidate",
    "approved": "approved",
    "rejected": "candidate",
    "withdrawn": "candidate",
}
_ACTIONS: dict[PatternState, Action] = {
    "approved": "approve",
    "rejected": "reject",
    "distributed": "distribute",
    "measured": "measure",
    "withdrawn": "withdraw",
}
_LONGEST = {"title": 200, "lesson": telling.LONGEST, "reason": 1000, "by": 128}


def listed(store: Store, scope: Scope, state: PatternState | None = None) -> list[Pattern]:
    """The patterns of the tenant, or those in one state, the highest score first. Raises Forbidden or Invalid."""
    require(scope, "read")
    if state is not None and state not in PATTERN_STATES:
        raise Invalid(f"state {state!r} is none of {', '.join(PATTERN_STATES)}; name one of them", field="state")
    with store.read(scope) as tx:
        return patterns.listed(tx, state)


def versions(store: Store, scope: Scope, id: str) -> list[Pattern]:
    """All versions of a pattern, the newest first; that one alone has evidence. Raises Forbidden or NotFound."""
    require(scope, "read")
    with store.read(scope) as tx:
        found = patterns.versions(tx, id)
    if not found:
        raise _unknown(id)
    return found


def decide(store: Store, scope: Scope, id: str, decision: Decision, by: str, reason: str = "") -> Pattern:
    """The pattern is approved or rejected. Raises Forbidden, NotFound, Invalid, or Conflict where it cannot be now."""
    require(scope, "admin")
    if decision not in DECISIONS:
        raise Invalid(f"decision {decision!r} is none of {', '.join(DECISIONS)}; name one of them", field="decision")
    with store.write(scope) as tx:
        decided = advance(tx, known(tx, id), _DECIDED[decision], by=by, reason=reason)
        audit.note(tx, action=f"pattern.{decision}", subject=f"pattern {id}", detail=f"version {decided.version}")
        return decided


def edit(
    store: Store, scope: Scope, id: str, title: str | None = None, lesson: str | None = None, *, by: str, reason: str
) -> Pattern:
    """The pattern has this title and this lesson; a rejected or withdrawn one is a candidate again.

    Raises Forbidden, NotFound, Invalid for words that cannot be, or Conflict while agents are told it.
    """
    require(scope, "admin")
    words = {"title": title, "lesson": lesson}
    said = {name: _said(text, name) for name, text in words.items() if text is not None}
    with store.write(scope) as tx:
        pattern = known(tx, id)
        if pattern.state not in _EDITED:
            raise Conflict(f"pattern {id!r} is {pattern.state}, and agents are told it as it is; withdraw it first")
        changed = replace(pattern, title=said.get("title", pattern.title), lesson=said.get("lesson", pattern.lesson))
        if changed == pattern:
            raise Invalid(f"nothing of pattern {id!r} is changed; give another title or lesson", field="lesson")
        edited = _put(tx, replace(changed, state=_EDITED[pattern.state]), "edit", by, reason)
        audit.note(tx, action="pattern.edit", subject=f"pattern {id}", detail=f"version {edited.version}")
        return edited


def advance(tx: Tx, pattern: Pattern, state: PatternState, *, by: str, reason: str) -> Pattern:
    """The pattern is in this state. Raises Conflict where it cannot be, or Invalid."""
    if state not in _NEXT[pattern.state]:
        again = "already" if state == pattern.state else f"so it cannot be {state} now"
        raise Conflict(f"pattern {pattern.id!r} is {pattern.state}, {again}; {_REMEDY[pattern.state]}")
    return _put(tx, replace(pattern, state=state), _ACTIONS[state], by, reason)


def known(tx: Tx, id: str) -> Pattern:
    """The newest version of a pattern. Raises NotFound."""
    pattern = patterns.get(tx, id)
    if pattern is None:
        raise _unknown(id)
    return pattern


def require(scope: Scope, right: Right) -> None:
    """Raises Forbidden for a key without the right, and for one that is narrowed: patterns are the whole tenant's."""
    scope.require(right)
    if scope.agent is not None or scope.user is not None:
        raise Forbidden("this key is narrowed, and patterns are the whole tenant's; use one that is not")


def _put(tx: Tx, pattern: Pattern, action: Action, by: str, reason: str) -> Pattern:
    by, reason = _said(by, "by"), _said(reason, "reason") if reason else ""
    changed = replace(pattern, version=pattern.version + 1, by=by, at=tx.now, reason=reason)
    patterns.put(tx, changed)
    detail = {"version": changed.version, "state": changed.state, "by": by}
    events.add(tx, [(action, PATTERNS, changed.id, None, detail)])
    return changed


def _said(text: str, field: str) -> str:
    """The text on one line. Raises Invalid where nothing is left of it, or too much."""
    line = " ".join(plain(text).split())
    if not 0 < len(line) <= _LONGEST[field]:
        raise Invalid(f"{field} has {len(line)} characters; use 1 to {_LONGEST[field]}", field=field)
    return line


def _unknown(id: str) -> NotFound:
    return NotFound(f"pattern {id!r} does not exist; list them with `carryover patterns list`")
