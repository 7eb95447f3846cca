"""What a tenant's users said, phrase by phrase: who said it, and under which label it came.

A codebook is fitted on phrases and distinct users, never on how often one user said something. However many
preferences there are, what is kept of them in memory grows with the phrases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from carryover.core.persona import PERSONAL, Preference
from carryover.core.ports import Embedder
from carryover.persona.book import Matrix, form, unit

SLIPS = 4  # times as many users say it in another facet: then it was put under this one by mistake
_BATCH = 256  # phrases that are embedded at once


@dataclass(slots=True)
class Phrase:
    """One value in one facet. `users` are numbers of those who said it, by the label that it was assigned to."""

    facet: str
    value: str
    form: str
    row: int | None  # of the vectors
    users: dict[int | None, set[int]] = field(default_factory=dict[int | None, set[int]])

    @property
    def said_by(self) -> set[int]:
        """All who said it."""
        return set[int]().union(*self.users.values())


@dataclass(frozen=True, slots=True, eq=False)
class Phrases:
    """What was said, in one order whatever came first; `users` and `preferences` are how many there are."""

    all: tuple[Phrase, ...]
    vectors: Matrix
    users: int
    preferences: int
    most: Mapping[str, int] = field(default_factory=dict[str, int])  # by form, users in the facet in which most say it

    def of(self, facet: str) -> list[Phrase]:
        """The phrases of a facet that have a vector, but for those that only slipped into it."""
        here = (phrase for phrase in self.all if phrase.facet == facet and phrase.row is not None)
        return [phrase for phrase in here if len(phrase.said_by) * SLIPS > self.most.get(phrase.form, 0)]


def gathered(preferences: Iterable[Preference], space: str) -> Phrases:
    """The phrases of these preferences; vectors of another space are left out, and so is what is of no facet."""
    found: dict[tuple[str, str], Phrase] = {}
    vectors: dict[tuple[str, str], bytes] = {}
    numbers: dict[str, int] = {}
    count = 0
    for said in preferences:
        count += 1
        user = numbers.setdefault(said.user_id, len(numbers))
        if said.facet == PERSONAL:
            continue
        key = said.facet, said.value
        phrase = found.setdefault(key, Phrase(said.facet, said.value, form(said.value), None))
        phrase.users.setdefault(said.label, set()).add(user)
        if said.vector is not None and said.space == space:
            # One and the same whatever was read first, also where an embedder is not exact to the bit.
            vectors[key] = min(vectors.get(key, said.vector), said.vector)
    for row, key in enumerate(sorted(vectors)):
        found[key].row = row
    rows = [np.frombuffer(vectors[key], "<f4") for key in sorted(vectors)]
    matrix = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
    ordered = tuple(found[key] for key in sorted(found))
    most: dict[str, int] = {}
    for phrase in ordered:
        most[phrase.form] = max(most.get(phrase.form, 0), len(phrase.said_by))
    return Phrases(ordered, matrix, len(numbers), count, most)


def embedded(phrases: Phrases, embedder: Embedder) -> Phrases:
    """Every phrase has its vector: those that lack one are embedded."""
    left = [phrase for phrase in phrases.all if phrase.row is None]
    if not left:
        return phrases
    made: list[Matrix] = []
    for start in range(0, len(left), _BATCH):
        part = left[start : start + _BATCH]
        made.append(np.asarray(embedder.embed([phrase.value for phrase in part]), np.float32))
    new = unit(np.concatenate(made))
    first = len(phrases.vectors)
    numbered = {id(phrase): first + n for n, phrase in enumerate(left)}
    vectors = np.concatenate([phrases.vectors, new]) if first else new
    rows = tuple(replace(phrase, row=numbered[id(phrase)]) if phrase.row is None else phrase for phrase in phrases.all)
    return replace(phrases, all=rows, vectors=vectors)


def users_of(phrases: Sequence[Phrase]) -> set[int]:
    """All who said one of them."""
    return set[int]().union(*(phrase.said_by for phrase in phrases))
