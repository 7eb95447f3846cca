"""Signals of one kind whose keys say the same in nearly the same words are one cluster, whatever order they come in.

Two keys are alike when they are about the same (`shell go build: …`) and share most of the words of what was said
(`ALIKE`, Jaccard). Keys that are that alike share one of their rarest words, so each is compared only with those that
do: the work grows with the keys, not with their pairs. What joins is compared with the key that stands for the cluster
and with no other, so that clusters do not drift.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from carryover.coding.patterns.units import Unit
from carryover.core.digest import Digest, Signal
from carryover.core.session import Source

ALIKE = 0.7
TESTS_FAILED = "tests failed"
_RED = f"tests: {TESTS_FAILED}"
_OF_FILES = ("wrong_path", "reread", "edit_revert", "edit_churn")
_RATES = ("tool_errors", "idle_gap")  # numbers about a session, which are no habit
NAMED = ("edit_before_read", "edit_mismatch", "wrong_path", "subagent_failed")  # kinds of errors with a name
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Sighting:
    """One session's log shows it, so often and here; `unit` is the place of its unit in the list of all."""

    unit: int
    digest: Digest
    count: int
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What becomes one pattern: a kind and the key that stands for it, and where it was seen."""

    kind: str
    key: str
    good: bool
    text: str
    sightings: tuple[Sighting, ...]
    note: str = ""


def clusters(units: Sequence[Unit], known: Mapping[str, Iterable[str]]) -> list[Cluster]:
    """All clusters of the units' signals; `known` are keys of patterns by their kind."""
    seen: defaultdict[str, defaultdict[str, list[tuple[Signal, Sighting]]]] = defaultdict(lambda: defaultdict(list))
    for n, unit in enumerate(units):
        for one in unit.members:
            for signal in one.signals:
                if signal.kind in _RATES:
                    continue
                seen[signal.kind][key_of(signal)].append((signal, Sighting(n, one, signal.count, signal.sources)))
    made: list[Cluster] = []
    for kind, keys in sorted(seen.items()):
        sessions = {key: len({sighting.unit for _, sighting in shown}) for key, shown in keys.items()}
        joined: defaultdict[str, list[tuple[Signal, Sighting]]] = defaultdict(list)
        for key, stands_for in sorted(merged(sessions, set(known.get(kind, ()))).items()):
            joined[stands_for] += keys[key]
        for key, shown in joined.items():
            texts = Counter(signal.text for signal, _ in shown)
            text = min(texts, key=lambda text: (-texts[text], text))
            good = all(signal.good for signal, _ in shown)
            made.append(Cluster(kind, key, good, text, tuple(sighting for _, sighting in shown)))
    return _told_once(made)


def key_of(signal: Signal) -> str:
    """The signal's key, without what says nothing about the habit behind it: with what a file was looked for, and its
    ending; which tests failed.
    """
    if signal.kind in _OF_FILES:
        return "file"
    return _RED if signal.key.endswith(f": {TESTS_FAILED}") else signal.key


def _told_once(made: Sequence[Cluster]) -> list[Cluster]:
    """Without errors that are all told by a kind of their own already: an edit of an unread file fails as such."""
    named = {place for cluster in made if cluster.kind in NAMED for place in _places(cluster)}
    return [cluster for cluster in made if cluster.kind != "error" or not _places(cluster) <= named]


def _places(cluster: Cluster) -> set[tuple[str, str, int]]:
    return {
        (sighting.digest.agent_id, source.session_id, source.first)
        for sighting in cluster.sightings
        for source in sighting.sources
    }


def merged(keys: Mapping[str, int], known: Collection[str] = ()) -> dict[str, str]:
    """Each key with the one that stands for it; `keys` says how many sessions show each.

    Those that are `known` stand for others, so that a cluster keeps its name while it grows; then the most frequent.
    """
    order = [*sorted(known), *sorted(keys.keys() - set(known), key=lambda key: (-keys[key], key))]
    about: defaultdict[str, list[str]] = defaultdict(list)
    for key in order:
        about[key.partition(": ")[0].casefold()].append(key)
    stands_for: dict[str, str] = {}
    for alike in about.values():
        stands_for |= _joined(alike, frozenset(known))
    return {key: stands_for[key] for key in keys}


def _joined(keys: Sequence[str], known: frozenset[str]) -> dict[str, str]:
    """The same for keys that are about one thing, in the order in which they may stand for others."""
    words = {key: _words(key) for key in keys}
    frequency = Counter(word for found in words.values() for word in found)
    standing: defaultdict[str, list[str]] = defaultdict(list)  # by their rarest words
    stands_for: dict[str, str] = {}
    for key in keys:
        # So many of the rarest words that a key as alike as `ALIKE` has one of them among its own.
        several = len(words[key]) - math.ceil(ALIKE * len(words[key])) + 1
        rare = sorted(words[key], key=lambda word: (frequency[word], word))[:several]
        near = {other: _alike(words[key], words[other]) for word in rare for other in standing[word]}
        most = max(near, key=lambda other: (near[other], other), default=None)
        if key in known or most is None or near[most] < ALIKE:
            stands_for[key] = key
            for word in rare:
                standing[word].append(key)
        else:
            stands_for[key] = most
    return stands_for


def _words(key: str) -> frozenset[str]:
    """The words of what was said, behind what the key is about."""
    return frozenset(_WORD.findall(key.partition(": ")[2].casefold())) or frozenset(("",))


def _alike(a: frozenset[str], b: frozenset[str]) -> float:
    """From 0 to 1: how much of all their words both have."""
    return len(a & b) / len(a | b)
