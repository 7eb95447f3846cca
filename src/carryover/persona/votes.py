"""A user's code: what their preferences speak for, and which of it stands out.

It is a fold over the preferences, session end by session end, with nothing kept between: the same preferences and
labels give the same code, and what is erased has no part in it. Votes decay, so that a changed taste is followed; what
is told changes only where something else is clearly ahead, so that the text mostly stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from carryover.core.persona import (
    CORRECTION,
    MOST_TEXTS,
    PERSONAL,
    SINGLE,
    Code,
    Label,
    Polarity,
    Preference,
    Vote,
)
from carryover.persona.book import current
from carryover.persona.lines import ROOM, cost, phrase_told, sentence

DECAY = 0.9  # of all votes, at each end of a session in which anything was noticed
ENTER_VOTES, ENTER_SHARE = 1.5, 0.35  # what a line needs to be told ...
LEAVE_SHARE = 0.05  # ... below which it is told no longer ...
AHEAD, TIMES = 2.5, 2.0  # ... and by how many votes, and how many times, another has to lead to take its place
SEVERAL = 3  # lines of a facet that is not single-valued
SAME = 0.8  # cosine from which two phrases of a user say the same
MOST_PHRASES = 300  # of a user's own, the strongest, that one end of a session leaves to the next
PAUSE_MS = 6 * 3_600_000  # a longer silence inside a session is its end


@dataclass(slots=True, eq=False)
class Standing:
    """How something stands: a label, or a phrase of the user's own, with a polarity."""

    facet: str
    polarity: Polarity
    label: int | None = None
    phrase: str | None = None
    votes: float = 0.0
    evidence: int = 0
    shown: bool = False
    agents: set[str] = field(default_factory=set[str])
    vector: np.ndarray | None = None
    space: str | None = None

    @property
    def order(self) -> tuple[str, str, int, str]:
        """Breaks ties: the same whatever came first."""
        return self.facet, self.polarity, self.label or 0, self.phrase or ""


def code_of(preferences: Sequence[Preference], labels: Mapping[int, Label], version: int) -> Code:
    """What the user's preferences come to under the labels of a codebook, of this version."""
    standings: list[Standing] = []
    ends = 0
    for group in ends_of(preferences):
        ends += 1
        for one in standings:
            one.votes *= DECAY
        for preference in group:
            _count(standings, preference, labels)
        _choose(standings, labels)
        standings = _lasting(standings)
    told = sorted(standings, key=lambda one: (-one.votes, one.order))
    totals = _totals(told)
    votes = tuple(
        Vote(
            facet=one.facet,
            polarity=one.polarity,
            votes=round(one.votes, 6),
            share=round(one.votes / totals[_pool(one)], 6) if one.votes else 0.0,
            shown=one.shown,
            evidence=one.evidence,
            label=one.label,
            phrase=one.phrase,
            agents=tuple(sorted(one.agents)),
        )
        for one in told
    )
    return Code(version, votes, ends, len(preferences))


def _lasting(standings: list[Standing]) -> list[Standing]:
    """Without the weakest phrases of a user who has very many: each is compared with whatever is said later."""
    phrases = [one for one in standings if one.phrase is not None]
    if len(phrases) <= MOST_PHRASES:
        return standings
    phrases.sort(key=lambda one: (not one.shown, -one.votes, one.order))
    weakest = {id(one) for one in phrases[MOST_PHRASES:]}
    return [one for one in standings if id(one) not in weakest]


def ends_of(preferences: Sequence[Preference]) -> Iterator[list[Preference]]:
    """The preferences of each session, up to its end or a long silence, in the order in which they began."""
    groups: list[list[Preference]] = []
    by_session = sorted(preferences, key=lambda p: (p.quote.agent_id, p.quote.session_id, p.said_at, p.quote.seq, p.id))
    for _, said in groupby(by_session, key=lambda p: (p.quote.agent_id, p.quote.session_id)):
        group: list[Preference] = []
        for one in said:
            if group and one.said_at - group[-1].said_at > PAUSE_MS:
                groups.append(group)
                group = []
            group.append(one)
        groups.append(group)
    return iter(
        sorted(groups, key=lambda group: (group[0].said_at, group[0].quote.agent_id, group[0].quote.session_id))
    )


def selected(
    standings: Sequence[Standing], *, single: bool, before: frozenset[tuple[str, str, int, str]] = frozenset()
) -> list[Standing]:
    """Which of a facet's standings are told, given which were told `before`."""
    top = max((one.votes for one in standings), default=0.0)
    total = sum(one.votes for one in standings)
    if top <= 0:
        return []
    # Where one excludes the others, its share is of them all; where several may be true, it is of the strongest.
    whole = total if single else top
    ranked = sorted(standings, key=lambda one: (-one.votes, one.order))
    kept = [one for one in ranked if one.order in before and one.votes / whole >= LEAVE_SHARE]
    new = [
        one
        for one in ranked
        if one.order not in before and one.votes >= ENTER_VOTES and one.votes / whole >= ENTER_SHARE
    ]
    room = 1 if single else SEVERAL
    told = kept[:room]
    for one in new:
        if len(told) < room:
            told.append(one)
            continue
        weakest = min(told, key=lambda other: (other.votes, other.order))
        if one.votes < ahead_of(weakest.votes):
            break
        told[told.index(weakest)] = one
    return told


def ahead_of(votes: float) -> float:
    """Votes that take the place of a line with so many."""
    return max(votes + AHEAD, votes * TIMES)


def _count(standings: list[Standing], said: Preference, labels: Mapping[int, Label]) -> None:
    label = None if said.label is None else current(labels, said.label)
    one = _standing(standings, said, label)
    if said.explicit or said.correction:
        for other in standings:
            opposite = (other.label, other.phrase) == (one.label, one.phrase) and other.polarity != one.polarity
            rival = other.facet == one.facet and other is not one and other.polarity == one.polarity
            if opposite or (said.correction and rival and one.facet in SINGLE):
                other.votes = 0.0
    one.votes += max(said.weight, CORRECTION) if said.correction else said.weight
    one.evidence += 1
    one.agents.add(said.quote.agent_id)


def _standing(standings: list[Standing], said: Preference, label: Label | None) -> Standing:
    if label is not None:
        for one in standings:
            if one.label == label.id and one.polarity == said.polarity:
                return one
        standings.append(Standing(label.facet, said.polarity, label=label.id))
        return standings[-1]
    vector = None if said.vector is None else np.frombuffer(said.vector, "<f4")
    for one in standings:
        # The words that came first stay: they name the line, which the user may have banned or pinned.
        if one.phrase is not None and one.polarity == said.polarity and _same(one, said, vector):
            return one
    standings.append(Standing(said.facet, said.polarity, phrase=said.value, vector=vector, space=said.space))
    return standings[-1]


def _same(one: Standing, said: Preference, vector: np.ndarray | None) -> bool:
    if one.phrase == said.value:
        return True
    if one.vector is None or vector is None or one.space != said.space:
        return False
    return float(one.vector @ vector) >= SAME


def _choose(standings: list[Standing], labels: Mapping[int, Label]) -> None:
    """Marks what is told from this end of a session on."""
    pools: dict[tuple[str, str], list[Standing]] = {}
    for one in standings:
        pools.setdefault(_pool(one), []).append(one)
    chosen: list[Standing] = []
    for (facet, _), pool in pools.items():
        before = frozenset(one.order for one in pool if one.shown)
        chosen += _phrases(pool) if facet == PERSONAL else selected(pool, single=facet in SINGLE, before=before)
    # What is told already goes first here too, so that a full persona does not change with every vote.
    room = ROOM
    told: list[Standing] = []
    for one in sorted(chosen, key=lambda one: (-_lead(one), one.order)):
        tokens = cost(_sentence(one, labels))
        if tokens <= room:
            told.append(one)
            room -= tokens
    for one in standings:
        one.shown = one in told


def _phrases(pool: list[Standing]) -> list[Standing]:
    """Phrases stand for themselves: each that was stated, or hinted at twice, the strongest where there are many."""
    able = [one for one in pool if one.votes >= (LEAVE_SHARE if one.shown else ENTER_VOTES)]
    return sorted(able, key=lambda one: (-_lead(one), one.order))[:MOST_TEXTS]


def _lead(one: Standing) -> float:
    return ahead_of(one.votes) if one.shown else one.votes


def _sentence(one: Standing, labels: Mapping[int, Label]) -> str:
    if one.label is not None:
        return sentence(labels[one.label], one.polarity)
    return phrase_told(one.phrase or "", one.polarity)


def _pool(one: Standing) -> tuple[str, str]:
    """What competes with it: the labels of its facet, of one polarity where a user has one at a time; or phrases."""
    if one.phrase is not None:
        return PERSONAL, ""
    return one.facet, one.polarity if one.facet in SINGLE else ""


def _totals(standings: Sequence[Standing]) -> dict[tuple[str, str], float]:
    totals: dict[tuple[str, str], float] = {}
    for one in standings:
        totals[_pool(one)] = totals.get(_pool(one), 0.0) + one.votes
    return totals
