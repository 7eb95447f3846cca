"""How often a verdict is wrong, and how often it is found: roll-outs that are simulated, with what they changed known.

    python -m benchmarks.rollout [--simulations 200] [--seed 1]

Sessions are drawn as they were counted in 284 real ones: calls are spread log-normally around a median of 49 (mean
68), errors come in bursts (negative binomial, phi about 2), and repositories differ from each other. A pattern is told
after it was detected, with nothing changed (null) or half as often (planted). Every row is so many roll-outs, looked at
every day or once; at each look all sessions so far are compared, and the first verdict that is sure counts. A null may
be `helped` in 2.5 % and `harmful` in 5 % (half of which is for the guard rails).
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from dataclasses import dataclass

import numpy as np

from carryover.coding.rollout import compare
from carryover.coding.rollout.compare import Goal
from carryover.coding.rollout.measure import effects
from carryover.coding.rollout.observe import Observed
from carryover.core.clock import DAY_MS
from carryover.core.pattern import Exposure, Verdict

DETECTED, TOLD = 60, 62  # days
OTHERS = 20  # patterns beside the one that is told, from which it is learnt how much they differ
CALLS_MEDIAN, CALLS_SIGMA = 49.0, 0.81
PHI = 2.05
SURE: tuple[Verdict, ...] = ("helped", "harmful", "no evidence")


@dataclass(frozen=True)
class Scene:
    """A roll-out: how many sessions a day in how many repositories, how often the pattern shows, and what telling does.

    `before_days` of sessions stand behind the detection. With `control`, half of the repositories are not told; `drift`
    is by what all sessions change as time goes, told or not. Of `picked` patterns, the one seen most often is told.
    """

    name: str
    per_call: bool
    base: float
    factor: float = 1.0
    per_day: int = 10
    repos: int = 4
    control: bool = False
    drift: float = 1.0
    picked: int = 1
    days: int = 90
    looks: str = "daily"


def sessions(scene: Scene, draw: np.random.Generator) -> tuple[list[Observed], list[tuple[float, float]]]:
    """All sessions of a roll-out until its end, in order; and how many showed each pattern before, of how many."""
    each_day = draw.poisson(scene.per_day, TOLD + scene.days)
    day = np.repeat(np.arange(TOLD + scene.days), each_day)
    n = len(day)
    at = np.sort((day + draw.random(n)) * DAY_MS).astype(int)
    repo = draw.integers(scene.repos, size=n)
    calls = np.maximum(draw.lognormal(math.log(CALLS_MEDIAN), CALLS_SIGMA, n).astype(int), 1)
    told = (at >= TOLD * DAY_MS) & ~(scene.control & (repo % 2 == 1))
    changed = np.where(at >= TOLD * DAY_MS, scene.drift, 1.0) * np.where(told, scene.factor, 1.0)
    before = at < DETECTED * DAY_MS
    candidates: list[np.ndarray] = []
    for _ in range(max(scene.picked, OTHERS)):
        # Of those that it is picked from none is more frequent than the others: that it seems to be is all chance.
        base = scene.base if scene.picked > 1 or not candidates else scene.base * math.exp(draw.normal(0, 0.5))
        share = min(base, 0.5) * np.exp(draw.normal(0, 0.3, scene.repos))[repo] * changed
        # With this many successes a negative binomial has a variance of PHI times its mean.
        bursts = draw.negative_binomial(calls * np.minimum(share, 0.5) / (PHI - 1), 1 / PHI)
        candidates.append(np.minimum(bursts, calls) if scene.per_call else draw.random(n) < share)
    shares = [(float((events[before] > 0).sum()), float(before.sum())) for events in candidates]
    chosen = max(range(scene.picked), key=lambda k: shares[k][0])
    tokens, active = draw.lognormal(13, 1, n).astype(int), draw.lognormal(7, 1, n).astype(int)
    interrupted, failed = draw.random(n) < 0.268, draw.random(n) < 0.15
    seen = [
        Observed(
            f"repo-{repo[k]}",
            "claude-code",
            int(at[k]),
            int(candidates[chosen][k]),
            int(calls[k]) if scene.per_call else 0,
            tokens=int(tokens[k]),
            active_s=int(active[k]),
            interrupts=int(interrupted[k]),
            failed=bool(failed[k]),
            written_by=("2.1", "opus"),
        )
        for k in range(n)
    ]
    return seen, shares


def verdicts(scene: Scene, draw: np.random.Generator) -> tuple[Verdict, int]:
    """The first sure verdict of the roll-out and its day, else the last one."""
    seen, others = sessions(scene, draw)
    plan = compare.register(seen, DETECTED * DAY_MS, False, Goal(days=scene.days), others)
    detail = {"readers": ["claude-code"], "registered": plan_of(plan)}
    told = [
        Exposure("p", 1, f"/{n}", f"repo-{n}", "codex", TOLD * DAY_MS, detail={**detail, "repos": [f"repo-{n}"]})
        for n in range(scene.repos)
        if not (scene.control and n % 2)
    ]
    verdict: Verdict = "underpowered"
    for day in range(TOLD + 1, TOLD + scene.days + 1) if scene.looks == "daily" else (TOLD + scene.days,):
        now = day * DAY_MS
        verdict = effects([compare.compared("p", 1, [one for one in seen if one.at < now], told, now)], now)[0].verdict
        if verdict in SURE:
            return verdict, day - TOLD
    return verdict, scene.days


def plan_of(plan: compare.Registered) -> dict[str, object]:
    return {name: getattr(plan, name) for name in plan.__slots__}


SCENES = (
    Scene("per call, nothing changed", True, 0.0447),
    Scene("per call, nothing changed, one look", True, 0.0447, looks="once"),
    Scene("per call, halved", True, 0.0447, 0.5),
    Scene("per call, a third less", True, 0.0447, 0.67),
    Scene("per call, picked of 40 alike, nothing changed", True, 0.003, picked=40),
    Scene("per call, control, nothing changed", True, 0.0447, control=True),
    Scene("per call, control, all drift down a third", True, 0.0447, control=True, drift=0.67),
    Scene("per call, control, halved", True, 0.0447, 0.5, control=True),
    Scene("per session 32 %, nothing changed", False, 0.324),
    Scene("per session 32 %, nothing changed, one look", False, 0.324, looks="once"),
    Scene("per session 32 %, halved", False, 0.324, 0.5),
    Scene("per session 17 %, nothing changed", False, 0.169),
    Scene("per session 17 %, halved", False, 0.169, 0.5),
    Scene("per session 17 %, picked of 40 alike, nothing changed", False, 0.169, picked=40),
    Scene("per session 9 %, nothing changed", False, 0.088),
    Scene("per session 9 %, halved", False, 0.088, 0.5),
    Scene("per session 32 %, control, nothing changed", False, 0.324, control=True),
    Scene("per session 32 %, control, all drift down a third", False, 0.324, control=True, drift=0.67),
    Scene("per session 32 %, control, halved", False, 0.324, 0.5, control=True),
    Scene("per session 17 %, doubled", False, 0.169, 2.0),
)


def table(simulations: int, seed: int) -> None:
    heads = ("roll-out", "helped", "no evidence", "underpowered", "harmful", "median day")
    print(f"\n| {' | '.join(heads)} |\n|---|{'---:|' * (len(heads) - 1)}", flush=True)
    for n, scene in enumerate(SCENES):
        draw = np.random.default_rng([seed, n])
        found = [verdicts(scene, draw) for _ in range(simulations)]
        counts = Counter(verdict for verdict, _ in found)
        shares = [
            f"{100 * counts[verdict] / simulations:.1f} %"
            for verdict in ("helped", "no evidence", "underpowered", "harmful")
        ]
        day = int(np.median([day for _, day in found]))
        print(f"| {scene.name} | {' | '.join(shares)} | {day} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    table(asked.simulations, asked.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
