"""What a persona costs against what else could be told of a user's past, by price, shared prefix and traffic.

The requests and the provider's cache are those of `persona_traffic`; here they are priced. Beside the simulation stand
the formulas that say when caching, an hour's caching and a persona pay at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

import numpy as np

from carryover.evals.persona_traffic import Flags, Requests, Stream, Way, World, requests, stream
from carryover.providers.prices import Price, find, known

WAYS: tuple[Way, ...] = (
    Way("full history, no cache", "history", cached=False),
    Way("full history, cached", "history"),
    Way("last 10 turns, cached", "window"),
    Way("summary of 500 tokens, cached", "summary", made=500),
    Way("persona, no cache", "persona", cached=False, made=200),
    Way("persona before the shared prefix", "persona first", made=200),
    Way("persona behind the shared prefix", "persona", made=200),
    Way("nothing remembered", "nothing"),
)
UNCACHED, CACHED, OURS = 0, 1, 6

MODEL, SHARED, USERS = "anthropic:claude-sonnet-5", 3_000, 50  # what the headline is told for
SIZES, TRAFFIC = (200, 3_000, 8_000), (5, 50, 500)
PERSONA = 110  # tokens
FIVE_MINUTES, HOUR = 300, 3_600
UNKNOWN_LEAST = 4_096  # where a model's minimum is not known: the highest that is known of any


@dataclass(frozen=True, slots=True)
class Making:
    """A model that makes what is told after each session, from its turns and its instructions. Rules cost nothing."""

    price: Price
    instructions: int = 800


@dataclass(frozen=True, slots=True)
class Case:
    """What is priced: a model, the tokens that all users share, how many users there are, how long a cache lives.

    A model whose minimum is not known is taken to have the highest that is known of any.
    """

    model: str
    shared: int
    users: int
    ttl_s: int
    least: int
    least_known: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way comes to, in dollars: `input` and `output` of all sessions, `last` the input of users' last ones.

    `tokens` and `processed` are those of the request that opens the last session: all, and those that no cache gave.
    `making` is what a model takes that makes what is told. The ratios say how many times as much the input of a full
    history costs, without a cache and with one, over all sessions and in the last one alone.
    """

    case: Case
    way: str
    tokens: int
    processed: int
    input: float
    last: float
    output: float
    making: float
    uncached: float
    cached: float
    uncached_last: float
    cached_last: float


@dataclass(frozen=True, slots=True)
class CostReport:
    """A row for each way in each case. `headline` are the ratios that goals are set for, `at` where they were taken."""

    rows: tuple[Cost, ...]
    headline: Mapping[str, float] = field(default_factory=dict[str, float])
    at: str = ""

    def of(
        self, model: str = MODEL, shared: int = SHARED, users: int = USERS, ttl_s: int = FIVE_MINUTES
    ) -> tuple[Cost, ...]:
        """The rows of one case, in the order of `WAYS`."""
        wanted = (model, shared, users, ttl_s)
        return tuple(
            row for row in self.rows if (row.case.model, row.case.shared, row.case.users, row.case.ttl_s) == wanted
        )


def cost_report(
    models: Sequence[str] = (),
    *,
    sizes: Sequence[int] = SIZES,
    traffic: Sequence[int] = TRAFFIC,
    persona: int = PERSONA,
    making: Making | None = None,
    seed: int = 0,
) -> CostReport:
    """Every way for each model (all of the table where none is named), shared prefix and traffic.

    Models whose cache can be bought for an hour are priced with that too. The headline is told over all sessions, for
    `MODEL`, `SHARED` and `USERS`, where those are asked for. Raises ProviderError for a model that has no price.
    """
    rows: list[Cost] = []
    for users in traffic:
        found = requests(World(users=users, seed=seed))
        for shared in sizes:
            for model in models or sorted(known()):
                price = find(model)
                for ttl_s in (FIVE_MINUTES, HOUR) if price.cache_write_hour is not None else (FIVE_MINUTES,):
                    least = price.cache_least or UNKNOWN_LEAST
                    case = Case(model, shared, users, ttl_s, least, price.cache_least > 0)
                    rows += costs(found, case, price, persona=persona, making=making)
    report = CostReport(tuple(rows))
    if not (told := report.of()):
        return report
    world = World()
    at = f"{MODEL}, {SHARED:,} shared tokens, {USERS} users with {world.sessions} sessions each, cache of 5 minutes"
    return CostReport(
        report.rows, {"cost_ratio_uncached": told[OURS].uncached, "cost_ratio_cached": told[OURS].cached}, at
    )


def costs(
    found: Requests, case: Case, price: Price, *, persona: int = PERSONA, making: Making | None = None
) -> list[Cost]:
    """What each way costs in a case, in the order of `WAYS`."""
    step = None if price.over is None else price.over.tokens
    flows = [flow(found, way, case.shared, persona, Kept(case.least, case.ttl_s, step)) for way in WAYS]
    input = [dollars(one.all, price, case.ttl_s) for one in flows]
    last = [dollars(one.last, price, case.ttl_s) for one in flows]
    output = int(found.answered.sum()) * price.output / 1_000_000
    return [
        Cost(
            case=case,
            way=way.name,
            tokens=round(one.tokens),
            processed=round(one.processed),
            input=float(input[n]),
            last=float(last[n]),
            output=float(output),
            making=float(_making(found, way, making)),
            uncached=float(input[UNCACHED] / input[n]),
            cached=float(input[CACHED] / input[n]),
            uncached_last=float(last[UNCACHED] / last[n]),
            cached_last=float(last[CACHED] / last[n]),
        )
        for n, (way, one) in enumerate(zip(WAYS, flows, strict=True))
    ]


@dataclass(frozen=True, slots=True)
class Kept:
    """What the provider keeps: from how many tokens, for how long, and where its price has a step."""

    least: int
    ttl_s: int
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of input, by where they came from."""

    fresh: int
    read: int
    written: int


@dataclass(frozen=True, slots=True)
class Flow:
    """The tokens of all sessions and of users' last ones: of requests up to the step of a price, and of those above.

    `tokens` and `processed` are means of the requests that open last sessions: all, and those that no cache gave.
    """

    all: tuple[Tokens, Tokens]
    last: tuple[Tokens, Tokens]
    tokens: float
    processed: float


@lru_cache(maxsize=256)
def flow(found: Requests, way: Way, shared: int, persona: int, kept: Kept) -> Flow:
    """What the requests take in this way; models that keep alike have it in common."""
    one = stream(found, way, shared, persona, least=kept.least, ttl_s=kept.ttl_s)
    last = found.session == found.session.max()
    opening = last & (found.place == 0)
    above = one.total > kept.step if kept.step is not None else np.zeros_like(last)
    return Flow(
        all=(_summed(one, ~above), _summed(one, above)),
        last=(_summed(one, last & ~above), _summed(one, last & above)),
        tokens=float(one.total[opening].mean()),
        processed=float((one.total - one.read)[opening].mean()),
    )


def _summed(one: Stream, which: Flags) -> Tokens:
    total, read, written = (int(tokens[which].sum()) for tokens in (one.total, one.read, one.written))
    return Tokens(total - read - written, read, written)


def dollars(parts: tuple[Tokens, Tokens], price: Price, ttl_s: int = FIVE_MINUTES) -> Decimal:
    """What the input of these requests costs; those above a price's step cost more as a whole."""
    hour = price.cache_write_hour if ttl_s > FIVE_MINUTES else None
    write = price.cache_write if hour is None else hour
    asked = (price.input, price.input if price.over is None else price.over.input)
    weighed = (part.fresh + part.read * price.cache_read + part.written * write for part in parts)
    return sum((tokens * ask for tokens, ask in zip(weighed, asked, strict=True)), Decimal(0)) / 1_000_000


def _making(found: Requests, way: Way, making: Making | None) -> Decimal:
    """What the model takes that makes what is told, after every session of every user."""
    if making is None or not way.made:
        return Decimal(0)
    sessions = int((found.place == 0).sum())
    given = sessions * making.instructions + int((found.said + found.answered).sum())
    return (given * making.price.input + sessions * way.made * making.price.output) / 1_000_000


def caching_pays(read: float, write: float) -> float:
    """Caching a prefix costs less than not doing so where more requests than this have it before it is forgotten."""
    return (write - read) / (1 - read)


def hour_pays(read: float, write: float, write_hour: float) -> float:
    """Caching for an hour costs less where in an hour more pauses than this are too long for five minutes."""
    return (write_hour - write) / (write - read)


def persona_pays(price: Price, persona: int, *, requests: int, making: Making | None, given: int, made: int) -> float:
    """A persona costs less than a cached history of more tokens than this, in a session of so many requests.

    `given` and `made` are the tokens that a model takes and writes to make it, once a session.
    """
    once = 0.0
    if making is not None:
        once = float(given * making.price.input + made * making.price.output)
    each = float(price.input * (price.cache_write + (requests - 1) * price.cache_read))
    return persona + once / each


def change_costs(price: Price, tokens: int) -> float:
    """Dollars for changing a persona in mid-session: what stands from there to the end is written instead of read."""
    return float(price.input * (price.cache_write - price.cache_read) * tokens / 1_000_000)
