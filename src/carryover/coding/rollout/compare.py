"""Whether a pattern that agents are told changed what they do: sessions before and after, told and not told.

Everything here is pure, over what sessions say (`observe`) and where the pattern stood (exposures). What counts as
having helped is settled before anything is told (`Registered`), and kept with the exposure.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from carryover.coding import statistics
from carryover.coding.rollout.observe import Observed
from carryover.coding.rollout.targets import is_in
from carryover.coding.statistics import Arm, Contrast, Pair
from carryover.core.clock import DAY_MS, Time
from carryover.core.pattern import Exposure, Share

Measure = Literal["incidence", "rate"]
Design = Literal["randomised by repository", "difference in differences", "before and after"]
Stratum = tuple[str, str]  # repository, flavor
Strata = dict[Stratum, tuple[list[Observed], list[Observed]]]  # before and after

FEWEST_CALLS = 200  # before, from which a pattern is counted per call
_CONTROL = 0.25  # of the sessions that are told, on either side, that those who are not must be at least
_FEWEST = 10  # sessions on either side of a control
_ROOM = 0.25  # of the uncertainty that is allowed, what must be left for the sessions to come
_SHIFT = 0.2  # of the sessions written by other versions, from which before and after are no comparison
_RAILS = 4
_WORSE = {"tokens": math.log(1.1), "time": math.log(1.1), "interrupted": 0.05, "failed": 0.05}


@dataclass(frozen=True, slots=True)
class Goal:
    """The smallest change that one cares for, as a share of what was (0.5: half as often), and within how many days."""

    effect: float = 0.5
    days: int = 90


@dataclass(frozen=True, slots=True)
class Registered:
    """What will be measured, settled before it begins.

    `base` is the share of sessions (or events per call) that is expected without the pattern told; `luck` says by how
    much what was seen is taken for less, as it was picked because it was frequent. `before` and `after` are the
    variance that one session (or call) adds on each side, if the change is the smallest of interest, and `chances` how
    many of them a session has. So how much is known follows from how much was seen, and not from what was seen: it
    would otherwise be known soonest where most happened by chance.
    """

    measure: Measure
    direction: Literal["less", "more"]
    effect: float
    days: int
    detected: Time
    base: float
    luck: float
    before: float
    after: float
    chances: float = 1.0

    @property
    def smallest(self) -> float:
        """The smallest change of interest: of the share, or of the logarithm of the rate."""
        if self.measure == "incidence":
            return max(self.base * self.effect, 1e-6)
        return abs(math.log(self.factor))

    @property
    def factor(self) -> float:
        """How often it happens with the smallest change of interest, of how often it did."""
        return max(1 - self.effect, 1e-3) if self.direction == "less" else 1 + self.effect

    @property
    def information(self) -> float:
        """How much has to be known at the end: one over the variance at which that change is found."""
        return (statistics.drift() / self.smallest) ** 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a look at all sessions says; `information` is the fraction of what will be known at the end."""

    pattern: str
    version: int
    registered: Registered
    design: Design
    before: Share
    after: Share
    contrast: Contrast
    information: float
    p: float
    missing: int
    rails: Mapping[str, Contrast]
    notes: tuple[str, ...] = ()
    void: bool = False
    over: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])


def register(
    seen: Sequence[Observed], detected: Time, good: bool, goal: Goal, others: Sequence[tuple[float, float]]
) -> Registered:
    """What will be measured, from the sessions before the pattern was detected; `others` are shares of all patterns."""
    before = [one for one in seen if one.at < detected]
    shown, n = sum(one.events > 0 for one in before), len(before)
    share = statistics.shrunk(shown, n, others)
    luck = share * n / shown if shown else 1.0
    direction: Literal["less", "more"] = "more" if good else "less"
    calls = sum(one.chances for one in before)
    base = luck * sum(one.events for one in before) / calls if calls else 0.0
    per_call = calls >= FEWEST_CALLS and base > 0
    known = ("rate" if per_call else "incidence", direction, goal.effect, goal.days, detected)
    plan = Registered(*known, base if per_call else share, luck, 0.0, 0.0)
    if per_call:
        arm = Arm(_floats([one.events for one in before]), _floats([one.chances for one in before]))
        single = statistics.dispersion([arm]) / base
        return replace(plan, before=single, after=single / plan.factor, chances=calls / n)
    # Held off 0 and 1 by half a session: that few showed otherwise does not mean that none ever will.
    sides = [(min(part, 1.0) * n + 0.5) / (n + 1) for part in (share, share * plan.factor)]
    spread = [side * (1 - side) for side in sides]
    return replace(plan, before=spread[0], after=max(spread))


def compared(pattern: str, version: int, seen: Sequence[Observed], told: Sequence[Exposure], now: Time) -> Comparison:
    """The pattern's exposures of one version compared with what was before, and elsewhere."""
    plan = Registered(**told[0].detail["registered"])
    begin = min(one.since for one in told)
    end = begin + plan.days * DAY_MS
    exposed, control = _split(seen, told, plan.detected, begin, min(end, now + 1))
    design = _design(exposed, control, told)
    if design == "before and after":
        control = {}
    exposed, control = _until_known(plan, exposed, control)
    information = _information(plan, exposed, control)
    z = statistics.critical(information)
    contrast = _contrast(plan, exposed, control, z)
    rails = _rails(exposed, control, information)
    shift = _shift(exposed)
    notes = _notes(plan, design, exposed, shift, now >= end)
    detail: dict[str, Any] = {"information": information, "z": z, "registered": asdict(plan), "shift": shift}
    if control:
        detail["control"] = [list(asdict(_share(control, side)).values()) for side in (0, 1)]
    return Comparison(
        pattern,
        version,
        plan,
        design,
        _share(exposed, 0),
        _share(exposed, 1),
        contrast,
        information,
        statistics.p_value(_reached(plan, exposed, control), information),
        _missing(plan, exposed, control, information),
        rails,
        notes,
        shift > _SHIFT and design == "before and after",
        now >= end,
        detail,
    )


def _split(
    seen: Sequence[Observed], told: Sequence[Exposure], detected: Time, begin: Time, end: Time
) -> tuple[Strata, Strata]:
    """The sessions of those who are told at some time, and of those who never are, before and after.

    What was between detection and the first exposure is neither, nor what is out of the window.
    """
    exposed: Strata = defaultdict(lambda: ([], []))
    control: Strata = defaultdict(lambda: ([], []))
    for one in seen:
        reading = [e for e in told if one.flavor in e.detail["readers"] and is_in(one.repo, e.detail["repos"])]
        here = (exposed if reading else control)[one.repo, one.flavor]
        if one.at < detected:
            here[0].append(one)
        elif begin <= one.at < end and (not reading or any(_stands(e, one.at) for e in reading)):
            here[1].append(one)
    return _comparable(exposed), _comparable(control)


def _comparable(strata: Strata) -> Strata:
    """Those with sessions before and after; all, where there is none after."""
    both = {stratum: pair for stratum, pair in strata.items() if all(pair)}
    return both or dict(strata)


def _stands(told: Exposure, at: Time) -> bool:
    return told.since <= at and (told.until is None or at < told.until)


def _design(exposed: Strata, control: Strata, told: Sequence[Exposure]) -> Design:
    """The best that the sessions allow, by their number alone."""
    sides = [(_n(control, side), _n(exposed, side)) for side in (0, 1)]
    if any(theirs < max(_FEWEST, _CONTROL * ours) for theirs, ours in sides):
        return "before and after"
    return "randomised by repository" if any("assignment" in e.detail for e in told) else "difference in differences"


def _until_known(plan: Registered, exposed: Strata, control: Strata) -> tuple[Strata, Strata]:
    """The first sessions that together say all that was planned to be known: later ones change no verdict."""
    moments = sorted(one.at for strata in (exposed, control) for _, after in strata.values() for one in after)

    def cut(at: Time) -> tuple[Strata, Strata]:
        first: list[Strata] = [
            {k: (before, [one for one in after if one.at <= at]) for k, (before, after) in strata.items()}
            for strata in (exposed, control)
        ]
        return first[0], first[1]

    def is_enough(at: Time) -> bool:
        return _information(plan, *cut(at)) >= 1

    if not moments or not is_enough(moments[-1]):
        return exposed, control
    low, high = 0, len(moments) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(moments[middle]) else (middle + 1, high)
    return cut(moments[low])


def _information(plan: Registered, exposed: Strata, control: Strata) -> float:
    """The fraction of what is to be known at the end."""
    variance = _uncertainty(plan, exposed) + (_uncertainty(plan, control) if control else 0.0)
    return 1 / (variance * plan.information)


def _uncertainty(plan: Registered, strata: Strata) -> float:
    sizes = [tuple(_size(plan, side) for side in pair) for pair in strata.values()]
    both = [(before, after) for before, after in sizes if before and after]
    if not both:
        return math.inf
    before, after = statistics.thinness(both)
    return plan.before * before + plan.after * after


def _size(plan: Registered, side: Sequence[Observed]) -> int:
    return sum(one.chances for one in side) if plan.measure == "rate" else len(side)


def _contrast(plan: Registered, exposed: Strata, control: Strata, z: float) -> Contrast:
    """After minus before, less what it is where nothing was told; for rates, of their logarithms."""
    if plan.measure == "rate":
        _, _, ours, _ = statistics.rates(_pairs(plan, exposed), z)
        if not control:
            return ours
        _, _, theirs, _ = statistics.rates(_pairs(plan, control), z)
        fixed, growing = ours.fixed + theirs.fixed, ours.growing + theirs.growing
        estimate, half = ours.estimate - theirs.estimate, z * math.sqrt(fixed + growing)
        return Contrast(estimate, estimate - half, estimate + half, fixed, growing)
    before, after, ours = statistics.shares(_pairs(plan, exposed), z)
    if not control:
        return ours
    their_before, their_after, theirs = statistics.shares(_pairs(plan, control), z)
    whole = statistics.mover([(1, after), (-1, before), (-1, their_after), (1, their_before)])
    variances = (ours.fixed + theirs.fixed, ours.growing + theirs.growing)
    return Contrast(whole.estimate, whole.low, whole.high, *variances)


def _pairs(plan: Registered, strata: Strata) -> list[Pair]:
    return [(_arm(plan, before, plan.luck), _arm(plan, after, 1.0)) for _, (before, after) in sorted(strata.items())]


def _arm(plan: Registered, side: Sequence[Observed], luck: float) -> Arm:
    if plan.measure == "rate":
        return Arm(_floats([one.events for one in side]) * luck, _floats([one.chances for one in side]))
    return Arm(_floats([one.events > 0 for one in side]) * luck, np.ones(len(side)))


def _reached(plan: Registered, exposed: Strata, control: Strata) -> float:
    """The largest critical value at which the interval still leaves out 0."""
    low, high = 0.0, 40.0
    for _ in range(50):
        middle = (low + high) / 2
        found = _contrast(plan, exposed, control, middle)
        low, high = (middle, high) if found.low > 0 or found.high < 0 else (low, middle)
    return low


def _missing(plan: Registered, exposed: Strata, control: Strata, information: float) -> int:
    """How many more sessions that are told would say what was planned to be known; 0 where enough is."""
    if information >= 1:
        return 0
    seen = [sum(_size(plan, pair[side]) for pair in exposed.values()) for side in (0, 1)]
    allowed = 1 / (plan.information * (2 if control else 1))
    room = allowed - plan.before / max(seen[0], 1)
    # Where too little is known of before, hardly any number would do: then as many as both sides would take of each.
    needed = plan.after / room if room > allowed * _ROOM else (plan.before + plan.after) / allowed
    return max(math.ceil((needed - seen[1]) / plan.chances), 1)


def _is_short(plan: Registered, exposed: Strata) -> bool:
    before = sum(_size(plan, pair[0]) for pair in exposed.values())
    return plan.before / max(before, 1) > (1 - _ROOM) / plan.information


def _rails(exposed: Strata, control: Strata, information: float) -> dict[str, Contrast]:
    """By how much sessions took more, were interrupted or failed more often; the intervals hold all together."""
    z = statistics.critical(information, statistics.ALPHA / _RAILS)

    def logs(strata: Strata, name: str) -> list[Pair]:
        def arm(side: Sequence[Observed]) -> Arm:
            values = [getattr(one, name) for one in side]
            told = _floats([math.log(value) for value in values if value])
            return Arm(told, np.ones(len(told)))

        return [(arm(before), arm(after)) for before, after in strata.values()]

    def happened(strata: Strata, name: str) -> list[Pair]:
        def arm(side: Sequence[Observed]) -> Arm:
            told = _floats([bool(value) for one in side if (value := getattr(one, name)) is not None])
            return Arm(told, np.ones(len(told)))

        return [(arm(before), arm(after)) for before, after in strata.values()]

    found: dict[str, Contrast] = {}
    for rail, name in (("tokens", "tokens"), ("time", "active_s")):
        ours = statistics.means(logs(exposed, name), z)
        found[rail] = ours if not control else _less(ours, statistics.means(logs(control, name), z), z)
    for rail, name in (("interrupted", "interrupts"), ("failed", "failed")):
        ours = statistics.shares(happened(exposed, name), z)[2]
        found[rail] = ours if not control else _less(ours, statistics.shares(happened(control, name), z)[2], z)
    return {rail: one for rail, one in found.items() if math.isfinite(one.variance)}


def worse(rails: Mapping[str, Contrast]) -> list[str]:
    """The guard rails that are surely worse by more than what nobody would mind."""
    return [rail for rail, one in rails.items() if one.low > _WORSE[rail]]


def _less(ours: Contrast, theirs: Contrast, z: float) -> Contrast:
    fixed, growing = ours.fixed + theirs.fixed, ours.growing + theirs.growing
    estimate, half = ours.estimate - theirs.estimate, z * math.sqrt(fixed + growing)
    return Contrast(estimate, estimate - half, estimate + half, fixed, growing)


def _shift(strata: Strata) -> float:
    """Which share of the sessions is written by other versions and models after than before."""
    sides = [Counter[Any](), Counter[Any]()]
    for (_, flavor), pair in strata.items():
        for side in (0, 1):
            sides[side].update((flavor, *one.written_by) for one in pair[side])
    totals = [side.total() for side in sides]
    if not all(totals):
        return 0.0
    return sum(abs(sides[0][key] / totals[0] - sides[1][key] / totals[1]) for key in sides[0] | sides[1]) / 2


def _notes(plan: Registered, design: Design, exposed: Strata, shift: float, over: bool) -> tuple[str, ...]:
    found: list[str] = []
    if not _n(exposed, 1):
        found.append("no session with a baseline was told it yet")
    if _is_short(plan, exposed):
        found.append(f"{_n(exposed, 0):,} sessions before it was detected are too few to compare with")
    if plan.luck < 0.99:
        found.append(f"before counts for {1 - plan.luck:.0%} less than was seen: it was picked because it was frequent")
    if shift > _SHIFT:
        said = f"{shift:.0%} of the sessions are written by other versions or models than before"
        found.append(f"{said}: no comparison" if design == "before and after" else said)
    if over:
        found.append(f"its {plan.days} days are over")
    return tuple(found)


def _share(strata: Strata, side: int) -> Share:
    seen = [one for pair in strata.values() for one in pair[side]]
    return Share(sum(one.events > 0 for one in seen), len(seen), sum(one.events for one in seen))


def _n(strata: Strata, side: int) -> int:
    return sum(len(pair[side]) for pair in strata.values())


def _floats(values: Sequence[float]) -> np.ndarray:
    return np.array(values, dtype=float)
