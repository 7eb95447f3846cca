"""Fitting a codebook to what a tenant's users say: all of it anew, or only what no label stood for.

Per facet, the phrases are clustered around the facet's mean, finer than needed, and clusters that say the same become
one label. A label needs as many distinct users as the floor demands, and tells nothing that fewer of them said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from carryover.core.persona import Label, Preference
from carryover.persona.book import REACH, Cells, Codebook, Matrix, centre, current, empty_cells, form, unit
from carryover.persona.cluster import SEED
from carryover.persona.drift import far_of, purity, rows_of, users_by_label
from carryover.persona.groups import ALIKE, Group, grouped
from carryover.persona.labels import is_shared, sentences, shared_forms, shared_words
from carryover.persona.phrases import Phrase, Phrases, gathered, users_of

SAME = 0.85  # cosine from which a label is one of before under another name
FARTHEST = 0.55  # that a centroid reaches, however spread what it was fitted on
_P95 = 95


def fit(book: Codebook, preferences: Iterable[Preference], *, floor: int, seed: int = SEED) -> Codebook:
    """The next version of the book, fitted to all that was said. Labels that still stand keep their ids."""
    return refitted(book, gathered(preferences, book.space), floor=floor, seed=seed)


def grow(book: Codebook, preferences: Iterable[Preference], *, floor: int, seed: int = SEED) -> Codebook:
    """The book with labels for what none stood for, and without those that too few users are left of.

    All else stays as it is, byte by byte; where nothing changes, it is the same book.
    """
    return grown(book, gathered(preferences, book.space), floor=floor, seed=seed)


def refitted(book: Codebook, phrases: Phrases, *, floor: int, seed: int = SEED) -> Codebook:
    """As `fit`, of what was gathered."""
    making = _Making(book, floor, seed)
    for facet in book.facets:
        making.anew(facet, phrases.of(facet), phrases.vectors)
    made = making.book()
    return replace(made, fitted=made.version, purity=purity(made, phrases))


def grown(book: Codebook, phrases: Phrases, *, floor: int, seed: int = SEED) -> Codebook:
    """As `grow`, of what was gathered."""
    making = _Making(book, floor, seed)
    making.drop(phrases)
    for facet in book.facets:
        far = [replace(phrase, users={None: phrase.users[None]}) for phrase in far_of(book, phrases, facet)]
        if far:
            making.more(facet, far, phrases.vectors)
    return making.book() if making.changed else book


def shrunk(book: Codebook, phrases: Phrases, *, floor: int) -> Codebook:
    """The book without what fewer users than the floor are left of; nothing is learned, so no phrase needs a vector."""
    making = _Making(book, floor, SEED)
    making.drop(phrases)
    return making.book() if making.changed else book


class _Making:
    """The next version of a book, facet by facet."""

    def __init__(self, before: Codebook, floor: int, seed: int) -> None:
        self.before, self.floor, self.seed = before, floor, seed
        self.version = before.version + 1
        self.labels = dict(before.labels)
        self.learned = {facet: dict(terms) for facet, terms in before.learned.items()}
        self.cells = dict(before.cells)
        self.next_id = before.next_id
        self.changed = False

    def book(self) -> Codebook:
        """What came of it."""
        return replace(self.before, version=self.version, labels=self.labels, learned=self.learned, cells=self.cells)

    def anew(self, facet: str, phrases: Sequence[Phrase], vectors: Matrix) -> None:
        """The facet's labels are the shipped ones, and those that the phrases speak for."""
        old = self.before.cells.get(facet)
        if old is None and not phrases:
            return
        old = old or empty_cells(centre(vectors[:0]))
        known = old.absolute()
        rows = rows_of(phrases, vectors) if phrases else known[:0]
        mean = centre(np.concatenate([rows, known[old.sown]]))
        cells = empty_cells(mean).plus(unit(known[old.sown] - mean), old.labels[old.sown], REACH, sown=True)
        warm = unit(known[~old.sown] - mean)
        groups = self._groups(facet, phrases, unit(rows - mean), cells, self.before.terms.get(facet, {}), warm)
        before = [label for label in self.before.labels.values() if _is_learned(label, facet)]
        self.learned[facet] = {}
        self._name_as_before(groups, before, warm, old)
        for group in groups:
            self._keep(facet, group)
        for label in before:
            if all(group.label != label.id for group in groups):
                self._retire(label.id, _heir(label, groups, warm, old))
        self.cells[facet] = self._with(cells, groups, vectors)

    def more(self, facet: str, phrases: Sequence[Phrase], vectors: Matrix) -> None:
        """What the phrases speak for stands beside what there is."""
        rows = rows_of(phrases, vectors)
        cells = self.cells.get(facet) or empty_cells(centre(rows))
        known = {said: label.id for said, id in self._known(facet).items() if (label := current(self.labels, id))}
        groups = self._groups(facet, phrases, unit(rows - cells.mean), cells, known, None)
        new = [group for group in groups if group.label is None or group.phrases]
        for group in new:
            self._keep(facet, group, grow=True)
        if new:
            self.changed = True
            self.cells[facet] = self._with(cells, new, vectors)

    def drop(self, phrases: Phrases) -> None:
        """Labels, and phrases for them, that fewer users than the floor are left of are gone."""
        users = users_by_label(self.before, phrases)
        for facet in self.before.facets:
            here = [phrase for phrase in phrases.all if phrase.facet == facet]
            words = shared_words(here, self.floor)
            forms = set(shared_forms(here, self.floor))
            for label in self.before.labels.values():
                few = _is_learned(label, facet) and len(users.get(label.id, ())) < self.floor
                if few or (_is_learned(label, facet) and not is_shared(label.name, words)):
                    self._retire(label.id, None)
            terms = self.learned.get(facet, {})
            kept = {said: id for said, id in terms.items() if said in forms and current(self.labels, id)}
            self.changed |= kept != terms
            if terms:
                self.learned[facet] = kept
            cells = self.cells.get(facet)
            if cells is not None:
                self.cells[facet] = cells.only([current(self.labels, int(label)) is not None for label in cells.labels])

    def _groups(
        self,
        facet: str,
        phrases: Sequence[Phrase],
        rows: Matrix,
        cells: Cells,
        known: Mapping[str, int],
        warm: Matrix | None,
    ) -> list[Group]:
        """The groups of the phrases, with the new centroids alone of labels that there are."""
        if not phrases:
            return []
        fixed = {int(label): cells.centroids[cells.labels == label] for label in np.unique(cells.labels)}
        groups = grouped(phrases, rows, fixed=fixed, known=known, warm=warm, floor=self.floor, seed=self.seed)
        for group in groups:
            if group.label is not None:
                group.rows = group.rows[len(fixed.get(group.label, ())) :]
        return [group for group in groups if len(group.rows)]

    def _name_as_before(self, groups: Sequence[Group], before: Sequence[Label], warm: Matrix, old: Cells) -> None:
        """Groups that are a label of before have its id: by the name, else by where they lie."""
        names = {form(label.name): label.id for label in before}
        free = {label.id for label in before}
        for group in groups:
            if group.label is None and names.get(form(group.name)) in free:
                group.label = names[form(group.name)]
                free.remove(group.label)
        for group in groups:
            if group.label is None and free:
                learned = old.labels[~old.sown]
                near = {id: _nearness(group.rows, warm[learned == id]) for id in sorted(free)}
                best = max(near, key=lambda id: near[id])
                if near[best] >= SAME:
                    group.label = best
                    free.remove(best)

    def _keep(self, facet: str, group: Group, *, grow: bool = False) -> None:
        """The group's label stands, and its phrases are known by it."""
        users = users_of(group.phrases)
        label = None if group.label is None else self.labels[group.label]
        if label is None:
            likes, avoids = sentences(facet, group.name)
            label = Label(self.next_id, facet, group.name, likes, avoids, len(users), since=self.version)
            self.next_id += 1
        elif not grow:
            if not label.starter and not is_shared(label.name, shared_words(group.phrases, self.floor)):
                likes, avoids = sentences(facet, group.name)
                label = replace(label, name=group.name, likes=likes, avoids=avoids)
            label = replace(label, users=len(users))
        group.label = label.id
        self.labels[label.id] = label
        terms = self.learned.setdefault(facet, {})
        for said in shared_forms(group.phrases, self.floor):
            if said not in self.before.terms.get(facet, {}):
                terms.setdefault(said, label.id)

    def _with(self, cells: Cells, groups: Sequence[Group], vectors: Matrix) -> Cells:
        """The cells with the groups' centroids, which reach as far as 19 of 20 of what they were made of lies."""
        if not groups:
            return cells
        made = np.concatenate([group.rows for group in groups])
        labels = [group.label or 0 for group in groups for _ in range(len(group.rows))]
        phrases = [phrase for group in groups for phrase in group.phrases]
        apart = 1 - (unit(rows_of(phrases, vectors) - cells.mean) @ made.T).max(axis=1)
        users = [len(phrase.said_by) for phrase in phrases]
        reach = float(np.clip(np.percentile(np.repeat(apart, users), _P95), REACH, FARTHEST))
        return cells.plus(made, labels, reach)

    def _retire(self, id: int, into: int | None) -> None:
        """The label is no more; what it said is forgotten."""
        gone = replace(self.labels[id], name="", likes="", avoids="", users=0, retired=self.version, retired_into=into)
        self.labels[id] = gone
        self.changed = True

    def _known(self, facet: str) -> dict[str, int]:
        return {**self.learned.get(facet, {}), **self.before.terms.get(facet, {})}


def _is_learned(label: Label, facet: str) -> bool:
    return label.facet == facet and not label.starter and label.retired is None


def _nearness(one: Matrix, other: Matrix) -> float:
    """Cosine of two groups in the mean of their centroids."""
    return float((unit(one.mean(axis=0)[None]) @ unit(other.mean(axis=0)[None]).T)[0, 0]) if len(other) else -1.0


def _heir(label: Label, groups: Sequence[Group], warm: Matrix, old: Cells) -> int | None:
    """The label that stands for one that is no more, where one lies close."""
    mine = warm[old.labels[~old.sown] == label.id]
    near = [(_nearness(group.rows, mine), -(group.label or 0)) for group in groups]
    best = max(near, default=(-1.0, 0))
    return -best[1] if best[0] >= ALIKE else None
