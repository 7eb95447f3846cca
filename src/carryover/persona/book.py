"""The codebook: which labels a tenant's users share, and which of them stands for what somebody said.

A value that is a label's name, or another name of it, is that label; else the nearest centroid decides, where it is
near enough. Vectors are those of the value alone. They are blind to polarity, so a label stands for both.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from carryover.core.errors import DataLoss
from carryover.core.persona import FACETS, PERSONAL, Label, PersonaStrategy, Preference, Why
from carryover.core.ports import Embedder
from carryover.core.text import canonical_json

if TYPE_CHECKING:
    from carryover.persona.starter import Seed

Matrix = NDArray[np.float32]

FIRST_LEARNED = 1000
FIRST_OWN = 1 << 40  # labels of facets that a tenant adds: their ids follow from facet and name
REACH = 0.45  # how far from a centroid of a shipped label what it stands for may lie: 1 - cosine, centred
CENTRED = 8  # vectors from which their mean says something
STRICT = 0.8  # of the reach, where no facet was named
# What of a book is JSON as it stands.
_PLAIN = ("version", "space", "strategy", "terms", "learned", "fitted", "purity", "why", "preferences", "users", "far")
_BATCH = 64  # texts that are embedded at once
_MAGIC = b"carryover codebook 1\n"
_ROWS = 4096  # that are compared with all centroids at once
_MOST_STARTERS = 8
_starters: dict[tuple[str, tuple[Seed, ...]], Codebook] = {}
_starting = threading.Lock()
_ARTICLES = frozenset(("a", "an", "the", "some", "my", "your"))
_WORD = re.compile(r"[^\W_]+(?:[.+#]+[^\W_]*)*|[.][^\W_]+")


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The centroids of a facet: unit vectors around the facet's mean, each with its label and how far it reaches.

    The `sown` ones are of texts that were shipped, not of what users said.
    """

    mean: Matrix
    centroids: Matrix
    labels: NDArray[np.int64]
    reach: Matrix
    sown: NDArray[np.bool_]

    @property
    def dim(self) -> int:
        return self.mean.size

    def absolute(self) -> Matrix:
        """The unit vectors, not centred, that the centroids would be of."""
        along = self.centroids @ self.mean
        rest = np.sqrt(np.maximum(along**2 + 1 - self.mean @ self.mean, 0))
        return unit(np.asarray(self.mean + (rest - along)[:, None] * self.centroids, np.float32))

    def only(self, kept: Sequence[bool]) -> Cells:
        """Without the centroids that are not kept; the others as they are."""
        rows = np.asarray(kept, np.bool_)
        return Cells(self.mean, self.centroids[rows], self.labels[rows], self.reach[rows], self.sown[rows])

    def plus(self, centroids: Matrix, labels: Any, reach: float, *, sown: bool = False) -> Cells:
        """With further centroids behind those that there are."""
        return Cells(
            self.mean,
            np.vstack([self.centroids, halved(centroids)]),
            np.concatenate([self.labels, np.asarray(labels, np.int64)]),
            np.concatenate([self.reach, halved(np.full(len(labels), reach))]),
            np.concatenate([self.sown, np.full(len(labels), sown)]),
        )


@dataclass(frozen=True, slots=True)
class Codebook:
    """One version of a tenant's codebook. No id that a label ever had is given to another.

    What names a label without a vector stands by facet in `terms`, as it is shipped, and in `learned`: phrases that
    enough users have for it. `fitted` is the version of the last full fit, 0 if there was none, and `purity` what it
    came to. `why` the version was made, and of how many `preferences` and `users`; `far` is the share of preferences
    that no label stood for then. Where the strategy is the plain one, `tells` are by centroid the lines that its users
    share, and how many of them say each, 0 to 1.
    """

    version: int = 1
    space: str = ""  # of the centroids; "" where there are none
    strategy: PersonaStrategy = "facets"
    facets: tuple[str, ...] = FACETS
    labels: Mapping[int, Label] = field(default_factory=dict[int, Label])
    terms: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    learned: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    cells: Mapping[str, Cells] = field(default_factory=dict[str, Cells])
    fitted: int = 0
    purity: float = 1.0
    why: Why = "starter"
    preferences: int = 0
    users: int = 0
    far: float = 0.0
    tells: tuple[tuple[tuple[str, float], ...], ...] = ()

    @property
    def next_id(self) -> int:
        """An id that no label has had."""
        return max((FIRST_LEARNED, *(id + 1 for id in self.labels if id < FIRST_OWN)))

    def known(self, facet: str) -> dict[str, int]:
        """The labels of the facet by what they are called."""
        return {**self.learned.get(facet, {}), **self.terms.get(facet, {})}


def form(value: str) -> str:
    """What two spellings of one phrase share: words in lower case and in the singular, without an article before."""
    words = _WORD.findall(unicodedata.normalize("NFKC", value).casefold())
    return " ".join(map(_singular, words[1:] if len(words) > 1 and words[0] in _ARTICLES else words))


def words_of(value: str) -> list[str]:
    """The words of a phrase as `form` has them."""
    return form(value).split()


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def halved(rows: Any) -> Matrix:
    """As 16-bit floats tell it, which is how a book is kept: the same before and after."""
    return np.asarray(rows, np.float32).astype("<f2").astype(np.float32)


def unit(rows: Matrix) -> Matrix:
    """Rows of unit length; one of no length stays as it is."""
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return rows / np.where(length > 1e-9, length, 1).astype(np.float32)[:, None]


def centre(rows: Matrix) -> Matrix:
    """The centre of a facet: none where too few vectors would be each other's centre."""
    return halved(rows.mean(axis=0) if len(rows) >= CENTRED else np.zeros(rows.shape[1]))


def starter_book(seeds: Sequence[Seed], embedder: Embedder | None) -> Codebook:
    """The shipped labels, and those of a tenant's own facets; without an embedder only their names are known.

    Tenants that begin with the same ones share it: their texts are embedded once in a process.
    """
    key = ("" if embedder is None else embedder.name), tuple(seeds)
    with _starting:
        if key not in _starters:
            if len(_starters) >= _MOST_STARTERS:
                _starters.clear()
            _starters[key] = seeded(Codebook(space=key[0]), seeds, embedder)
        return _starters[key]


def seeded(book: Codebook, seeds: Sequence[Seed], embedder: Embedder | None) -> Codebook:
    """The book with the seeds that it lacks, the same book where it lacks none; its centroids stay as they are."""
    new = [seed for seed in map(_numbered, seeds) if seed.id not in book.labels]
    if not new:
        return book
    facets = tuple(dict.fromkeys((*book.facets, *(seed.facet for seed in new))))
    made = {
        seed.id: Label(seed.id, seed.facet, seed.name, seed.likes, seed.avoids, starter=True, since=book.version)
        for seed in new
    }
    terms = {facet: dict(named) for facet, named in book.terms.items()}
    for seed in new:
        for phrase in (seed.name, *seed.aliases):
            terms.setdefault(seed.facet, {}).setdefault(form(phrase), seed.id)
    cells = dict(book.cells)
    if embedder is not None and embedder.name == book.space:
        cells |= _sown(cells, new, embedder)
    return replace(book, facets=facets, labels={**book.labels, **made}, terms=terms, cells=cells)


def resown(book: Codebook, seeds: Sequence[Seed], embedder: Embedder) -> Codebook:
    """The book in the embedder's space, with the centroids of the seeds alone: the others have to be fitted anew."""
    known = seeded(replace(book, space="", cells={}, strategy="facets", tells=()), seeds, None)
    return replace(known, space=embedder.name, cells=_sown({}, list(map(_numbered, seeds)), embedder))


def _numbered(seed: Seed) -> Seed:
    return replace(seed, id=seed.id or own_id(seed.facet, seed.name))


def _sown(cells: Mapping[str, Cells], seeds: Sequence[Seed], embedder: Embedder) -> dict[str, Cells]:
    texts = [(seed, text) for seed in seeds for text in dict.fromkeys((seed.name, *seed.texts))]
    said = [text for _, text in texts]
    parts = [embedder.embed(said[at : at + _BATCH]) for at in range(0, len(said), _BATCH)]  # others embed in between
    vectors = unit(np.concatenate([np.asarray(part, np.float32) for part in parts]))
    grown: dict[str, Cells] = {}
    for facet in dict.fromkeys(seed.facet for seed in seeds):
        here = [n for n, (seed, _) in enumerate(texts) if seed.facet == facet]
        base = cells.get(facet) or empty_cells(centre(vectors[here]))
        labels = [texts[n][0].id for n in here]
        grown[facet] = base.plus(unit(vectors[here] - base.mean), labels, REACH, sown=True)
    return grown


def empty_cells(mean: Matrix) -> Cells:
    """No centroid yet."""
    none = np.zeros(0, np.float32)
    return Cells(mean, none.reshape(0, mean.size), none.astype(np.int64), none, none.astype(np.bool_))


def own_id(facet: str, name: str) -> int:
    """The id of a label that a tenant's settings name: the same wherever and whenever it is asked for."""
    return FIRST_OWN + int.from_bytes(hashlib.sha256(f"{facet}\n{form(name)}".encode()).digest()[:5], "big")


def current(labels: Mapping[int, Label], label: int | None) -> Label | None:
    """The label, or the one that stands for it by now; None where none does."""
    met: set[int] = set()
    while label is not None and label not in met:
        met.add(label)
        found = labels.get(label)
        if found is None or found.retired is None:
            return found
        label = found.retired_into
    return None


def choices(book: Codebook) -> tuple[Label, ...]:
    """The labels that a user may be told by, in the order in which personas tell them."""
    place = {facet: n for n, facet in enumerate(book.facets)}
    alive = (label for label in book.labels.values() if label.retired is None)
    return tuple(sorted(alive, key=lambda label: (place.get(label.facet, len(place)), label.id)))


def assign(book: Codebook, facet: str, value: str, vector: bytes | None) -> tuple[str, int | None]:
    """The facet, found where none was named, and the label that stands for the value; None: it is far from all.

    The vector has to be of the book's space.
    """
    named = _called(book, facet, form(value))
    if named is not None or vector is None:
        return named or (facet, None)
    row = np.frombuffer(vector, "<f4").reshape(1, -1)
    return _nearest(book, facet, row)[0]


def assign_many(book: Codebook, preferences: Sequence[Preference]) -> list[tuple[str, int | None]]:
    """The same for many at once, in order; vectors of another space than the book's do not count."""
    found: list[tuple[str, int | None]] = [(said.facet, None) for said in preferences]
    left: dict[str, list[int]] = {}
    for n, said in enumerate(preferences):
        named = _called(book, said.facet, form(said.value))
        if named is not None:
            found[n] = named
        elif said.vector is not None and said.space == book.space:
            left.setdefault(said.facet, []).append(n)
    for facet, here in left.items():
        rows = np.stack([np.frombuffer(preferences[n].vector or b"", "<f4") for n in here])
        for n, place in zip(here, _nearest(book, facet, rows), strict=True):
            found[n] = place
    return found


def _called(book: Codebook, facet: str, phrase: str) -> tuple[str, int] | None:
    """The label that goes by the phrase: in its facet, else in the one other facet that has such a label, because a
    name says more than the facet that a sentence was put under."""
    named = _named(book, facet, phrase)
    if named is not None or facet == PERSONAL:
        return named
    others = [found for where in book.facets if (found := _named(book, where, phrase)) is not None]
    return others[0] if len(others) == 1 else None


def _named(book: Codebook, facet: str, phrase: str) -> tuple[str, int] | None:
    for where in (facet,) if facet != PERSONAL else book.facets:
        named = book.terms.get(where, {}).get(phrase) or book.learned.get(where, {}).get(phrase)
        label = current(book.labels, named)
        if label is not None:
            return label.facet, label.id
    return None


def _nearest(book: Codebook, facet: str, rows: Matrix) -> list[tuple[str, int | None]]:
    """By row, the label of the nearest centroid among those that reach it."""
    if facet != PERSONAL:
        labels, _ = nearest(book.cells.get(facet), rows, 1.0)
        return [_live(book, facet, label) for label in labels]
    best = np.full(len(rows), -2.0, np.float32)
    found: list[tuple[str, int | None]] = [(PERSONAL, None)] * len(rows)
    for where in book.facets:
        labels, cosines = nearest(book.cells.get(where), rows, STRICT)
        for n, label in enumerate(labels):
            if label is not None and cosines[n] > best[n]:
                best[n], found[n] = cosines[n], _live(book, where, label)
    return found


def nearest(cells: Cells | None, rows: Matrix, strict: float) -> tuple[list[int | None], Matrix]:
    """By row, the label of the nearest centroid among those that reach it, and how near that is (cosine)."""
    if cells is None or not len(cells.labels) or rows.shape[1] != cells.dim:
        return [None] * len(rows), np.full(len(rows), -2.0, np.float32)
    found: list[int | None] = []
    near = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _ROWS):
        some = slice(start, start + _ROWS)
        cosines = unit(rows[some] - cells.mean) @ cells.centroids.T
        cosines[cosines < 1 - strict * cells.reach] = -2.0
        best = cosines.argmax(axis=1)
        near[some] = cosines[np.arange(len(best)), best]
        found += [int(cells.labels[at]) if top > -2 else None for at, top in zip(best, near[some], strict=True)]
    return found, near


def _live(book: Codebook, facet: str, label: int | None) -> tuple[str, int | None]:
    found = current(book.labels, label)
    return (facet, None) if found is None else (found.facet, found.id)


def packed(book: Codebook) -> bytes:
    """The book in a few bytes, the same for the same book; numbers of centroids as 16-bit floats."""
    facets = sorted(book.cells)
    head = {
        **{name: getattr(book, name) for name in _PLAIN},
        "facets": book.facets,
        "labels": [asdict(book.labels[id]) for id in sorted(book.labels)],
        "cells": [[facet, *book.cells[facet].centroids.shape] for facet in facets],
        "tells": book.tells,
    }
    return b"".join((_MAGIC, canonical_json(head).encode(), b"\n", *(_bytes(book.cells[facet]) for facet in facets)))


def unpacked(content: bytes) -> Codebook:
    """The book that was packed. Raises DataLoss for one that is damaged."""
    try:
        return _unpacked(content)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as cause:
        raise DataLoss("a codebook is damaged; restore it from a backup, or let the next fit make one") from cause


def _unpacked(content: bytes) -> Codebook:
    line, _, rest = content.removeprefix(_MAGIC).partition(b"\n")
    head: dict[str, Any] = json.loads(line)
    cells: dict[str, Cells] = {}
    at = 0
    for facet, count, dim in head["cells"]:
        size = 2 * dim * (count + 1) + 11 * count
        cells[facet] = _cells(rest[at : at + size], count, dim)
        at += size
    whole = {name: head[name] for name in _PLAIN}
    return Codebook(
        **whole,
        facets=tuple(head["facets"]),
        labels={label["id"]: Label(**label) for label in head["labels"]},
        cells=cells,
        tells=tuple(tuple((line, share) for line, share in lines) for lines in head["tells"]),
    )


def _bytes(cells: Cells) -> bytes:
    return b"".join(
        (
            cells.mean.astype("<f2").tobytes(),
            cells.centroids.astype("<f2").tobytes(),
            cells.labels.astype("<i8").tobytes(),
            cells.reach.astype("<f2").tobytes(),
            cells.sown.tobytes(),
        )
    )


def _cells(content: bytes, count: int, dim: int) -> Cells:
    halves = np.frombuffer(content, "<f2", dim * (count + 1)).astype(np.float32)
    labels = np.frombuffer(content, "<i8", count, 2 * halves.size).astype(np.int64)
    reach = np.frombuffer(content, "<f2", count, 2 * halves.size + 8 * count).astype(np.float32)
    sown = np.frombuffer(content, np.bool_, count, 2 * halves.size + 10 * count)
    return Cells(halves[:dim], halves[dim:].reshape(count, dim), labels, reach, sown)
