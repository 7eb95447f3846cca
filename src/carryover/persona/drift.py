"""Drift: how well a codebook still stands for what users say, and what has to be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from carryover.core.persona import Label
from carryover.persona.book import Codebook, Matrix, current, nearest
from carryover.persona.phrases import Phrase, Phrases, users_of

Need = Literal["nothing", "growth", "fit"]

POOL = 40  # phrases that no label stands for, of one facet, from as many users as the floor demands ...
FAR = 0.08  # ... or this share of all that is said, and the codebook grows
RETIRED = 0.25  # share of the learned labels that were retired since the last full fit ...
PURITY = 0.8  # ... or so little agreement of names and centroids (and less than right after it): all is fitted anew
_FALLEN = 0.05
_FIRST = 200  # preferences that a first full fit needs; until then the shipped labels grow


@dataclass(frozen=True, slots=True)
class Drift:
    """How a codebook stands to what is said: shares from 0 to 1, and the largest pool of a facet."""

    far: float
    pool: int
    retired: float
    purity: float
    preferences: int


def drift(book: Codebook, phrases: Phrases, floor: int) -> Drift:
    """How far what is said has moved away from the book."""
    said = far = pool = 0
    for facet in book.facets:
        here = [phrase for phrase in phrases.all if phrase.facet == facet]
        left = far_of(book, phrases, facet)
        said += sum(len(who) for phrase in here for who in phrase.users.values())
        count = sum(len(phrase.users[None]) for phrase in left)
        far += count
        if len(users_of(left)) >= floor:
            pool = max(pool, count)
    learned = [label for label in book.labels.values() if not label.starter]
    gone = sum(label.retired is not None and label.retired > book.fitted for label in learned)
    standing = sum(label.retired is None for label in learned)
    return Drift(
        round(far / said, 6) if said else 0.0,
        pool,
        gone / (gone + standing) if gone else 0.0,
        purity(book, phrases),
        phrases.preferences,
    )


def need(book: Codebook, found: Drift) -> Need:
    """What the drift asks for."""
    if book.fitted == 0:
        if found.preferences >= _FIRST:
            return "fit"
    elif found.retired > RETIRED or found.purity < min(PURITY, book.purity - _FALLEN):
        return "fit"
    return "growth" if found.pool >= POOL or found.far > FAR else "nothing"


def far_of(book: Codebook, phrases: Phrases, facet: str) -> list[Phrase]:
    """The phrases of the facet that no label stood for when they were noticed, and none stands for now."""
    said = [phrase for phrase in phrases.of(facet) if None in phrase.users]
    now = places(book, facet, said, phrases.vectors)
    return [phrase for phrase, label in zip(said, now, strict=True) if label is None]


def users_by_label(book: Codebook, phrases: Phrases) -> dict[int, set[int]]:
    """Who says what each label stands for: as it was assigned, and what was far then as it would be now."""
    users: dict[int, set[int]] = {}
    for phrase in phrases.all:
        for given, who in phrase.users.items():
            _add(users, current(book.labels, given), who)
    for facet in book.facets:
        far = [phrase for phrase in phrases.of(facet) if None in phrase.users]
        for phrase, label in zip(far, places(book, facet, far, phrases.vectors), strict=True):
            _add(users, label, phrase.users[None])
    return users


def purity(book: Codebook, phrases: Phrases) -> float:
    """Of what users say by a label's name, the share whose nearest centroid is that label's, too."""
    agree = total = 0
    for facet in book.facets:
        known = book.known(facet)
        said = [phrase for phrase in phrases.of(facet) if current(book.labels, known.get(phrase.form)) is not None]
        near, _ = nearest(book.cells.get(facet), rows_of(said, phrases.vectors), 1.0)
        for phrase, place in zip(said, near, strict=True):
            total += len(phrase.said_by)
            same = current(book.labels, place) == current(book.labels, known[phrase.form])
            agree += len(phrase.said_by) * same
    return round(agree / total, 3) if total else 1.0


def places(book: Codebook, facet: str, phrases: Sequence[Phrase], vectors: Matrix) -> list[Label | None]:
    """By phrase, the label that stands for it."""
    known = book.known(facet)
    near, _ = nearest(book.cells.get(facet), rows_of(phrases, vectors), 1.0)
    named = (current(book.labels, known.get(phrase.form)) for phrase in phrases)
    return [label or current(book.labels, place) for label, place in zip(named, near, strict=True)]


def rows_of(phrases: Sequence[Phrase], vectors: Matrix) -> Matrix:
    """The vectors of the phrases, in order."""
    return vectors[[phrase.row or 0 for phrase in phrases]]


def _add(users: dict[int, set[int]], label: Label | None, who: set[int]) -> None:
    if label is not None:
        users.setdefault(label.id, set()).update(who)
