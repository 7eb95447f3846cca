"""The report about coding sessions as one HTML page that stands alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from html import escape
from typing import get_args

from carryover.core.budget import Budget
from carryover.core.digest import Digest, Outcome
from carryover.core.pattern import Effect, Pattern, Share
from carryover.core.step import Flavor
from carryover.evals import draw, html
from carryover.evals.coding import Overview, Trend, by_time, day, merged, unit, week_of

_OUTCOMES: tuple[Outcome, ...] = ("verified", "unverified", "abandoned", "errored", "unknown")
_FLAVORS = {flavor: n for n, flavor in enumerate(get_args(Flavor))}  # each agent has its colour on every page
_COLOURS = {"verified": 2, "unverified": 0, "abandoned": 1, "errored": 5, "unknown": 4}
_TOP, _REPOS = 20, 12
_UNKNOWN = "unknown"


def page(found: Overview, budget: Budget) -> str:
    """The whole page."""
    body = [*_sessions(found), *_patterns(found), *_effects(found.effects), *_cost(found), *_retention(found, budget)]
    return html.whole("Coding sessions", body)


def _sessions(found: Overview) -> Iterator[str]:
    main = [one for one in found.digests if one.kind != "subagent"]
    if not main:
        yield '<p class="note">No session was digested yet: run <code>carryover ingest</code>.</p>'
        return
    yield html.tiles(_tiles(found, main))
    flavors = sorted({one.flavor for one in main}, key=_FLAVORS.__getitem__)
    if found.weeks:
        by = f"by {unit(found)}"
        by_flavor = {flavor: [one for one in main if one.flavor == flavor] for flavor in flavors}
        yield draw.stacked(f"Sessions of each agent, {by}", by_time(found, by_flavor), _FLAVORS)
        by_outcome = {outcome: [one for one in main if one.outcome == outcome] for outcome in _OUTCOMES}
        yield draw.stacked(f"How they ended, {by}", by_time(found, by_outcome), _COLOURS)
        if undated := sum(week_of(one) is None for one in main):
            yield f'<p class="soft">{undated:,} of unknown times are in the tables only.</p>'
    rows = [_flavor(flavor, [one for one in main if one.flavor == flavor]) for flavor in flavors]
    heads = ("agent", "sessions", *_OUTCOMES, "calls", "errors per 100 calls", "interrupts")
    yield html.table("How they ended; unknown is what an agent's logs do not tell", heads, rows)
    repos = Counter(one.repo or _UNKNOWN for one in main).most_common()
    verified = Counter(one.repo or _UNKNOWN for one in main if one.outcome == "verified")
    more = f"; {len(repos) - _REPOS:,} more are not shown" if len(repos) > _REPOS else ""
    yield html.table(
        f"Where{more}",
        ("repository", "sessions", "verified"),
        [(repo, f"{count:,}", f"{verified[repo]:,}") for repo, count in repos[:_REPOS]],
    )


def _tiles(found: Overview, main: Sequence[Digest]) -> dict[str, str]:
    """What is looked for first."""
    verified = sum(one.outcome == "verified" for one in main)
    judged = sum(one.outcome != "unknown" for one in main)
    costs = [cost for one in found.spent if (cost := one.cost if one.cost is not None else one.estimate) is not None]
    least = "at least " if len(costs) < len(found.spent) else ""
    span = f"{day(found.weeks[0])} to {day(found.weeks[-1])}" if found.weeks else "of unknown times"
    return {
        f"sessions, {span}": f"{len(main):,}",
        "of sub-agents": f"{len(found.digests) - len(main):,}",
        "verified, of those with a known end": f"{verified / judged:.0%}" if judged else _UNKNOWN,
        "patterns": f"{sum(one.pattern.state != 'rejected' for one in found.trends):,}",
        f"spent, {least}": _dollars(sum(costs, Decimal())) if costs else _UNKNOWN,
        "archive": _bytes(found.archived),
    }


def _flavor(flavor: str, of: Sequence[Digest]) -> tuple[str, ...]:
    outcomes = Counter(one.outcome for one in of)
    telling = [use for one in of for use in one.tools.values() if use.errors is not None]
    calls = sum(use.calls for one in of for use in one.tools.values())
    failed, told = sum(use.errors or 0 for use in telling), sum(use.calls for use in telling)
    interrupts = [one.interrupts for one in of if one.interrupts is not None]
    return (
        flavor,
        f"{len(of):,}",
        *(f"{outcomes[outcome]:,}" for outcome in _OUTCOMES),
        f"{calls:,}",
        f"{100 * failed / told:.1f}" if told else _UNKNOWN,
        f"{sum(interrupts):,}" if interrupts else _UNKNOWN,
    )


def _patterns(found: Overview) -> Iterator[str]:
    yield "<h2>What recurs</h2>"
    known = [one for one in found.trends if one.pattern.state != "rejected"]
    if not known:
        yield "<p>No pattern is known: run <code>carryover detect</code>.</p>"
        return
    more = f" of {len(known):,}" if len(known) > _TOP else ""
    yield (
        f'<p class="soft">The {len(known[:_TOP])}{more} patterns that score highest, with the sessions that showed '
        f"each by {unit(found)}. Open one for its lesson and its quotes.</p>"
    )
    for trend in known[:_TOP]:
        yield _card(found, trend)


def _card(found: Overview, trend: Trend) -> str:
    """A pattern in a line; opened, what it teaches, where it was seen, and the quotes that it stands on."""
    one = trend.pattern
    badges = ('<span class="badge marked">[CROSS-FLAVOR]</span>' if one.cross_flavor else "") + (
        f'<span class="badge">{escape(one.state)}</span>'
    )
    seen = ", ".join(f"{flavor} {_share(share)}" for flavor, share in sorted(one.flavors.items()))
    quotes = "".join(
        f"<dt>{escape(quote.agent_id)} {escape(quote.session_id)}, turn {quote.first}</dt>"
        f"<dd>{escape(quote.quote)}</dd>"
        for quote in one.evidence
    )
    counts = merged(found, trend)
    spark = draw.spark(f"sessions by {unit(found)}: {', '.join(map(str, counts))}", counts)
    return (
        f'<details class="card"><summary><span class="name">{html.marked(one.title)}</span>{badges}'
        f'<span class="soft">{_share(one.total)} sessions</span>{spark}</summary>'
        f'<p>{html.marked(one.lesson)}</p><p class="soft">{escape(seen)}; {_count(len(one.repos), "repository")}; '
        f"<code>{escape(one.id)}</code></p><dl>{quotes}</dl></details>"
    )


def _share(share: Share) -> str:
    return f"{share.sessions:,} of {share.of:,}"


def _count(many: int, thing: str) -> str:
    return f"{many:,} {thing if many == 1 else thing.replace('repository', 'repositories')}"


def _effects(effects: Sequence[tuple[Pattern, Effect]]) -> Iterator[str]:
    yield "<h2>What it changed</h2>"
    if not effects:
        yield "<p>No pattern was measured: distribute one, and run <code>carryover patterns measure</code> later.</p>"
        return
    yield draw.intervals(
        "Change of each pattern's measure, with its interval; left of the line there is less of it",
        [(f"{one.verdict}: {pattern.title}", one.estimate, one.low, one.high) for pattern, one in effects],
    )
    yield html.table(
        "Before it was told, and since",
        ("pattern", "verdict", "measure", "before", "since", "change", "sessions missing"),
        [
            (
                pattern.title,
                one.verdict,
                one.measure,
                f"{one.before.sessions} of {one.before.of}",
                f"{one.after.sessions} of {one.after.of}",
                f"{one.estimate:+.3g} [{one.low:+.3g}, {one.high:+.3g}]",
                f"{one.missing:,}" if one.missing else "",
            )
            for pattern, one in effects
        ],
    )


def _cost(found: Overview) -> Iterator[str]:
    yield "<h2>What it cost</h2>"
    if not found.spent:
        yield "<p>No log tells what was consumed.</p>"
        return
    yield html.table(
        "Each call once, however often logs repeat it; dollars as logs tell them, and by the table of prices",
        ("model", "calls", "tokens in", "from the cache", "tokens out", "told", "estimated"),
        [
            (
                one.model,
                f"{one.calls:,}",
                f"{one.input:,}",
                f"{one.cache_read:,}",
                f"{one.output:,}",
                _dollars(one.cost),
                _dollars(one.estimate),
            )
            for one in sorted(found.spent, key=lambda one: (one.cost or one.estimate or 0, one.calls), reverse=True)
        ],
    )


def _dollars(amount: Decimal | None) -> str:
    if amount is None:
        return _UNKNOWN
    return "under $0.01" if 0 < amount < Decimal("0.01") else f"${amount:,.2f}"


def _retention(found: Overview, budget: Budget) -> Iterator[str]:
    yield "<h2>What is kept</h2>"
    share = f"{found.archived / found.raw:.0%} of them" if found.raw else ""
    distilled = "" if budget.distilled_cap_bytes is None else f"up to {_bytes(budget.distilled_cap_bytes)}"
    oldest = "any age" if budget.raw_max_age_days is None else f"{budget.raw_max_age_days:,} days"
    yield html.table(
        "Logs stay in the archive until there is no room for them; digests outlive them",
        ("", "size", ""),
        [
            ("logs that were read", _bytes(found.raw), ""),
            ("archive", _bytes(found.archived), share),
            ("digests", _bytes(found.distilled), distilled),
            ("soft cap", _bytes(budget.raw_soft_cap_bytes), "above it goes what was digested"),
            ("hard cap", _bytes(budget.raw_hard_cap_bytes), "above it goes anything"),
            ("oldest", oldest, ""),
        ],
    )
    if found.unread:
        yield html.table(
            "Types of records that nothing here reads; the archive keeps them",
            ("agent", "version", "type", "records"),
            [(one.flavor, one.version, one.type, f"{one.records:,}") for one in found.unread],
        )


def _bytes(size: int) -> str:
    """`3.3 MB`."""
    for name, many in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if size >= many:
            return f"{size / many:.1f} {name}"
    return f"{size} bytes"
