"""What there is to say about all coding sessions together: when, how they ended, what recurs, what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from carryover.coding.patterns.detect import Cluster, clusters, id_of
from carryover.coding.patterns.units import units
from carryover.core.clock import Time
from carryover.core.digest import Digest
from carryover.core.errors import ProviderError
from carryover.core.pattern import Effect, Pattern
from carryover.core.scope import Scope
from carryover.core.usage import Usage
from carryover.providers import prices
from carryover.store import archive, cursors, digests, exposures, patterns, spends
from carryover.store.cursors import Format
from carryover.store.spends import WEEK_MS, Week
from carryover.store.store import Store

_PROVIDERS = ("anthropic", "openai", "google", "xai")  # whose table a model's bare name is looked up in
_BILLION = 1_000_000_000
_MOST_WEEKS = 53  # that are shown one by one


@dataclass(frozen=True, slots=True)
class Trend:
    """In how many sessions of each week a pattern was seen; `weeks` are those of the overview."""

    pattern: Pattern
    weeks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a model consumed in all: `cost` as its logs say, `estimate` by the table of prices; None for unknown."""

    model: str
    calls: int
    input: int
    cache_read: int
    output: int
    cost: Decimal | None
    estimate: Decimal | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it; `weeks` are the Mondays from the first session to the last one, as milliseconds."""

    weeks: tuple[Time, ...]
    digests: tuple[Digest, ...]
    trends: tuple[Trend, ...]
    effects: tuple[tuple[Pattern, Effect], ...]
    spent: tuple[Spent, ...]
    archived: int
    distilled: int
    raw: int
    unread: tuple[Format, ...]


def overview(store: Store, scope: Scope, own_prices: Path | None = None) -> Overview:
    """How things stand; only read. Patterns are those of the catalog."""
    with store.read(scope) as tx:
        found = tuple(digests.every(tx))
        known = patterns.listed(tx)
        effects = tuple((one, effect) for one in known if (effect := exposures.latest(tx, one.id)) is not None)
        spent, archived, distilled = spends.by_week(tx), archive.size(tx), digests.size(tx)
        raw, unread = cursors.size(tx), tuple(cursors.types(tx, unknown=True))
    weeks = _weeks(found)
    return Overview(
        weeks,
        found,
        tuple(_trends(found, known, weeks)),
        effects,
        tuple(_spent(spent, own_prices)),
        archived,
        distilled,
        raw,
        unread,
    )


def week_of(digest: Digest) -> Time | None:
    """The Monday of the week in which the session began."""
    at = digest.started_at or digest.ended_at
    return None if at is None else (at + 3 * WEEK_MS // 7) // WEEK_MS * WEEK_MS - 3 * WEEK_MS // 7


def day(at: Time) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}"


def unit(found: Overview) -> str:
    """What sessions are counted by: weeks, or where there are many of them months, or years."""
    weeks = len(found.weeks)
    return "week" if weeks <= _MOST_WEEKS else "month" if weeks <= 5 * _MOST_WEEKS else "year"


def by_time(found: Overview, told: Mapping[str, Iterable[Digest]]) -> dict[str, dict[str, int]]:
    """For each `unit` of time how many sessions of each series there were, those without any included."""
    counts = {name: Counter(_named(found, week_of(one)) for one in series) for name, series in told.items()}
    columns = dict.fromkeys(_named(found, week) for week in found.weeks)
    return {column: {name: of[column] for name, of in counts.items()} for column in columns}


def merged(found: Overview, trend: Trend) -> list[int]:
    """The trend by `unit` of time."""
    counts: dict[str, int] = {}
    for week, many in zip(found.weeks, trend.weeks, strict=True):
        column = _named(found, week)
        counts[column] = counts.get(column, 0) + many
    return list(counts.values())


def _named(found: Overview, week: Time | None) -> str:
    return "" if week is None else day(week)[: {"week": 10, "month": 7, "year": 4}[unit(found)]]


def _weeks(found: Sequence[Digest]) -> tuple[Time, ...]:
    known = [week for one in found if (week := week_of(one)) is not None]
    return tuple(range(min(known), max(known) + 1, WEEK_MS)) if known else ()


def _trends(found: Sequence[Digest], known: Sequence[Pattern], weeks: Sequence[Time]) -> Iterable[Trend]:
    keys: dict[str, list[str]] = {}
    for one in known:
        keys.setdefault(one.signal, []).append(one.key)
    seen: dict[str, Cluster] = {id_of(one.kind, one.key): one for one in clusters(units(found), keys)}
    for pattern in known:
        shown = {} if pattern.id not in seen else {one.unit: one.digest for one in seen[pattern.id].sightings}
        counts = Counter(week_of(digest) for digest in shown.values())
        yield Trend(pattern, tuple(counts[week] for week in weeks))


def _spent(weeks: Iterable[Week], own_prices: Path | None) -> Iterable[Spent]:
    by_model: dict[str, list[Week]] = {}
    for week in weeks:
        by_model.setdefault(week.model, []).append(week)
    for model, of in sorted(by_model.items()):
        costs = [week.cost for week in of if week.cost is not None]
        total = Usage(
            tokens_in=sum(week.input + week.cache_read + week.cache_write for week in of),
            tokens_out=sum(week.output for week in of),
            cache_read=sum(week.cache_read for week in of),
            cache_write=sum(week.cache_write for week in of),
        )
        yield Spent(
            model or "unknown",
            sum(week.calls for week in of),
            sum(week.input + week.cache_write for week in of),
            total.cache_read,
            total.tokens_out,
            Decimal(sum(costs)) / _BILLION if costs else None,
            _priced(model, total, own_prices),
        )


def _priced(model: str, total: Usage, own_prices: Path | None) -> Decimal | None:
    for provider in _PROVIDERS:
        try:
            row = prices.find(f"{provider}:{model}", own_prices)
        except ProviderError:
            continue
        # A step for long prompts is per call, and this is many calls: none of them is taken to be over it.
        return prices.Price(row.window, row.input, row.output, row.cache_read, row.cache_write).of(total)
    return None
