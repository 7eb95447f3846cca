"""How personas keep up: with a taste that changes, with people of a kind that nobody was like before, and how rarely
they change where nothing did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from carryover.core.persona import FACETS, SINGLE, Preference
from carryover.evals.persona_information import FLOOR
from carryover.evals.persona_population import Ears, Heard, persona, placed
from carryover.evals.persona_reader import ENOUGH, lines, read
from carryover.evals.persona_world import STATED, Making, Said, User, Want, World
from carryover.persona import plain
from carryover.persona.book import Codebook
from carryover.persona.fit import fit, grow

BEFORE, AFTER = 20, 20  # sessions around a change of taste
MATURE = (15, 40)  # sessions of users whose persona should have settled
CHANGES: Mapping[str, str] = {
    "hinted at only": "hinted",
    "stated and hinted at as usual": "",
    "corrected outright": "corrected",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How many users of each kind."""

    people: int = 1_000  # whom the codebook is fitted on
    changing: int = 100  # for each manner of change
    newcomers: int = 300
    mature: int = 80
    seed: int = 0


QUICK = Plan(people=60, changing=4, newcomers=30, mature=3)


@dataclass(frozen=True, slots=True)
class Unseen:
    """Wants that the codebook had never met: how many there were, and the share that the first line tells."""

    wants: int
    labels: float  # by labels alone
    told: float  # by the persona as it is told, which may quote the user


@dataclass(frozen=True, slots=True)
class Drift:
    """All that was found."""

    followed: Mapping[str, tuple[int, ...]]  # by manner, the sessions until a changed taste led; AFTER + 1: never
    unseen: Mapping[str, Unseen]  # by codebook: stale, grown, refitted
    changed: Mapping[str, tuple[int, int]]  # by strategy: session ends that changed a persona, of so many
    by_growth: tuple[int, int]  # personas that growing the codebook changed, of so many
    by_settling: tuple[int, int]  # ... and that change when what was far is placed anew, at the next session end
    by_refit: tuple[int, int]
    new_labels: int

    def median(self, manner: str) -> float:
        return median(self.followed[manner])

    @property
    def rate(self) -> float:
        """Share of a mature user's session ends that change their persona."""
        many, ends = self.changed["ours"]
        return many / ends if ends else 0.0


@dataclass(frozen=True, slots=True)
class _Grown:
    """A codebook as it was fitted, and what became of it after people of new kinds came."""

    said: Sequence[Preference]  # that it was fitted to
    fitted: Codebook
    grown: Codebook
    refitted: Codebook
    before: Sequence[Heard]  # whom it was fitted on
    settled: Sequence[Heard]  # of them, those with many sessions
    newcomers: Sequence[Heard]

    def understood(self, unseen: frozenset[str]) -> dict[str, Unseen]:
        return {
            "stale": _understood(self.fitted, self.newcomers, unseen),
            "grown": _understood(self.grown, placed(self.grown, self.newcomers, far=True), unseen),
            "refitted": _understood(self.refitted, placed(self.refitted, self.newcomers), unseen),
        }


def run(plan: Plan, book: Codebook, noticed: Ears, given: Ears) -> Drift:
    """`book` is the shipped codebook."""
    unseen = _unseen_values()
    main, by_rules = _grown(plan, book, given, unseen), _grown(plan, book, noticed, unseen)
    understood = main.understood(unseen)
    understood |= {f"{name}, as noticed": of for name, of in by_rules.understood(unseen).items()}
    pooled = plain.fit(plain.empty(book.space), main.said, floor=FLOOR)
    return Drift(
        {manner: tuple(_followed(plan, main.fitted, given, way)) for manner, way in CHANGES.items()},
        understood,
        {
            "ours": _changes(main.fitted, main.settled),
            "ours, as noticed": _changes(by_rules.fitted, by_rules.settled),
            "plain": _changes(pooled, placed(pooled, main.settled)),
        },
        _differ(main.fitted, main.grown, main.before),
        _moved(main.grown, main.before, placed(main.grown, main.before, far=True)),
        _differ(main.fitted, main.refitted, main.before),
        len(main.grown.labels) - len(main.fitted.labels),
    )


def _grown(plan: Plan, book: Codebook, ears: Ears, unseen: frozenset[str]) -> _Grown:
    long = World(seed=plan.seed, without=unseen, sessions=(MATURE[1], MATURE[1]), changes=0, name="m")
    people = ears.hear(World(seed=plan.seed, without=unseen).users(plan.people))
    everyone = placed(book, [*people, *ears.hear(long.users(plan.mature))])
    said = [one for of in everyone for one in of.preferences]
    fitted = fit(book, said, floor=FLOOR)
    before = placed(fitted, everyone)
    newcomers = placed(fitted, ears.hear(_strangers(plan, unseen).users(plan.newcomers)))
    grown = grow(fitted, [one for of in (*before, *newcomers) for one in of.preferences], floor=FLOOR)
    later = (*before, *placed(grown, newcomers, far=True))
    again = fit(grown, [one for of in later for one in of.preferences], floor=FLOOR)
    return _Grown(said, fitted, grown, again, before, before[plan.people :], newcomers)


def _unseen_values() -> frozenset[str]:
    """Two values of each facet that no shipped codebook would hold."""
    chosen: list[str] = []
    for facet in FACETS:
        chosen += [value.key for value in World().words.of(facet) if value.rare][:2]
    return frozenset(chosen)


def _strangers(plan: Plan, unseen: frozenset[str]) -> World:
    """People of new archetypes, each of which wants what nobody wanted before."""
    return World(seed=plan.seed + 1_000, archetypes=12, only=unseen, name="n")


def _understood(book: Codebook, heard: Sequence[Heard], unseen: frozenset[str]) -> Unseen:
    wants = labels = told = 0
    for of in heard:
        wanted = [w for w, said in of.user.told().items() if w.key in unseen and said >= ENOUGH]
        told_lines = lines(persona(book, of).text)
        by_label = [line for line in told_lines if "“" not in line]
        for want in wanted:
            wants += 1
            labels += want in _first(of.user, by_label, want.facet)
            told += want in _first(of.user, told_lines, want.facet)
    return Unseen(wants, labels / max(wants, 1), told / max(wants, 1))


def _first(user: User, told: Sequence[str], facet: str) -> list[Want]:
    """What the first lines of a facet say: as many as the user has wants in it."""
    many = sum(want.facet == facet for want in user.wants)
    here = [want for line in told if (want := read(line)) is not None and want.facet == facet]
    return here[:many]


def _changes(book: Codebook, heard: Sequence[Heard]) -> tuple[int, int]:
    """How many session ends of mature users changed what is told of them, of how many."""
    changed = ends = 0
    first, last = MATURE
    for of in heard:
        before = _after(book, of, first - 1)
        for session in range(first, last):
            now = _after(book, of, session)
            ends += 1
            changed += now != before
            before = now
    return changed, ends


def _after(book: Codebook, of: Heard, session: int) -> str:
    """What is told of the user after this session, counted from 0."""
    name = f"{of.user.id}-s{session:03}"
    return persona(book, of, [one for one in of.preferences if one.quote.session_id <= name]).text


def _differ(one: Codebook, other: Codebook, heard: Sequence[Heard]) -> tuple[int, int]:
    """How many personas are another text under the other codebook, with preferences as they are stored."""
    return sum(persona(one, of).text != persona(other, of).text for of in heard), len(heard)


def _moved(book: Codebook, before: Sequence[Heard], after: Sequence[Heard]) -> tuple[int, int]:
    told = ((persona(book, one).text, persona(book, other).text) for one, other in zip(before, after, strict=True))
    return sum(one != other for one, other in told), len(before)


def _followed(plan: Plan, book: Codebook, ears: Ears, manner: str) -> list[int]:
    """Sessions until the new taste is the first line of its facet; it comes up once in each of them."""
    world = World(seed=plan.seed + 2_000, sessions=(BEFORE, BEFORE), changes=0, name="c")
    making = Making(world)
    found: list[int] = []
    for n in range(plan.changing):
        user = making.user(n)
        draw = np.random.default_rng((plan.seed, 3, n))
        wanted = [w for w, said in user.told().items() if w.facet in SINGLE and w.polarity == "like" and said >= ENOUGH]
        if not wanted:
            continue
        old = wanted[int(draw.integers(len(wanted)))]
        keys = [value.key for value in making.ranked[old.facet] if value.key != old.key and not value.rare]
        new = Want(old.facet, keys[int(draw.integers(len(keys)))], "like")
        manners = [manner if at == 0 or manner == "hinted" else "" for at in range(AFTER)]
        rest = [want for want in user.wants if want.facet != old.facet] or [new]
        later = [_later(making, draw, rest, new, manner) for manner in manners]
        changed = replace(user, sessions=(*user.sessions, *later))
        found.append(_leads(book, placed(book, ears.hear([changed]))[0], new))
    return found


def _later(making: Making, draw: np.random.Generator, rest: Sequence[Want], new: Want, manner: str) -> tuple[Said, ...]:
    """A session after the change: the new taste once, and two hints at other things."""
    usual = "stated" if draw.random() < STATED else "hinted"
    others = [making.put(draw, rest[int(draw.integers(len(rest)))], "hinted", "true") for _ in range(2)]
    return (making.put(draw, new, manner or usual, "true"), *others)


def _leads(book: Codebook, of: Heard, new: Want) -> int:
    for n in range(AFTER):
        here = [w for line in lines(_after(book, of, BEFORE + n)) if (w := read(line)) and w.facet == new.facet]
        if here and here[0] == new:
            return n + 1
    return AFTER + 1
