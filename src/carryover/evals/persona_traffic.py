"""Users who come back day after day, and what the provider's cache holds of each of their requests.

Each request is a prompt that begins with what all users share. Of it the cache holds what the user's last request, and
anybody's, left there: as far as it is the same, if that is not too long ago and not too short to be kept. Requests are
marked behind the shared prefix, behind what is told of the user, and at their end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Told = Literal["history", "window", "summary", "persona", "persona first", "nothing"]

DAY_S, DAWN_S, DUSK_S = 86_400, 8 * 3_600, 20 * 3_600  # users begin a session a day between them
WINDOW, SUMMARY = 10, 500  # turns of the last sessions; tokens
_SPREAD, _LONGEST_GAP_S = 1.0, 3_600.0  # of the time between two requests
_UNEVEN = 0.6  # of the lengths of turns


@dataclass(frozen=True, slots=True)
class World:
    """Users with a session a day, of so many turns; `said` and `answered` are median tokens of a turn.

    `gap_s` is the median time between two requests of a session: some people think for longer than a cache lives. All
    users are those of one workspace with the provider, which share what it caches.
    """

    users: int = 50
    sessions: int = 30
    turns: tuple[int, int] = (3, 12)
    said: int = 50
    answered: int = 220
    gap_s: float = 60.0
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """All requests in order of time; tokens are those of turns before, in earlier sessions and in this one."""

    at: NDArray[np.float64]  # seconds
    user: Ints
    session: Ints
    place: Ints  # of the request in its session, from 0
    said: Ints
    answered: Ints
    history: Ints  # tokens of all earlier sessions of the user
    window: Ints  # tokens of their last turns
    within: Ints  # tokens of this session's earlier turns
    before: Ints  # the place of the user's request before; -1 for the first


@dataclass(frozen=True, slots=True)
class Way:
    """A way to tell a model what went before. A model that makes what is told writes `made` tokens after a session."""

    name: str
    told: Told
    cached: bool = True
    made: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Tokens of input, request by request: all of them, and those that the cache gave and took."""

    total: Ints
    read: Ints
    written: Ints


@lru_cache(maxsize=4)
def requests(world: World) -> Requests:
    """What users of this world ask, the same for the same seed."""
    rng = np.random.default_rng(world.seed)
    columns = [np.array(column) for column in zip(*_turns(world, rng), strict=True)]
    order = np.argsort(columns[0], kind="stable")
    at, *counts = (column[order] for column in columns)
    whole = [column.astype(np.int64) for column in counts]
    return Requests(at, *whole, before=_last_own(whole[0]))


def _turns(world: World, rng: Any) -> Iterator[tuple[float, ...]]:
    fewest, most = world.turns
    for user in range(world.users):
        past: list[int] = []
        for session in range(world.sessions):
            count = int(rng.integers(fewest, most + 1))
            at = session * DAY_S + rng.uniform(DAWN_S, DUSK_S)
            history, window, within = sum(past), sum(past[-WINDOW:]), 0
            for place in range(count):
                said, answered = _tokens(rng, world.said), _tokens(rng, world.answered)
                yield at, user, session, place, said, answered, history, window, within
                within += said + answered
                past.append(said + answered)
                at += min(float(rng.lognormal(np.log(world.gap_s), _SPREAD)), _LONGEST_GAP_S)


def _tokens(rng: Any, median: int) -> int:
    return max(1, round(float(rng.lognormal(np.log(median), _UNEVEN))))


def stream(found: Requests, way: Way, shared: int, persona: int, *, least: int, ttl_s: int) -> Stream:
    """Where the tokens of each request come from; a beginning below `least` is neither kept nor read."""
    told = {
        "history": found.history,
        "window": found.window,
        "summary": np.where(found.session > 0, SUMMARY, 0),
        "persona": np.where(found.session > 0, persona, 0),
        "persona first": np.where(found.session > 0, persona, 0),
        "nothing": np.zeros_like(found.said),
    }[way.told]
    head = shared + told
    total = head + found.within + found.said
    if not way.cached:
        none = np.zeros_like(total)
        return Stream(total, none, none)
    own = _kept(_same_as_before(found, way, head, total, shared), found.before, found.at, least, ttl_s)
    # What stands first in one user's prompt alone is shared with nobody; without a persona yet, all begin alike.
    alike = np.where((way.told == "persona first") & (told > 0), 0, shared)
    others = _kept(alike, _last_where(alike > 0), found.at, least, ttl_s)
    read = np.maximum(own, others)
    return Stream(total, read, np.where(total >= least, total - read, 0))


def _same_as_before(found: Requests, way: Way, head: Ints, total: Ints, shared: int) -> Ints:
    """Tokens at the beginning of each request that the user's last one begins with too, up to one of its marks."""
    before = found.before
    if way.told == "history":
        opening = total[before]
    elif way.told in ("window", "summary"):  # made anew for each session
        opening = np.full_like(head, shared)
    else:
        opening = np.where(head[before] == head, head, 0 if way.told == "persona first" else shared)
    return np.where(before < 0, 0, np.where(found.place > 0, total[before], opening))


def _kept(same: Ints, before: Ints, at: NDArray[np.float64], least: int, ttl_s: int) -> Ints:
    """Of these tokens, those that the request at `before` left in the cache, where it still holds them."""
    alive = (before >= 0) & (at - at[before] <= ttl_s)
    return np.where(alive & (same >= least), same, 0)


def _last_own(user: Ints) -> Ints:
    order = np.argsort(user, kind="stable")
    before = np.full(user.size, -1, np.int64)
    follows = user[order][1:] == user[order][:-1]
    before[order[1:][follows]] = order[:-1][follows]
    return before


def _last_where(marked: Flags) -> Ints:
    """The place of the last request before, of anybody's, that is marked; -1 where there is none."""
    place = np.where(marked, np.arange(marked.size), -1)
    return np.concatenate([[-1], np.maximum.accumulate(place)[:-1]])
