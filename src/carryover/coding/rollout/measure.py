"""Whether patterns that were distributed helped: what is settled before, and what each look at the sessions finds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from carryover.coding import statistics
from carryover.coding.patterns import curate
from carryover.coding.rollout import compare
from carryover.coding.rollout.compare import Comparison, Goal
from carryover.coding.rollout.observe import observed
from carryover.core.clock import Time
from carryover.core.errors import Conflict
from carryover.core.pattern import Effect, Exposure, Pattern, Verdict
from carryover.core.scope import Scope
from carryover.store import digests, exposures, patterns
from carryover.store.store import Store

FALSE_DISCOVERIES = 0.1  # of the patterns that are said to have helped, the share that may not have
_MOST = 999.0  # that a ratio is told as, where nothing bounds it
_PLACES = 6


def register(store: Store, scope: Scope, told: Iterable[Pattern], goal: Goal) -> dict[str, dict[str, Any]]:
    """What will be measured of each pattern, by its id; what was settled when it was told first stays."""
    with store.read(scope) as tx:
        ids = {one.id for one in told}
        found: dict[str, dict[str, Any]] = {
            one.pattern: dict(one.detail["registered"])
            for one in exposures.listed(tx, standing=True)
            if one.pattern in ids
        }
        new = {id: patterns.versions(tx, id) for id in sorted(ids - found.keys())}
        every = list(digests.every(tx)) if new else []
        others = _shares(patterns.listed(tx))
    for id, versions in new.items():
        detected = min(one.at for one in versions)
        seen = observed(every, versions[0])
        found[id] = asdict(compare.register(seen, detected, versions[0].good, goal, others))
    return found


def measure(store: Store, scope: Scope, id: str | None = None, *, by: str = "measure") -> list[Effect]:
    """What the distributed patterns changed (or this one), each with its verdict, as of now.

    All of them are measured, as verdicts on many allow for each other. What is new is kept; a pattern whose verdict is
    another is `measured` in a new version. Raises Forbidden, NotFound, or Conflict for one that nobody was told.
    """
    curate.require(scope, "write")
    with store.read(scope) as tx:
        if id is not None:
            curate.known(tx, id)
        catalog = {one.id: one for one in patterns.listed(tx) if one.state in ("distributed", "measured")}
        told = [one for one in exposures.listed(tx) if one.pattern in catalog]
        every = list(digests.every(tx)) if told else []
        now = tx.now
    if id is not None and id not in {one.pattern for one in told}:
        raise Conflict(f"pattern {id!r} is told to nobody; distribute it first: `carryover patterns distribute {id}`")
    found = effects([_compared(catalog[one], every, told, now) for one in sorted({e.pattern for e in told})], now)
    with store.write(scope) as tx:
        for effect in found:
            pattern, before = curate.known(tx, effect.pattern), exposures.latest(tx, effect.pattern)
            is_new = before is None or before.verdict != effect.verdict or pattern.state == "distributed"
            if exposures.measured(tx, [effect]) and is_new and pattern.state in ("distributed", "measured"):
                curate.advance(tx, pattern, "measured", by=by, reason=f"{effect.verdict}: {told_as(effect)}")
    return [effect for effect in found if id in (None, effect.pattern)]


def effects(comparisons: Sequence[Comparison], now: Time) -> list[Effect]:
    """The verdicts on all of them together."""
    shares = statistics.adjusted({one.pattern: one.p for one in comparisons})
    return [_effect(one, shares[one.pattern], now) for one in comparisons]


def told_as(effect: Effect) -> str:
    """The effect in a line, for people."""
    before, after = effect.before, effect.after
    told = f"{before.sessions} of {before.of} sessions before, {after.sessions} of {after.of} after"
    if before.of and after.of:
        unit = " points" if effect.measure == "incidence" else " %"
        told += f": {100 * effect.estimate:+.1f}{unit} ({100 * effect.low:+.1f} to {100 * effect.high:+.1f})"
    return f"{told}, {effect.missing:,} more sessions would tell" if effect.missing else told


def _effect(one: Comparison, false_share: float, now: Time) -> Effect:
    worse = compare.worse(one.rails)
    sure = one.p <= statistics.ALPHA and not one.void
    better = (one.contrast.estimate < 0) == (one.registered.direction == "less")
    notes = list(one.notes)
    verdict: Verdict = "underpowered"
    if (sure and not better) or (worse and not one.void):
        verdict = "harmful"
        notes += [f"sessions are worse by {rail}" for rail in worse]
        notes.append(f"withdraw it: `carryover patterns withdraw {one.pattern}`")
    elif sure and false_share <= FALSE_DISCOVERIES:
        verdict = "helped"
    elif one.void or one.information >= 1:
        verdict = "no evidence"
    missing = one.missing if verdict == "underpowered" else 0
    low, estimate, high = (
        _scaled(one, value) for value in (one.contrast.low, one.contrast.estimate, one.contrast.high)
    )
    detail = {
        **one.detail,
        "p": one.p,
        "false_discovery_rate": false_share,
        "guard_rails": {name: [rail.estimate, rail.low, rail.high] for name, rail in sorted(one.rails.items())},
    }
    return Effect(
        one.pattern,
        one.version,
        now,
        verdict,
        one.design,
        one.registered.measure,
        one.before,
        one.after,
        estimate,
        low,
        high,
        missing,
        tuple(notes),
        _rounded(detail),
    )


def _compared(pattern: Pattern, every: Sequence[Any], told: Sequence[Exposure], now: Time) -> Comparison:
    mine = [one for one in told if one.pattern == pattern.id]
    words = mine[-1].detail["line"]  # of other words nothing is known here
    same = [one for one in mine if one.detail["line"] == words]
    return compare.compared(pattern.id, same[-1].version, observed(every, pattern), same, now)


def _shares(catalog: Sequence[Pattern]) -> list[tuple[float, float]]:
    return [(one.total.sessions, one.total.of) for one in catalog]


def _scaled(one: Comparison, value: float) -> float:
    """A difference of shares as it is; the logarithm of a ratio as what it changes (-0.5: half as often)."""
    if one.registered.measure == "rate":
        value = math.expm1(min(value, math.log1p(_MOST)))
    return round(max(min(value, _MOST), -1.0), _PLACES)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _PLACES) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return [_rounded(inner) for inner in value] if isinstance(value, (list, tuple)) else value  # pyright: ignore[reportUnknownVariableType]
