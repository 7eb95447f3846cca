"""How much of what users want their personas say, and how much of what they say is true.

Ours stands beside the plain codebook of users, each user's own most frequent phrases, all that they said, and what is
popular. Codebooks are fitted on the users that are measured, but for those who speak in other words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from carryover.core.persona import FACETS, SINGLE
from carryover.evals.bootstrap import Interval, ratio
from carryover.evals.persona_population import Ears, Heard, persona, placed
from carryover.evals.persona_reader import Score, lines, scores
from carryover.evals.persona_world import ARCHETYPES, World
from carryover.persona import plain
from carryover.persona.book import Codebook
from carryover.persona.fit import fit

FLOOR = 5
GIVEN, NOTICED = "as given", "as noticed"  # by an extractor that slips in a facet now and then; by the shipped rules
WAYS = ("ours", "plain", "own phrases", "raw", "popular")
MEASURES: Mapping[str, tuple[Callable[[Score], int], Callable[[Score], int]]] = {
    "label hit": (lambda s: s.hits, lambda s: s.facets),
    "precision": (lambda s: s.true, lambda s: s.lines),
    "recall": (lambda s: s.stated, lambda s: s.wants),
    "recall of what was said": (lambda s: s.stated, lambda s: s.told),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: of how many users, in how many worlds."""

    large: int = 5_000
    medium: int = 1_500  # users of the other correlations
    small: int = 50
    seeds: int = 5
    seed: int = 0
    correlations: tuple[float, ...] = (0.0, 0.6, 0.9)
    main: float = 0.6
    fresh: int = 500  # users who speak in other words


QUICK = Plan(large=130, medium=50, small=20, seeds=1, correlations=(0.6, 0.9), fresh=20)


@dataclass(frozen=True, slots=True)
class Result:
    """How one way of telling did on one population; by archetype, within which users stand or fall together."""

    population: str
    way: str
    heard: str  # GIVEN or NOTICED
    seed: int
    correlation: float
    users: int
    by: Mapping[int, Mapping[str, Score]]  # archetype, facet
    tokens: float = 0.0  # of a persona, on average


def run(plan: Plan, book: Codebook, noticed: Ears, given: Ears, done: Callable[[str], None]) -> list[Result]:
    """Every population, told in every way. `book` is the shipped codebook."""
    found: list[Result] = []
    for seed in range(plan.seed, plan.seed + plan.seeds):
        for correlation in plan.correlations:
            world = World(seed=seed, correlation=correlation)
            users = world.users(plan.large if correlation == plan.main else plan.medium)
            for heard_as, ears in ((GIVEN, given), (NOTICED, noticed)):
                found += _of_world(plan, world, ears.hear(users), book, ears, heard_as)
            done(f"{len(users):,} users, correlation {correlation:g}, seed {seed}")
    return found


def _of_world(
    plan: Plan, world: World, heard: Sequence[Heard], book: Codebook, ears: Ears, heard_as: str
) -> Iterator[Result]:
    fitted = _fitted(book, heard)
    yield from _measured(f"{len(heard):,} users", world, heard, fitted, heard_as=heard_as)
    if world.correlation != plan.main:
        return
    small, about = heard[: plan.small], f"{plan.small:,} users"
    yield from _measured(f"{about}, shipped codebook", world, small, book, heard_as=heard_as)
    yield from _measured(f"{about}, fitted", world, small, _fitted(book, small), heard_as=heard_as)
    if world.seed == plan.seed:
        fresh = World(seed=world.seed, correlation=world.correlation, new=True, name="new")
        people, ways = ears.hear(fresh.users(plan.fresh)), ("ours", "own phrases")
        yield from _measured("new users in other words", fresh, people, fitted, ways, heard_as=heard_as)


def _fitted(book: Codebook, heard: Sequence[Heard]) -> Codebook:
    return fit(book, [one for of in placed(book, heard) for one in of.preferences], floor=FLOOR)


def _measured(
    population: str,
    world: World,
    heard: Sequence[Heard],
    book: Codebook,
    ways: Iterable[str] = WAYS,
    *,
    heard_as: str,
) -> Iterator[Result]:
    for way in ways:
        told, tokens = _told(way, world, heard, book)
        by: dict[int, dict[str, Score]] = defaultdict(dict)
        for of, text in zip(heard, told, strict=True):
            mine = by[of.user.archetype]
            for facet, score in scores(of.user, text).items():
                mine[facet] = mine.get(facet, Score()).plus(score)
        yield Result(population, way, heard_as, world.seed, world.correlation, len(heard), by, tokens)


def _told(way: str, world: World, heard: Sequence[Heard], book: Codebook) -> tuple[list[list[str]], float]:
    """The lines of each user, and how long a persona is, where it is one."""
    if way == "own phrases":
        return [own(of) for of in heard], 0.0
    if way == "raw":
        return [raw(of) for of in heard], 0.0
    if way == "popular":
        popular = _popular(world)
        return [popular for _ in heard], 0.0
    if way == "plain":
        book = plain.fit(plain.empty(book.space), [one for of in heard for one in of.preferences], floor=FLOOR)
    personas = [persona(book, of) for of in placed(book, heard)]
    return [lines(one.text) for one in personas], sum(one.tokens for one in personas) / max(len(personas), 1)


def own(of: Heard) -> list[str]:
    """The user's most frequent phrase of each facet, word for word: one, or three where several may hold."""
    weights: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for one in of.preferences:
        weights[one.facet][one.value, one.polarity] += max(1, round(one.weight))
    found: list[str] = []
    for facet in (*FACETS, ""):
        ranked = sorted(weights[facet].items(), key=lambda item: (-item[1], item[0]))
        found += [spoken(*phrase) for phrase, _ in ranked[: 1 if facet in SINGLE else 3]]
    return found


def raw(of: Heard) -> list[str]:
    """All that was noticed, each once, the most frequent first."""
    counts = Counter((one.value, one.polarity) for one in of.preferences)
    return [spoken(*phrase) for phrase, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def spoken(value: str, polarity: str) -> str:
    return f"{'Likes' if polarity == 'like' else 'Does not want'} “{value}”."


def _popular(world: World) -> list[str]:
    found: list[str] = []
    for facet, key in world.popular().items():
        found.append(spoken(world.words.values[key].say[0], "avoid" if facet == "avoid" else "like"))
    return found


def total(results: Iterable[Result], measure: str, facet: str | None = None) -> Interval:
    """The measure over these results, with its interval over the archetypes of every world."""
    above, below = MEASURES[measure]
    sums: list[float] = []
    counts: list[float] = []
    for result in results:
        for of in result.by.values():
            chosen = [score for name, score in of.items() if facet in (None, name)]
            sums.append(sum(above(score) for score in chosen))
            counts.append(sum(below(score) for score in chosen))
    return ratio(sums, counts)


def amount(results: Sequence[Result], count: Callable[[Score], int]) -> float:
    """So many of something a user."""
    users = sum(result.users for result in results)
    return sum(count(score) for r in results for of in r.by.values() for score in of.values()) / max(users, 1)


def of_way(
    results: Iterable[Result], way: str, population: str, correlation: float = 0.6, heard: str = GIVEN
) -> list[Result]:
    """The results of this way of telling, one for each world."""
    chosen = (r for r in results if r.way == way and r.population == population and r.heard == heard)
    return [r for r in chosen if r.correlation == correlation]


def clusters(plan: Plan) -> str:
    return f"intervals over {ARCHETYPES} archetypes of {plan.seeds} worlds"
