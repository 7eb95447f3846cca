"""Ranking what both arms found: pure functions over scores.

Both scores are brought to one scale and added. Then the conversation itself says more: what was said around a turn,
who asked and who answered, how much of the question is there, who is speaking, when, and how long it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from carryover.core.chunk import Chunk
from carryover.core.text import estimate_tokens
from carryover.recall.when import Period

REACH = 2  # turns before and after

_FREE = 50  # tokens of a hit that count nothing
# A mark inside of a word is none: addresses hold some.
_ASKS = re.compile(r"\?(?!\w)|[？؟]")

Place = tuple[str, str, int]  # agent, session, seq
SessionKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Weights:
    """What each ingredient counts, in standard deviations of one arm where nothing else is said; 0 takes it away.

    They are round numbers near a flat optimum: with half of any of them about a point of R@10 is lost at most.
    """

    # Which share of the score of the turn at that distance is added.
    neighbours: tuple[tuple[int, float], ...] = ((-2, 0.2), (-1, 0.4), (1, 0.2), (2, 0.1))
    session: float = 0.4  # of a session's score, for each of its turns
    covers: float = 3.0  # where a turn and those around it hold all that is asked
    asks: float = 2.0  # off a turn that asks and that a person replies to
    answers: float = 1.5  # where a person replies to a turn that asks
    speaker: float = 0.3  # more of the whole score, for turns of the one who is named
    dated: float = 2.0  # where a turn was said on a date that the query names
    length: float = 2.0  # off a text e times as long as 50 tokens
    # Long turns of anyone but a user hold many words, so they fit any question somewhat: of what they score above the
    # worst this share counts, and they start this much lower.
    long_answer: float = 0.4
    handicap: float = 1.0
    finding: float = 0.5  # of a finding's score, for each turn that it stands on


WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class Clues:
    """What a query says beside its scores.

    `speaker` is the one name that it names, if it names just one; `terms` are those that count, weighted, without the
    names of speakers; `dates` are those that it names. `tokens` says what stands for a term in the terms of chunks,
    where that is not the term itself.
    """

    speaker: str | None = None
    terms: Mapping[str, float] = field(default_factory=dict[str, float])
    dates: tuple[Period, ...] = ()
    tokens: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Scale:
    """Where scores lie: `z` says how many standard deviations one is above the mean."""

    mean: float = 0.0
    std: float = 1.0

    def z(self, score: float) -> float:
        return (score - self.mean) / self.std if self.std > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of finding: scores by chunk and by session, with their scales. A chunk without a score is average."""

    scores: Mapping[int, float]
    sessions: Mapping[SessionKey, float]
    scale: Scale
    session_scale: Scale
    absent: float | None = None  # the score of a chunk that is not in `scores`; None: the mean

    def of(self, n: int) -> float:
        score = self.scores.get(n, self.absent)
        return 0.0 if score is None else self.scale.z(score)

    def of_session(self, key: SessionKey) -> float:
        score = self.sessions.get(key, self.absent)
        return 0.0 if score is None else self.session_scale.z(score)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A turn or a finding, shown by its best chunk."""

    chunk: Chunk
    score: float


@dataclass(slots=True)
class _Turn:
    """A turn of the pool: its best part, whether it asks, and which of the query's terms it holds."""

    score: float
    chunk: Chunk
    asks: bool
    holds: set[str]


def scale(scores: Sequence[float], total: int) -> Scale:
    """The scale of `total` scores of which these are not zero."""
    total = max(total, len(scores), 1)
    mean = sum(scores) / total
    variance = sum(score * score for score in scores) / total - mean * mean
    return Scale(mean, math.sqrt(max(variance, 0.0)))


def fuse(pool: Sequence[Chunk], arms: Sequence[Arm], clues: Clues, weights: Weights = WEIGHTS) -> list[Ranked]:
    """Every turn and finding of the pool once, best first; ties by recency, then by number. The last has score 0."""
    own = {chunk.n: sum(arm.of(chunk.n) for arm in arms) for chunk in pool}
    turns = _turns(pool, own, clues, weights)
    sessions = {(chunk.agent_id, chunk.session_id) for chunk in pool}
    lifts = {key: weights.session * sum(arm.of_session(key) for arm in arms) for key in sessions}
    shown = [turn.chunk for turn in turns.values()] + [chunk for chunk in pool if chunk.kind != "turn"]
    worth = _Worth(clues.terms)
    scores: list[float] = []
    for chunk in shown:
        place = _place(chunk)
        score = turns[place].score if chunk.kind == "turn" else own[chunk.n]
        near = _near(turns, place)
        around = _lent(near, place[2], weights) + _covered(near, worth, weights)
        score += _share(chunk, weights) * around + lifts[place[:2]] + _told(chunk, clues, weights)
        scores.append(score + (_replied(near, weights) if chunk.kind == "turn" else 0.0))
    floor = min(scores, default=0.0)
    named = clues.speaker
    ranked = [
        Ranked(chunk, (score - floor) * (1 + weights.speaker if named is not None and chunk.name == named else 1.0))
        for chunk, score in zip(shown, scores, strict=True)
    ]
    return sorted(ranked, key=lambda r: (-r.score, -r.chunk.created_at, -r.chunk.n))


def _turns(pool: Sequence[Chunk], own: Mapping[int, float], clues: Clues, weights: Weights) -> dict[Place, _Turn]:
    """Each turn by its best part, with what its findings add."""
    floor = min(own.values(), default=0.0)
    turns: dict[Place, _Turn] = {}
    sought = [(term, f" {clues.tokens.get(term, term)} ") for term in clues.terms]
    for chunk in pool:
        if chunk.kind == "turn":
            score = floor + (own[chunk.n] - floor) * _share(chunk, weights)
            said = f" {chunk.terms} "
            asks, holds = _asks(chunk.text), {term for term, between in sought if between in said}
            turn = turns.get(_place(chunk))
            if turn is None:
                turns[_place(chunk)] = _Turn(score, chunk, asks, holds)
                continue
            if score > turn.score:
                turn.score, turn.chunk = score, chunk
            turn.asks, turn.holds = turn.asks or asks, turn.holds | holds
    for chunk in pool:
        if chunk.kind != "turn" and own[chunk.n] > 0:
            for seq in range(chunk.first, chunk.last + 1):
                turn = turns.get((chunk.agent_id, chunk.session_id, seq))
                if turn is not None:
                    turn.score += weights.finding * own[chunk.n]
    return turns


def _near(turns: Mapping[Place, _Turn], place: Place) -> list[_Turn | None]:
    """The turns from `REACH` before to `REACH` after, the one at the place in the middle."""
    agent, session, seq = place
    return [turns.get((agent, session, at)) for at in range(seq - REACH, seq + REACH + 1)]


def _lent(near: Sequence[_Turn | None], seq: int, weights: Weights) -> float:
    """What the neighbours add. The first turns of a session take more from those that there are.

    Where the pool holds no turn, an average one (0) is assumed.
    """
    lent = every = there = 0.0
    for step, share in weights.neighbours:
        every += share
        if seq + step >= 1:
            there += share
            turn = near[REACH + step]
            if turn is not None:
                lent += share * turn.score
    return lent * every / there if there else 0.0


def _covered(near: Sequence[_Turn | None], worth: _Worth, weights: Weights) -> float:
    """How much of what is asked the turn and those around it hold together: each term counts once."""
    held = frozenset[str]().union(*[turn.holds for turn in near if turn is not None])
    return weights.covers * worth[held]


class _Worth(dict[frozenset[str], float]):
    """For sets of the query's terms, how much they weigh of all."""

    def __init__(self, terms: Mapping[str, float]) -> None:
        self._terms, self._every = terms, sum(terms.values())

    def __missing__(self, held: frozenset[str]) -> float:
        self[held] = sum(self._terms[term] for term in held) / self._every if self._every else 0.0
        return self[held]


def _replied(near: Sequence[_Turn | None], weights: Weights) -> float:
    """A turn that asks is rarely what is wanted, and what a person replies to one often is.

    What a user asks of an assistant is not judged by that: there the user says most of what matters by asking.
    """
    before, turn, after = near[REACH - 1 : REACH + 2]
    score = 0.0
    if turn is not None and turn.asks and after is not None and _is_person(after.chunk):
        score -= weights.asks
    if turn is not None and _is_person(turn.chunk) and before is not None and before.asks:
        score += weights.answers
    return score


def _told(chunk: Chunk, clues: Clues, weights: Weights) -> float:
    """What its date, its length and its speaker's role add."""
    score = weights.dated if any(period.told(chunk.created_at) for period in clues.dates) else 0.0
    score -= weights.length * max(0.0, math.log(max(estimate_tokens(chunk.text), 1) / _FREE))
    return score - (weights.handicap if _is_long_answer(chunk) else 0.0)


def _asks(text: str) -> bool:
    return any(mark in text for mark in "?？؟") and _ASKS.search(text) is not None


def _place(chunk: Chunk) -> Place:
    return chunk.agent_id, chunk.session_id, chunk.first


def _share(chunk: Chunk, weights: Weights) -> float:
    return weights.long_answer if _is_long_answer(chunk) else 1.0


def _is_person(chunk: Chunk) -> bool:
    """A user; or, where two people talk, the one whose part is the assistant's, and who has a name and says little."""
    return chunk.role == "user" or (chunk.role == "assistant" and chunk.name is not None and chunk.parts == 1)


def _is_long_answer(chunk: Chunk) -> bool:
    return chunk.role != "user" and chunk.parts > 1
