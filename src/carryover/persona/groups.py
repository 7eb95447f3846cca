"""Groups of centroids of one facet that say the same, by their names, their words and how near they lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from carryover.persona.book import Matrix, form, unit
from carryover.persona.cluster import clustered, together
from carryover.persona.labels import name_of, shared_forms, word_counts
from carryover.persona.phrases import Phrase, users_of

MOST = 64  # centroids of a facet that one fit makes
ALIKE = 0.45  # cosine around the facet's mean, in the mean, from which groups say the same
BESIDE = 0.55  # ... and from which a label that there is stands for a group
_MOSTLY = 0.5  # of a cluster's users, who call it by a label's name


@dataclass(slots=True, eq=False)
class Group:
    """Centroids, and the phrases around them; of a label that there is already, or with a name for one."""

    label: int | None
    rows: Matrix
    phrases: list[Phrase] = field(default_factory=list[Phrase])
    name: str = ""

    def take(self, other: Group) -> None:
        """What is the other's is this one's, too."""
        self.rows = np.concatenate([self.rows, other.rows])
        self.phrases += other.phrases


def grouped(
    phrases: Sequence[Phrase],
    rows: Matrix,
    *,
    fixed: Mapping[int, Matrix],
    known: Mapping[str, int],
    warm: Matrix | None,
    floor: int,
    seed: int,
) -> list[Group]:
    """The groups of the phrases: of the labels that are `fixed` or `known` by a phrase, and those that could be new.

    `rows` are unit vectors around the facet's mean, as are the centroids of the fixed labels. What is under the floor,
    or cannot be named, is in no group.
    """
    weights = np.array([len(phrase.said_by) for phrase in phrases], np.float32)
    centroids, which = clustered(rows, weights, MOST, seed=seed, warm=warm)
    labelled = {label: Group(label, fixed[label]) for label in sorted(fixed)}
    named: dict[str, Group] = {}
    for at, centroid in enumerate(centroids):
        group = Group(None, centroid[None], [phrases[int(n)] for n in np.flatnonzero(which == at)])
        group.label = _called(group.phrases, known)
        if group.label is not None:
            _join(labelled, group.label, group)
        else:
            said = shared_forms(group.phrases, floor)
            _join(named, said[0] if said else f"\n{at}", group)
    for key, group in list(named.items()):
        label = _beside(group, {label: fixed[label] for label in sorted(fixed)})
        if label is not None:
            _join(labelled, label, named.pop(key))
    parts = [*labelled.values(), *named.values()]
    first = together([part.rows for part in parts], len(labelled), ALIKE)
    for part, at in zip(parts, first, strict=True):
        if parts[at] is not part:
            parts[at].take(part)
    kept = [part for n, part in enumerate(parts) if first[n] == n]
    return _named(kept, floor)


def _beside(group: Group, fixed: Mapping[int, Matrix]) -> int | None:
    """The label whose two nearest centroids lie beside the group."""
    middle = unit(group.rows.mean(axis=0)[None])[0]
    near = {label: float(np.sort(rows @ middle)[-2:].mean()) for label, rows in fixed.items() if len(rows)}
    best = max(near, key=lambda label: near[label], default=None)
    return best if best is not None and near[best] >= BESIDE else None


def _called(phrases: Sequence[Phrase], known: Mapping[str, int]) -> int | None:
    """The label that most of the users call it by."""
    users: dict[int, set[int]] = {}
    for phrase in phrases:
        if phrase.form in known:
            users.setdefault(known[phrase.form], set()).update(phrase.said_by)
    if not users:
        return None
    best = min(users, key=lambda label: (-len(users[label]), label))
    return best if len(users[best]) >= _MOSTLY * len(users_of(phrases)) else None


def _named(groups: Sequence[Group], floor: int) -> list[Group]:
    everywhere = Counter[str]()
    for group in groups:
        everywhere.update(word_counts(group.phrases))
    kept: dict[str | int, Group] = {}
    for group in groups:
        if group.label is None:
            if len(users_of(group.phrases)) < floor:
                continue
            group.name = name_of(group.phrases, everywhere, floor) or ""
            if not group.name:
                continue
        _join(kept, form(group.name) if group.label is None else group.label, group)
    return list(kept.values())


def _join(groups: dict[Any, Group], key: object, group: Group) -> None:
    if key in groups:
        groups[key].take(group)
    else:
        groups[key] = group
