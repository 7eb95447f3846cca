"""What stands out in sessions that ended well, against those of the same repository that did not.

A habit is something that a session did or did not do. It stands out where it is in so many more of the sessions that
ended well that the two shares, each with its interval (Wilson, 95%), do not overlap. What makes a session count as
verified cannot also explain it: of tests and commits it is asked whether sessions with them failed or broke off less.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from carryover.coding.patterns.clusters import Cluster, Sighting
from carryover.coding.patterns.units import Unit
from carryover.coding.statistics import wilson
from carryover.core.digest import Digest, Outcome

KIND = "habit"
LEAST = 5  # sessions on either side
Z = 1.96
_WELL: tuple[Outcome, ...] = ("verified",)
_WELL_ENOUGH: tuple[Outcome, ...] = ("verified", "unverified")
_BADLY: tuple[Outcome, ...] = ("errored", "abandoned")
_DECIDES = ("tests", "ran git commit", "ran git push", "ran gh pr", "ran glab mr")
_TOOLS = ("plan", "agent", "search", "web")


@dataclass(frozen=True, slots=True)
class Habit:
    """A habit that stands out, and the units that ended well enough to be asked for it."""

    cluster: Cluster
    among: frozenset[int]


def habits(units: Sequence[Unit]) -> list[Habit]:
    """All habits that stand out in a repository; one that does in several is one."""
    repos: defaultdict[str, list[int]] = defaultdict(list)
    for n, unit in enumerate(units):
        if unit.repo:
            repos[unit.repo].append(n)
    did = {n: dict(_did(units[n])) for found in repos.values() for n in found}
    shown: defaultdict[str, list[Sighting]] = defaultdict(list)
    among: defaultdict[str, set[int]] = defaultdict(set)
    notes: defaultdict[str, list[str]] = defaultdict(list)
    for repo, found in sorted(repos.items()):
        for habit in sorted({habit for n in found for habit in did[n]}):
            well_enough = _WELL_ENOUGH if habit in _DECIDES else _WELL
            well = [n for n in found if _outcome(units[n]) in well_enough]
            badly = [n for n in found if _outcome(units[n]) in _BADLY]
            here = [n for n in well if habit in did[n]]
            there = sum(habit in did[n] for n in badly)
            if _stands_out(len(here), len(well), there, len(badly)):
                shown[habit] += [Sighting(n, one, 1, one.because) for n in here for one in did[n][habit]]
                among[habit].update(well)
                notes[habit].append(
                    f"{repo}: {len(here)} of {len(well)} sessions that ended well, {there} of {len(badly)} others"
                )
    return [
        Habit(Cluster(KIND, habit, True, "", tuple(shown[habit]), "; ".join(notes[habit])), frozenset(among[habit]))
        for habit in sorted(shown)
    ]


def _stands_out(with_it: int, well: int, without: int, badly: int) -> bool:
    if with_it < LEAST or badly < LEAST:
        return False
    return wilson(with_it, well, Z).low > wilson(without, badly, Z).high


def _outcome(unit: Unit) -> Outcome:
    return unit.members[0].outcome


def _did(unit: Unit) -> Iterator[tuple[str, list[Digest]]]:
    """What was done in the unit, and the sessions of it in which it was."""
    found: defaultdict[str, list[Digest]] = defaultdict(list)
    for one in unit.members:
        for habit in sorted(habits_of(one)):
            found[habit].append(one)
    yield from found.items()


def habits_of(one: Digest) -> set[str]:
    """What the session did, as keys of habits."""
    found = {f"ran {command}" for command in one.commands}
    found |= {f"used {tool}" for tool in _TOOLS if tool in one.tools and one.tools[tool].calls}
    if one.tests.runs:
        found.add("tests")
    edited = [file for file in one.files if file.edits]
    if edited and all(file.reads for file in edited):
        found.add("read first")
    return found
