"""From digests to patterns, without a model: what recurs over sessions, repositories and agents.

Signals of one kind with nearly the same key are a cluster (`clusters`), and a session counts once in it, its
sub-agents' with it (`units`). Each number is a share: so many sessions out of those that could have shown it (`risk`).
What stands out in sessions that ended well is found by contrast (`contrast`).

    score = sqrt(sessions) x repositories x agents x specificity x recency

Agents count as far as each has sessions of its own to show (`units.independent`). Specificity takes what names nothing
in particular, and commands that every session runs, for less. Recency halves with every `HALF_LIFE_MS` between the
last session that shows the pattern and the newest of all. Nothing here asks for the time, so that the same digests
make the same patterns, in the same order.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from carryover.coding.patterns import advice, risk
from carryover.coding.patterns.clusters import Cluster, Sighting, clusters
from carryover.coding.patterns.contrast import habits
from carryover.coding.patterns.units import Unit, independent, units
from carryover.core.clock import DAY_MS, Time
from carryover.core.digest import Digest
from carryover.core.pattern import Evidence, Pattern, Share
from carryover.core.session import Source
from carryover.core.step import Flavor, uid

MOST_EVIDENCE = 8
HALF_LIFE_MS = 90 * DAY_MS
_PLACES = 4  # of a score that are kept
_TELLING = 8  # characters from which a quote says something
_NONE = frozenset[int]()


def _all(_: Digest) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Exposed:
    """The units that could have shown a pattern: all, by the flavors whose logs could, and by repository."""

    units: frozenset[int]
    flavors: Mapping[str, frozenset[int]]
    repos: Mapping[str, frozenset[int]]


@dataclass(frozen=True, slots=True)
class Sample:
    """The sessions that are looked at; only `wanted` ones count."""

    units: Sequence[Unit]
    wanted: Callable[[Digest], bool]
    newest: Time
    _exposed: dict[risk.Risk, Exposed] = field(default_factory=dict[risk.Risk, Exposed])

    def at_risk(self, what: risk.Risk) -> Exposed:
        """The units that could have shown a signal."""
        if what not in self._exposed:
            self._exposed[what] = self.exposed(range(len(self.units)), lambda one: risk.holds(what, one))
        return self._exposed[what]

    def exposed(self, among: Iterable[int], able: Callable[[Digest], bool] = _all) -> Exposed:
        flavors: defaultdict[str, set[int]] = defaultdict(set)
        repos: defaultdict[str, set[int]] = defaultdict(set)
        for n in among:
            for one in self.units[n].members:
                if self.wanted(one) and able(one):
                    flavors[one.flavor].add(n)
                    repos[self.units[n].repo].add(n)
        return Exposed(frozenset[int]().union(*repos.values()), _frozen(flavors), _frozen(repos))


def detected(
    digests: Iterable[Digest],
    known: Mapping[str, Iterable[str]],
    *,
    least: int,
    wanted: Callable[[Digest], bool] = _all,
) -> list[Pattern]:
    """Candidates that at least so many of the `wanted` sessions show, the highest score first.

    `known` are keys of patterns by their kind: what joins them keeps their id. All digests make the clusters, so
    that a pattern is the same one whatever is wanted.
    """
    every = units(digests)
    sample = Sample(every, wanted, max((unit.at for unit in every), default=0))
    made = [
        pattern_of(cluster, sample.at_risk(risk.of(cluster.kind, cluster.key)), sample)
        for cluster in clusters(sample.units, known)
    ]
    made += [pattern_of(habit.cluster, sample.exposed(habit.among), sample) for habit in habits(sample.units)]
    frequent = (pattern for pattern in made if pattern.total.sessions >= max(least, 1))
    return sorted(frequent, key=lambda pattern: (-pattern.score, -pattern.total.sessions, pattern.id))


def id_of(kind: str, key: str) -> str:
    """The same on every machine and in every run."""
    return f"p_{uid(kind, key)[:12]}"


def pattern_of(cluster: Cluster, exposed: Exposed, sample: Sample) -> Pattern:
    """The cluster as a candidate, counted over the sessions that are wanted."""
    shown = [sighting for sighting in cluster.sightings if sample.wanted(sighting.digest)]
    in_each: defaultdict[int, Counter[Flavor]] = defaultdict(Counter)
    for sighting in shown:
        in_each[sighting.unit][sighting.digest.flavor] += sighting.count
    # A session that stands in the logs of two agents is told in both, and happened once.
    counts = {n: max(by_flavor.values()) for n, by_flavor in in_each.items()}
    flavors: defaultdict[str, dict[int, int]] = defaultdict(dict)
    repos: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for n, by_flavor in in_each.items():
        repos[sample.units[n].repo][n] = counts[n]
        for flavor, count in by_flavor.items():
            flavors[flavor][n] = count
    named = sorted(repo for repo in repos if repo)
    agents = independent({flavor: set(found) for flavor, found in flavors.items()})
    times = [at for n in in_each if (at := sample.units[n].at)]
    words = advice.words_of(cluster.kind, cluster.key, cluster.text)
    age = sample.newest - max(times, default=0)
    score = math.sqrt(len(in_each)) * max(len(named), 1) * agents
    score *= advice.specificity(cluster.kind, cluster.key) * 0.5 ** (age / HALF_LIFE_MS)
    return Pattern(
        id=id_of(cluster.kind, cluster.key),
        version=0,
        state="candidate",
        signal=cluster.kind,
        key=cluster.key,
        title=words.title,
        lesson=words.lesson,
        good=cluster.good,
        cross_flavor=agents > 1,
        score=round(score, _PLACES),
        total=_share(counts, exposed.units),
        flavors={flavor: _share(flavors[flavor], exposed.flavors.get(flavor, _NONE)) for flavor in sorted(flavors)},
        repos={repo: _share(repos[repo], exposed.repos.get(repo, _NONE)) for repo in named},
        first_seen=min(times, default=None),
        last_seen=max(times, default=None),
        reason=cluster.note,
        evidence=_evidence(shown, sample),
    )


def _share(counts: Mapping[int, int], exposed: frozenset[int]) -> Share:
    return Share(len(counts), len(exposed | counts.keys()), sum(counts.values()))


def _frozen(found: Mapping[str, set[int]]) -> dict[str, frozenset[int]]:
    return {name: frozenset(units) for name, units in found.items()}


def _evidence(shown: Sequence[Sighting], sample: Sample) -> tuple[Evidence, ...]:
    """At most `MOST_EVIDENCE` quotes, each of another session, in turn of each flavor; the newest sessions first."""
    waiting: defaultdict[Flavor, list[tuple[Sighting, Source]]] = defaultdict(list)
    newest = sorted(shown, key=lambda one: (-sample.units[one.unit].at, one.unit, one.digest.session_id))
    for telling in (True, False):  # first those whose quote says more than that something was wrong
        for one in newest:
            source = max(one.sources, key=lambda source: len(source.quote) >= _TELLING, default=None)
            if source is not None and source.quote and (len(source.quote) >= _TELLING) == telling:
                waiting[one.digest.flavor].append((one, source))
    chosen: list[Evidence] = []
    used = set[int]()
    # Flavors with few sessions choose first, while theirs are free.
    order = sorted(waiting, key=lambda flavor: (len(waiting[flavor]), flavor))
    while len(chosen) < MOST_EVIDENCE and any(waiting.values()):
        for flavor in order:
            free = next((pair for pair in waiting[flavor] if pair[0].unit not in used), None)
            if free is None or len(chosen) == MOST_EVIDENCE:
                waiting[flavor] = []
                continue
            one, source = free
            used.add(one.unit)
            place = (one.digest.agent_id, source.session_id, source.first, source.last)
            chosen.append(Evidence(*place, source.quote, sample.units[one.unit].repo))
    return tuple(chosen)
