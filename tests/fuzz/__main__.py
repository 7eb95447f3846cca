"""`make fuzz`: inputs that nobody means through every reader of ours; how many, how long, and what broke."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fuzz import growth
from fuzz.campaign import Campaign, every_target, led, portions, say, table
from fuzz.target import tried, watched


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    asked.add_argument("--inputs", type=int, default=1_000_000, help="of all targets together")
    asked.add_argument("--seed", type=int, default=0, help="the same seed makes the same inputs")
    asked.add_argument("--only", default="", help="targets whose names begin with this")
    asked.add_argument(
        "--folder", type=Path, default=Path(".fuzz"), help="where the run goes on from, and keeps crashes"
    )
    asked.add_argument(
        "--guided", type=float, default=0.25, help="of inputs that coverage may choose, the share that it does"
    )
    asked.add_argument("--grow", action=argparse.BooleanOptionalAction, default=True, help="time against size as well")
    asked.add_argument("--replay", type=Path, help="one input, of the target that --only names")
    told = asked.parse_args()
    targets = [target for target in every_target() if target.name.startswith(told.only)]
    if told.replay is not None:
        with watched() as go_on:
            go_on()
            crash = tried(targets[0], told.replay.read_bytes())
        say("nothing broke" if crash is None else crash.told)
        return crash is not None
    campaign = Campaign(told.folder, told.seed)
    share = told.guided if led(targets, say) else 0.0
    for name, most in portions(targets, told.inputs).items():
        target = next(one for one in targets if one.name == name)
        guided = round(most * share) if target.guided else 0
        campaign.run(target, most - guided)
        left = guided - campaign.of(target).guided
        if left > 0:
            campaign.guide(target, left)
        one = campaign.of(target)
        say(f"{name}: {one.inputs:,} inputs, {sum(one.crashes.values())} crashes, {one.seconds:.1f} s")
    slow = growth.all_of(targets, told.folder) if told.grow else []
    say(f"\nseed {told.seed}\n\n{table(campaign.standings)}")
    if told.grow:
        say(f"\ntime and memory against size: {len(slow)} of {len(targets)} targets grow faster than their inputs")
    return bool(slow) or any(one.crashes for one in campaign.standings.values())


if __name__ == "__main__":
    sys.exit(main())
