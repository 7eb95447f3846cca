"""Ranking what both arms found: pure functions over scores.

Both scores are brought to one scale and added; each turn takes part of its neighbours' scores, because the turn
that asks is found and the turn that answers is wanted; a session that fits as a whole lifts its turns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from carryover.core.chunk import Chunk

NEIGHBOURS = {-1: 0.5, 1: 0.3, -2: 0.25, 2: 0.15}  # how much of the score of the turn at that distance is added
REACH = 2
SESSION = 0.4
SPEAKER = 1.15
# Long turns of anyone but a user hold many words, so they fit any question somewhat: what they score above the
# worst counts less, and they start this many standard deviations lower.
LONG_ANSWER, HANDICAP = 0.4, 1.0
FINDING = 0.5  # of a finding's score, for each turn that it stands on

Place = tuple[str, str, int]  # agent, session, seq
SessionKey = tuple[str, str]


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


def scale(scores: Sequence[float], total: int) -> Scale:
    """The scale of `total` scores of which these are not zero."""
    total = max(total, len(scores), 1)
    mean = sum(scores) / total
    variance = sum(score * score for score in scores) / total - mean * mean
    return Scale(mean, math.sqrt(max(variance, 0.0)))


def fuse(pool: Sequence[Chunk], arms: Sequence[Arm], speaker: str | None) -> list[Ranked]:
    """Every turn and finding of the pool once, best first; ties by recency, then by number. The last has score 0.

    `speaker` is the one name that the query names, if it names just one.
    """
    own = {chunk.n: sum(arm.of(chunk.n) for arm in arms) for chunk in pool}
    turns = _turns(pool, own)
    shown = [chunk for _, chunk in turns.values()] + [chunk for chunk in pool if chunk.kind != "turn"]
    scores: list[float] = []
    for chunk in shown:
        place = _place(chunk)
        score = turns[place][0] if chunk.kind == "turn" else own[chunk.n]
        session = SESSION * sum(arm.of_session(place[:2]) for arm in arms)
        handicap = HANDICAP if _is_long_answer(chunk) else 0.0
        scores.append(score + _weight(chunk) * _lent(turns, place) + session - handicap)
    floor = min(scores, default=0.0)
    ranked = [
        Ranked(chunk, (score - floor) * (SPEAKER if speaker is not None and chunk.name == speaker else 1.0))
        for chunk, score in zip(shown, scores, strict=True)
    ]
    return sorted(ranked, key=lambda r: (-r.score, -r.chunk.created_at, -r.chunk.n))


def _turns(pool: Sequence[Chunk], own: Mapping[int, float]) -> dict[Place, tuple[float, Chunk]]:
    """Each turn by its best part, with what its findings add."""
    floor = min(own.values(), default=0.0)
    best: dict[Place, tuple[float, Chunk]] = {}
    for chunk in pool:
        if chunk.kind == "turn":
            score = floor + (own[chunk.n] - floor) * _weight(chunk)
            place = _place(chunk)
            if place not in best or score > best[place][0]:
                best[place] = score, chunk
    for chunk in pool:
        if chunk.kind != "turn" and own[chunk.n] > 0:
            for seq in range(chunk.first, chunk.last + 1):
                place = (chunk.agent_id, chunk.session_id, seq)
                if place in best:
                    best[place] = best[place][0] + FINDING * own[chunk.n], best[place][1]
    return best


def _lent(turns: Mapping[Place, tuple[float, Chunk]], place: Place) -> float:
    """What the neighbours add. Where there is no turn, an average one (0) is assumed: the first turn loses nothing."""
    agent, session, seq = place
    near = ((weight, turns.get((agent, session, seq + step))) for step, weight in NEIGHBOURS.items())
    return sum(weight * turn[0] for weight, turn in near if turn is not None)


def _place(chunk: Chunk) -> Place:
    return chunk.agent_id, chunk.session_id, chunk.first


def _weight(chunk: Chunk) -> float:
    return LONG_ANSWER if _is_long_answer(chunk) else 1.0


def _is_long_answer(chunk: Chunk) -> bool:
    return chunk.role != "user" and chunk.parts > 1
