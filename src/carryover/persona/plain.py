"""The plain strategy, as it is usually published: one vector a user, k-means over users, the nearest centroids.

A user's vector is the mean of the vectors of what they said. Their code are the three nearest of 128 centroids, each
weighed by the inverse of its distance, and what is told is what most users of these centroids say. It is kept to
compare with: pooling what a user said loses most of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from carryover.core.persona import PERSONAL, SINGLE, Code, Label, Polarity, Preference, Vote, line_id
from carryover.persona.book import Cells, Codebook, Matrix, form, halved, starter_book
from carryover.persona.cluster import SEED, clustered
from carryover.persona.labels import sentences
from carryover.persona.lint import refused
from carryover.persona.starter import seeds

CENTROIDS = 128
NEAREST = 3
SHARE = 0.2  # of the users of a user's centroids, by their weights, who say what is told
_SEVERAL = 3  # lines of a facet that is not single-valued
_EPSILON = 1e-6

Said = tuple[str, str, Polarity]  # facet, phrase as `form` has it, polarity


@dataclass(slots=True)
class Pooled:
    """A user, with all that they said in one vector."""

    total: NDArray[np.float64]  # so exact that the order of what is added does not show
    count: int = 0
    said: dict[Said, str] = field(default_factory=dict[Said, str])  # and how it was spelled

    @property
    def mean(self) -> Matrix:
        """The user's vector."""
        return (self.total / self.count).astype(np.float32)


def empty(space: str = "", facets: Mapping[str, Sequence[str]] | None = None) -> Codebook:
    """A codebook that tells nothing of anybody yet; values that a shipped label goes by count as that label."""
    return replace(starter_book(seeds(facets), None), space=space, strategy="user-kmeans")


def pooled(preferences: Iterable[Preference], space: str) -> dict[str, Pooled]:
    """By user, what they said, as far as it has a vector of this space."""
    users: dict[str, Pooled] = {}
    for said in preferences:
        if said.vector is None or said.space != space:
            continue
        vector = np.frombuffer(said.vector, "<f4")
        user = users.setdefault(said.user_id, Pooled(np.zeros(vector.size)))
        user.total += vector
        user.count += 1
        if said.facet != PERSONAL:
            key = said.facet, form(said.value), said.polarity
            user.said[key] = min(user.said.get(key, said.value), said.value)
    return users


def fit(book: Codebook, preferences: Iterable[Preference], *, floor: int, seed: int = SEED) -> Codebook:
    """The next version of the book, with centroids of users; the same book where there are fewer users than those."""
    return fitted(book, pooled(preferences, book.space), floor=floor, seed=seed)


def fitted(book: Codebook, users: Mapping[str, Pooled], *, floor: int, seed: int = SEED) -> Codebook:
    """As `fit`, of what was pooled."""
    if len(users) < CENTROIDS:
        return book
    # By what they said and not by their ids, so that the same users under other names make the same book.
    ordered = sorted(users.values(), key=lambda user: (sorted(user.said), user.mean.tobytes()))
    rows = np.stack([user.mean for user in ordered])
    _, which = clustered(rows, np.ones(len(rows), np.float32), CENTROIDS, seed=seed)
    labels, names, version = dict(book.labels), _names(book), book.version + 1
    next_id = book.next_id
    centroids: list[Matrix] = []
    tells: list[tuple[tuple[str, float], ...]] = []
    for at in range(int(which.max()) + 1):
        members = [ordered[int(n)] for n in np.flatnonzero(which == at)]
        centroids.append(rows[which == at].mean(axis=0))
        told: list[tuple[str, float]] = []
        for (facet, said, polarity), count, spelled in _shared(members, names, floor):
            id = names.get((facet, said))
            if id is None:
                id, next_id = next_id, next_id + 1
                names[facet, said] = id
                labels[id] = Label(id, facet, spelled, *sentences(facet, spelled), since=version)
            told.append((line_id(polarity, label=id), round(count / len(members), 3)))
        tells.append(tuple(told))
    made = halved(np.stack(centroids))
    none = np.zeros(made.shape[1], np.float32)
    cells = Cells(none, made, np.zeros(len(made), np.int64), np.zeros(len(made), np.float32), np.zeros(len(made), bool))
    return replace(
        book,
        version=version,
        strategy="user-kmeans",
        labels=_standing(labels, tells, version),
        learned={},
        cells={PERSONAL: cells},
        fitted=version,
        tells=tuple(tells),
    )


def code_of(preferences: Sequence[Preference], book: Codebook) -> Code:
    """The user's code: what users of the nearest centroids say, whoever said it."""
    sessions = len({(said.quote.agent_id, said.quote.session_id) for said in preferences})
    scores = _scores(preferences, book)
    votes: list[Vote] = []
    shown: dict[str, int] = {}
    for line, score in sorted(scores.items(), key=lambda item: (-item[1], item[0])):
        label, polarity = book.labels[int(line[:-1])], "like" if line.endswith("+") else "avoid"
        room = 1 if label.facet in SINGLE else _SEVERAL
        told = score >= SHARE and shown.get(label.facet, 0) < room
        shown[label.facet] = shown.get(label.facet, 0) + told
        votes.append(Vote(label.facet, polarity, round(score, 6), round(score, 6), told, 0, label=label.id))
    return Code(book.version, tuple(votes), sessions, len(preferences))


def nothing_because(book: Codebook) -> str | None:
    """Why the book tells nothing of anybody; None where it does."""
    if book.strategy != "user-kmeans" or book.tells:
        return None
    return (
        f"the strategy user-kmeans tells nothing before there are {CENTROIDS} users and a fit; "
        "wait for them, or use the strategy facets"
    )


def _scores(preferences: Sequence[Preference], book: Codebook) -> dict[str, float]:
    """By line, how many of the users of the nearest centroids say it, by their weights."""
    user = pooled(((replace(said, user_id="") for said in preferences)), book.space).get("")
    cells = book.cells.get(PERSONAL)
    if user is None or cells is None or user.total.size != cells.dim:
        return {}
    apart = np.linalg.norm(cells.centroids - user.mean, axis=1)
    near = np.argsort(apart, kind="stable")[:NEAREST]
    weights = 1 / (apart[near] + _EPSILON)
    scores: dict[str, float] = {}
    for at, weight in zip(near, weights / weights.sum(), strict=True):
        for line, share in book.tells[int(at)]:
            scores[line] = scores.get(line, 0.0) + float(weight) * share
    return scores


def _shared(members: Sequence[Pooled], names: Mapping[tuple[str, str], int], floor: int) -> list[tuple[Said, int, str]]:
    """What enough of them say, what most say first, and how it is spelled."""
    users: dict[tuple[str | int, Polarity], set[int]] = {}
    spelled: dict[tuple[str | int, Polarity], tuple[str, Said]] = {}
    for n, user in enumerate(members):
        for said, phrase in user.said.items():
            facet, words, polarity = said
            key = names.get((facet, words), f"{facet}\n{words}"), polarity
            users.setdefault(key, set()).add(n)
            spelled[key] = min(spelled.get(key, (phrase, said)), (phrase, said))
    found = [(-len(who), *spelled[key]) for key, who in users.items() if len(who) >= floor]
    return [(said, -count, phrase) for count, phrase, said in sorted(found) if refused(phrase) is None]


def _names(book: Codebook) -> dict[tuple[str, str], int]:
    """The labels by facet and phrase."""
    named = {(facet, said): id for facet in book.facets for said, id in book.known(facet).items()}
    own = {(label.facet, form(label.name)): label.id for label in book.labels.values() if label.retired is None}
    return {**own, **named}


def _standing(
    labels: Mapping[int, Label], tells: Sequence[Sequence[tuple[str, float]]], version: int
) -> dict[int, Label]:
    """The labels, without what no centroid tells any more."""
    told = {int(line[:-1]) for lines in tells for line, _ in lines}
    return {
        id: label
        if id in told or label.starter or label.retired is not None
        else replace(label, name="", likes="", avoids="", users=0, retired=version)
        for id, label in labels.items()
    }
