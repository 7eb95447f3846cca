"""Which digests are of one piece of work, so that it counts once however many logs tell of it.

A sub-agent's session belongs to the one that began it. And a session may stand in the logs of several agents: tools
carry sessions over from one to the other. Two sessions that began with the same request and ended with the same words
of a model, or began with it in the same minute and did the same throughout, are one: no model says the same twice.
They stay evidence of each agent whose log shows them, but where sessions have to be distinct, they are one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from carryover.core.clock import Time
from carryover.core.digest import Digest

Key = tuple[str, str]  # agent, session
WORDS = 30  # characters of last words from which nobody says the same twice
ALIKE = 0.8  # share of what two sessions did from which they are one
LEAST = 4  # so much has to be known of what a session did to tell it from others by that
MINUTE_MS = 60_000
DISTINCT = 2  # sessions that each of several agents has to show for itself


@dataclass(frozen=True, slots=True)
class Unit:
    """A main session with its sub-agents', in each log in which it stands; the first member names it."""

    members: tuple[Digest, ...]

    @property
    def repo(self) -> str:
        return next((member.repo for member in self.members if member.repo), "")

    @property
    def at(self) -> Time:
        """When it was last heard of; 0 where no log tells."""
        return max(member.ended_at or member.started_at or 0 for member in self.members)


def units(digests: Iterable[Digest]) -> list[Unit]:
    """All units of these digests; the same whatever order they come in."""
    every = {(one.agent_id, one.session_id): one for one in digests}
    families: defaultdict[Key, list[Digest]] = defaultdict(list)
    for key, one in every.items():
        families[_root(every, key)].append(one)
    joined = {root: root for root in families}
    for a, b in _twins([every[root] for root in sorted(families) if root in every]):
        low, high = sorted((_find(joined, a), _find(joined, b)))
        joined[high] = low
    found: defaultdict[Key, list[Digest]] = defaultdict(list)
    for root in families:
        found[_find(joined, root)] += families[root]
    return [
        Unit(tuple(sorted(members, key=lambda one: (one.kind == "subagent", one.agent_id, one.session_id))))
        for _, members in sorted(found.items())
    ]


def independent(shown: Mapping[str, set[int]]) -> int:
    """The most flavors that each have `DISTINCT` units of their own, where a unit may be told apart only once.

    By Hall's theorem they do when any of them together have `DISTINCT` times as many units as they are.
    """
    able = [flavor for flavor in sorted(shown) if len(shown[flavor]) >= DISTINCT]
    for several in range(len(able), 1, -1):
        if any(_have_enough(shown, chosen) for chosen in combinations(able, several)):
            return several
    return 1


def _have_enough(shown: Mapping[str, set[int]], chosen: tuple[str, ...]) -> bool:
    return all(
        len(set[int]().union(*(shown[flavor] for flavor in some))) >= DISTINCT * len(some)
        for n in range(2, len(chosen) + 1)
        for some in combinations(chosen, n)
    )


def _root(every: dict[Key, Digest], key: Key) -> Key:
    """The session that a sub-agent's was begun by, or by whose sub-agent; any other is its own."""
    seen = {key}
    while (one := every.get(key)) is not None and one.kind == "subagent" and one.parent:
        key = (one.agent_id, one.parent)
        if key in seen:
            return min(seen)
        seen.add(key)
    return key


def _twins(roots: list[Digest]) -> Iterator[tuple[Key, Key]]:
    """Pairs of sessions of different agents that are one."""
    ended: defaultdict[tuple[str, ...], list[Digest]] = defaultdict(list)
    began: defaultdict[tuple[str, int], list[Digest]] = defaultdict(list)
    for one in roots:
        goal, result = " ".join(one.goal.split()), " ".join(one.result.split())
        if goal and len(result) >= WORDS:
            ended[goal, result].append(one)
        if goal and one.started_at is not None:
            began[goal, one.started_at // MINUTE_MS].append(one)
    same = [(found[0], other) for found in ended.values() for other in found[1:]]
    same += [pair for found in began.values() for pair in combinations(found, 2) if _did_alike(*pair)]
    for a, b in same:
        if a.flavor != b.flavor:
            yield (a.agent_id, a.session_id), (b.agent_id, b.session_id)


def _did_alike(a: Digest, b: Digest) -> bool:
    ours, theirs = _did(a), _did(b)
    fewer = min(len(ours), len(theirs))
    return fewer >= LEAST and len(ours & theirs) >= ALIKE * fewer


def _did(one: Digest) -> set[str]:
    edited = {f"edited {file.path.rpartition('/')[2]}" for file in one.files if file.edits}
    return edited | set(one.commands) | {f"error {source.quote}" for source in one.errors}


def _find(joined: dict[Key, Key], key: Key) -> Key:
    while joined[key] != key:
        joined[key] = key = joined[joined[key]]
    return key
