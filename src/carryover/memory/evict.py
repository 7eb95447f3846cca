"""Eviction: what memory tells of a user stays bounded, however much was said. No turn and no snapshot is touched.

Findings go down by tiers, the weakest first: `compressed` to their core (what says the same as a stronger one is told
by that one alone), then `summarised`: the strongest of a month share one line, its gist, the others are told no more.
Standing wishes and open tasks never move. `restore` takes all of it back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from carryover.core.clock import DAY_MS
from carryover.core.errors import NotFound
from carryover.core.job import Job
from carryover.core.scope import Scope
from carryover.core.snapshot import Finding
from carryover.core.tier import Held, Policy, Step, Tier, TierCounts
from carryover.core.usage import Usage
from carryover.jobs.derivation import Derivation
from carryover.memory.brief import brief
from carryover.memory.merge import form
from carryover.store import queue, sessions, tiers
from carryover.store.store import Store, Tx

KIND = "evict"
EVERY_MS = 3_600_000  # how often memory of one user is looked through at most
MOST_STEPS = 2_000  # of one run; the job arms itself again for the rest
HALF_LIFE_MS = 90 * DAY_MS  # a finding of twice the weight counts as much as one that is so much younger
MONTHS = 24  # older than that, a gist is of a year
TRIES = 20  # findings that do not fit into a gist before it counts as full
ALIKE = 0.8  # of their words together that two findings share, to say the same


@dataclass(frozen=True, slots=True)
class Work:
    """What memory tells of one user with one agent."""

    agent: str
    user: str | None
    held: tuple[Held, ...]
    now: int


@dataclass(frozen=True, slots=True)
class Made:
    """The steps of one run; `next_at` is when there is more to do by the passing of time alone."""

    steps: tuple[Step, ...]
    more: bool
    next_at: int | None


def eviction(policy: Policy) -> Derivation[Work, Made]:
    """The job of a user with an agent that keeps what is told of them inside the policy."""

    def think(work: Work) -> tuple[Made, Usage]:
        steps = plan(work.held, policy, work.now)
        return Made(steps[:MOST_STEPS], len(steps) > MOST_STEPS, _ripe_at(work.held, policy, work.now)), Usage()

    return Derivation(KIND, _load, think, _save)


def subject_of_pool(agent: str, user: str | None) -> str:
    """The subject of the job; ids hold no slash, so it is never a session's."""
    return f"{agent}//{user or ''}"


def arm(tx: Tx, agent: str, user: str | None, *, now: bool = False) -> None:
    """What is told of the user with the agent will be looked through within the hour."""
    queue.arm(tx, [(KIND, subject_of_pool(agent, user), tx.now if now else tx.now + EVERY_MS)], push=False)


def restore(
    store: Store, scope: Scope, agent_id: str, session_id: str | None = None, user_id: str | None = None
) -> int:
    """All findings of the session (None: of the user with the agent) are told in full again; how many were not.

    A policy that they do not fit into takes them again in time, as if they had been said now. Raises NotFound.
    """
    scope.require("write")
    with store.write(scope) as tx:
        if session_id is not None:
            sessions.get(tx, agent_id, session_id)
        elif not scope.admits(agent_id, user_id):
            raise NotFound(f"agent {agent_id!r} does not exist here; use a key that reaches it")
        return tiers.restore(tx, agent_id, session_id, user=user_id)


def tally(store: Store, scope: Scope) -> TierCounts:
    """How the tenant's findings stand, and what their steps freed."""
    scope.require("read")
    with store.read(scope) as tx:
        return tiers.tally(tx)


def summarise(tx: Tx, left: Sequence[Finding], *, user: str | None) -> None:
    """What a snapshot had no room for is told by gists alone; the next run, which is due, gives each its share."""
    if not left:
        return
    states = tiers.newest_states(tx, [f.id for f in left])
    gone = (
        Held(f.id, states[f.id], f.agent_id, f.session_id, f.kind, f.text, f.salience, f.pinned, 1, f.learned_at)
        for f in left
    )
    steps = [_step(replace(h, told=h.text), "summarised", h.text, period=_period(h.at, tx.now)) for h in gone]
    tiers.put(tx, steps, user=user)
    arm(tx, left[0].agent_id, user, now=True)


def plan(held: Iterable[Held], policy: Policy, now: int) -> tuple[Step, ...]:
    """The steps after which the policy holds; none when it does, so planning what was carried out gives nothing.

    A finding only ever goes down. Those that stay whatever they weigh take their places first.
    """
    ranked = sorted(held, key=_strength, reverse=True)
    fixed = [h for h in ranked if _stays(h)]
    told = [h for h in ranked if not _stays(h) and h.tier != "summarised"]
    room = max(0, policy.findings - len(fixed))
    room_full = min(room, max(0, policy.full - len(fixed)))

    def must_shrink(rank: int, h: Held) -> bool:
        return rank >= room_full or (policy.full_ms is not None and h.at <= now - policy.full_ms)

    lower = {h.id for rank, h in enumerate(told) if must_shrink(rank, h)}
    kept, twins = _once(fixed, told, lower, room)
    steps = [_step(h, "summarised", twin=twins[h.id]) for h in told if h.id in twins]
    steps += [
        _step(h, "compressed", brief(h.text))
        for rank, h in enumerate(kept)
        if h.tier == "full" and must_shrink(rank, h)
    ]
    staying = {h.id for h in (*fixed, *kept)} | twins.keys()
    return (*steps, *_gists([h for h in ranked if h.id not in staying], now))


def _stays(h: Held) -> bool:
    """Whether it never moves; a session that consists of little else lets the surplus go all the same (`summarise`)."""
    return (h.pinned or h.kind == "task") and h.tier != "summarised"


def _strength(h: Held) -> tuple[float, int, str]:
    """What a finding weighs, by salience, by how often it was said and by age: no clock is needed to compare two."""
    weight = 0.25 + h.salience + 0.1 * min(h.said - 1, 4)
    return h.at + HALF_LIFE_MS * math.log2(max(weight, 0.01)), h.at, h.id


def _once(fixed: Sequence[Held], told: Sequence[Held], lower: set[str], room: int) -> tuple[list[Held], dict[str, str]]:
    """The strongest that there is room for, and by finding that only repeats one of them, which one.

    What need not shrink may repeat.
    """
    seen: dict[tuple[str, bool, frozenset[str]], list[Held]] = {}
    kept: list[Held] = []
    twins: dict[str, str] = {}
    for h in (*fixed, *told) if lower else ():
        if len(kept) == room:
            break
        said = form(h.text)
        alike = seen.setdefault((h.kind, said.negated, said.details), [])
        twin = next((one for one in alike if _overlap(form(one.text).words, said.words) >= ALIKE), None)
        if twin is not None and h.id in lower:
            twins[h.id] = twin.id
            continue
        alike.append(h)
        if not _stays(h):
            kept.append(h)
    return (kept, twins) if lower else (list(told), twins)


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def _gists(ranked: Sequence[Held], now: int) -> list[Step]:
    """Each period's gist is told by its strongest findings, as many as fit; what changes by that."""
    room: dict[str, int] = {}
    missed: dict[str, int] = {}
    steps: list[Step] = []
    for h in ranked:
        period = _period(h.at, now)
        left = room.setdefault(period, tiers.LONGEST_GIST)
        text = h.told if h.tier == "summarised" else brief(h.text) if missed.get(period, 0) < TRIES else ""
        if text and len(text) + 2 <= left:
            room[period] = left - len(text) - 2
        else:
            missed[period] = missed.get(period, 0) + 1
            text = period = ""
        if h.tier != "summarised" or (h.told, h.period) != (text, period):
            steps.append(_step(h, "summarised", text, period=period))
    return steps


def _period(at: int, now: int) -> str:
    said, today = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (at, now))
    months = (today.year - said.year) * 12 + today.month - said.month
    return f"{said:%Y-%m}" if months < MONTHS else f"{said:%Y}"


def _step(h: Held, tier: Tier, text: str = "", *, period: str = "", twin: str | None = None) -> Step:
    freed = len(h.told.encode()) - len(text.encode())
    return Step(h.id, h.since, h.agent_id, h.session_id, tier, text, h.at, freed, period, twin)


def _ripe_at(held: Sequence[Held], policy: Policy, now: int) -> int | None:
    """When the next finding is too old to be told in full."""
    if policy.full_ms is None:
        return None
    full = (h.at + policy.full_ms for h in held if h.tier == "full" and not _stays(h))
    return min((at for at in full if at > now), default=None)


def _load(tx: Tx, job: Job) -> Work | None:
    agent, _, user = job.subject.partition("//")
    # A turn may say that it was said in the future; it weighs no more for that.
    held = tuple(replace(h, at=min(h.at, tx.now)) for h in tiers.held(tx, agent, user or None))
    return Work(agent, user or None, held, tx.now) if held else None


def _save(tx: Tx, job: Job, work: Work, made: Made) -> None:
    tiers.put(tx, made.steps, user=work.user)
    if made.more:
        queue.arm(tx, [(KIND, job.subject, tx.now)], push=False)
    elif made.next_at is not None:
        queue.arm(tx, [(KIND, job.subject, max(made.next_at, tx.now + EVERY_MS))], push=False)
