"""What was measured of personas, as sections of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from os import cpu_count, getloadavg

from carryover.core.persona import FACETS
from carryover.evals import draw
from carryover.evals.metrics import quantile
from carryover.evals.persona_cost import FIVE_MINUTES, MODEL, SHARED, USERS, Cost, CostReport
from carryover.evals.persona_cost import OURS as OURS_PLACE
from carryover.evals.persona_cost import WAYS as WAYS_PRICED
from carryover.evals.persona_drift import AFTER, BEFORE, MATURE, Drift
from carryover.evals.persona_information import GIVEN, MEASURES, NOTICED, WAYS, Plan, Result, amount, of_way, total
from carryover.evals.persona_natural import MANY, Natural
from carryover.evals.persona_noticing import Counts
from carryover.evals.persona_open import Grep, Opening
from carryover.evals.persona_privacy import HEAVY, REPEATS, Privacy
from carryover.evals.persona_report import Section, Table, table, told
from carryover.evals.persona_stability import Stability

OURS = WAYS_PRICED[OURS_PLACE].name


def noticing(counts: Counts) -> Section:
    """What Rules make of the turns."""
    shares = {
        "turns that say what the user wants": (counts.noticed, counts.true),
        "... of them, those that state it": (counts.stated_noticed, counts.stated),
        "the value was understood": (counts.value, counts.true),
        "... and under its facet": (counts.facet, counts.value),
        "... and as liked or not wanted": (counts.polarity, counts.value),
        "... and as stated or hinted at": (counts.explicit, counts.value),
        "chatter in which something was noticed": (counts.chat_noticed, counts.chat),
        "meant for one answer, or said of others, and noticed": (counts.passing_noticed, counts.passing),
    }
    rows = [(name, f"{above / below if below else 0:.3f}", f"{below:,}") for name, (above, below) in shares.items()]
    missed = [(text, f"{many:,}") for text, many in counts.missed.most_common(10)]
    return Section(
        "Noticing",
        "How much of what made-up users say is noticed by rules, apart from what a codebook makes of it. A value is "
        "understood where its own words, or others for it, were noticed.",
        (table("Turns", ("what", "share", "of"), rows), table("Most often missed", ("turn", "times"), missed)),
        (),
        {name: {"share": above / below if below else 0.0, "of": below} for name, (above, below) in shares.items()},
    )


def information(plan: Plan, results: Sequence[Result]) -> Section:
    """How much of what users want is told, and how much of what is told is true."""
    tables = [_main(plan, results, GIVEN), _main(plan, results, NOTICED), _by_facet(plan, results)]
    tables += [_correlations(plan, results), _populations(plan, results)]
    large = f"{plan.large:,} users"
    hits = {
        f"{measure}, correlation {correlation:g}": {
            way: total(_at(plan, results, way, correlation), measure).mean for way in WAYS
        }
        for measure in ("label hit", "recall")
        for correlation in plan.correlations
    }
    facets = {
        facet: {
            measure: total(of_way(results, "ours", large, plan.main), measure, facet).mean
            for measure in ("label hit", "precision", "recall")
        }
        for facet in FACETS
    }
    return Section(
        "Information",
        "Label hit: of the facets of which a user said enough (a statement, or two hints), the share whose first line "
        "is true of them. Precision: of all lines, the share that is true. Recall: of all that users want, whether or "
        "not they said it, the share that a line states. A reader sees the text alone. Intervals are over archetypes.",
        tuple(tables),
        (draw.bars("Ways of telling", hits), draw.bars("Ours, by facet", facets)),
        {"results": [_figures(result) for result in results]},
    )


def _at(plan: Plan, results: Sequence[Result], way: str, correlation: float, heard: str = GIVEN) -> list[Result]:
    users = plan.large if correlation == plan.main else plan.medium
    return of_way(results, way, f"{users:,} users", correlation, heard)


def _main(plan: Plan, results: Sequence[Result], heard: str) -> Table:
    rows = [_row(way, _at(plan, results, way, plan.main, heard)) for way in WAYS]
    worlds = f"{plan.seeds} worlds" if plan.seeds > 1 else "1 world"
    caption = f"{heard}: {plan.large:,} users, {plan.main:.0%} of their wants from their archetype, {worlds}"
    return table(caption, ("way", *MEASURES, "lines", "tokens"), rows)


def _by_facet(plan: Plan, results: Sequence[Result]) -> Table:
    rows: list[list[str]] = []
    for facet in FACETS:
        row = [facet]
        for way in ("ours", "plain"):
            here = _at(plan, results, way, plan.main)
            row += [f"{total(here, measure, facet).mean:.3f}" for measure in ("label hit", "precision", "recall")]
        rows.append(row)
    names = [f"{way}: {measure}" for way in ("ours", "plain") for measure in ("label hit", "precision", "recall")]
    return table("By facet, in the same worlds", ("facet", *names), rows)


def _correlations(plan: Plan, results: Sequence[Result]) -> Table:
    rows = [
        _row(f"{correlation:g}: {way}", _at(plan, results, way, correlation))
        for correlation in plan.correlations
        for way in ("ours", "plain")
    ]
    caption = f"By how much users follow their archetype ({plan.large:,} users at {plan.main:g}, else {plan.medium:,})"
    return table(caption, ("correlation and way", *MEASURES, "lines", "tokens"), rows)


def _populations(plan: Plan, results: Sequence[Result]) -> Table:
    named = dict.fromkeys(
        (r.population, r.heard, r.way)
        for r in results
        if r.correlation == plan.main and r.way in ("ours", "plain", "own phrases")
    )
    rows = [
        _row(f"{population}, {heard}: {way}", of_way(results, way, population, plan.main, heard))
        for population, heard, way in named
        if population != f"{plan.large:,} users"
    ]
    return table("Other users", ("users and way", *MEASURES, "lines", "tokens"), rows)


def _row(name: str, results: Sequence[Result]) -> list[str]:
    tokens = sum(result.tokens for result in results) / max(len(results), 1)
    figures = [told(total(results, measure)) for measure in MEASURES]
    return [name, *figures, f"{amount(results, lambda s: s.lines):.1f}", f"{tokens:.0f}" if tokens else ""]


def _figures(result: Result) -> dict[str, object]:
    told_of = {name: getattr(result, name) for name in ("population", "way", "heard", "seed", "correlation", "users")}
    facets = {facet: {m: total([result], m, facet).mean for m in MEASURES} for facet in FACETS}
    unread = amount([result], lambda s: s.unread)
    return {
        **told_of,
        **{measure: total([result], measure) for measure in MEASURES},
        "lines": amount([result], lambda s: s.lines),
        "unread": unread,
        "tokens": result.tokens,
        "facets": facets,
    }


def natural(found: Natural) -> Section:
    """What becomes of sentences that people wrote."""
    heads = ("way", *(f"topics told, {many} preferences" for many in MANY), *(f"not wanted, {many}" for many in MANY))
    ways = list(dict.fromkeys(way for way, _ in found.topics))
    rows = [
        [way, *(told(found.topics[way, many]) for many in MANY), *(told(found.kept[way, many]) for many in MANY)]
        for way in ways
    ]
    noticed = [
        ("preferences noticed", told(found.noticed), f"{found.rows:,}"),
        ("liked or not wanted, as the wording says", told(found.polarity), f"{found.polarity.n:,}"),
        ("of people's sentences about themselves, noticed", f"{found.people_noticed:.3f}", f"{found.people:,}"),
        ("... as how they want to be answered", f"{found.people_answering:.3f}", f"{found.people:,}"),
    ]
    facets = [(facet, f"{many:,}") for facet, many in found.facets.items()]
    return Section(
        "Natural text",
        "Preferences of PrefEval as turns of users, each user with some of them, every one of another topic; a line "
        "tells a topic if it is nearest to a preference of that topic. Then sentences of MSC in which people tell of "
        "themselves: none of these should become a wish of how to be answered.",
        (
            table("What was noticed", ("what", "share", "of"), noticed),
            table("Facets of what was noticed", ("facet", "preferences"), facets),
            table("What personas tell", heads, rows),
        ),
        (),
        {
            "noticed": found.noticed,
            "polarity": found.polarity,
            "topics": {f"{way}, {many}": of for (way, many), of in found.topics.items()},
            "not wanted": {f"{way}, {many}": of for (way, many), of in found.kept.items()},
            "people noticed": found.people_noticed,
            "people answering": found.people_answering,
            "facets": dict(found.facets),
        },
    )


def drift(found: Drift) -> Section:
    """How personas keep up."""
    followed = [
        (manner, f"{found.median(manner):g}", f"{sum(n > AFTER for n in of):,} of {len(of):,}")
        for manner, of in found.followed.items()
    ]
    unseen = [(name, f"{of.labels:.3f}", f"{of.told:.3f}", f"{of.wants:,}") for name, of in found.unseen.items()]
    changed = [(way, f"{many / max(of, 1):.3f}", f"{many:,} of {of:,}") for way, (many, of) in found.changed.items()]
    moved = {
        "a fit that only appends": found.by_growth,
        "the next session end after it": found.by_settling,
        "a full refit": found.by_refit,
    }
    curves = {
        manner: [(float(n), sum(one <= n for one in of) / max(len(of), 1)) for n in (1, 2, 3, 5, 8, 12, 20)]
        for manner, of in found.followed.items()
    }
    return Section(
        "Drift",
        f"A taste changes after {BEFORE} sessions and comes up once in each later one. Unseen wants are those of "
        "people of new archetypes, which nobody had when the codebook was fitted. A mature user is in sessions "
        f"{MATURE[0]} to {MATURE[1]} and wants the same all the time.",
        (
            table("Sessions until a changed taste leads", ("change", "median", f"not within {AFTER}"), followed),
            table("Unseen wants in the first lines", ("codebook", "by labels", "as told", "wants"), unseen),
            table("Session ends that change a mature user's persona", ("strategy", "share", "session ends"), changed),
            table(
                f"Personas that change with the codebook ({found.new_labels:,} new labels)",
                ("by", "personas"),
                [(name, f"{many:,} of {of:,}") for name, (many, of) in moved.items()],
            ),
        ),
        (draw.curves("A changed taste leads", "sessions after the change", curves),),
        {
            "followed": {manner: list(of) for manner, of in found.followed.items()},
            "unseen": {name: asdict(of) for name, of in found.unseen.items()},
            "changed": dict(found.changed),
            "moved": moved,
            "new labels": found.new_labels,
        },
    )


def privacy(found: Privacy, files: Grep) -> Section:
    """What gets out."""
    rows = [
        (name, f"{of.labels:,}", f"{of.blocks:,}", f"{of.overview:,}", f"{of.planted:,}")
        for name, of in (
            ("as noticed", found.noticed),
            ("with a noticer that lets all through", found.through),
            ("the same without a floor: must not be 0", found.unguarded),
        )
    ]
    orders = [
        ("as noticed", f"{found.orders_told} of {found.orders}"),
        ("with a noticer that lets all through", f"{found.orders_through} of {found.orders}"),
    ]
    raw = [
        ("the planted preference", f"{files.holding} of {files.files}"),
        ("the user's id, which rows name: must not be 0", f"{files.control} of {files.files}"),
    ]
    return Section(
        "Privacy",
        f"Names, addresses, numbers and medical matters stand in a tenth of all turns; {HEAVY} users repeat a matter "
        f"{REPEATS} times each. They are counted wherever others could see them. Orders to a model, said as "
        "preferences, are looked for in the persona of whoever said them.",
        (
            table("Planted strings", ("run", "in labels", "in others' personas", "in the overview", "planted"), rows),
            table("Orders in personas", ("run", "told"), orders),
            table("Files of a database and its keyring that hold", ("what", "files"), raw),
        ),
        (),
        {"privacy": asdict(found), "files": asdict(files), "leaks": found.leaks + files.holding},
    )


def costs(found: CostReport) -> Section:
    """What it costs to tell a persona, against other ways."""
    heads = (
        "way",
        "tokens",
        "processed",
        "input $",
        "output $",
        "uncached",
        "cached",
        "uncached, last",
        "cached, last",
    )
    here = found.of()
    rows = [
        [row.way, f"{row.tokens:,}", f"{row.processed:,}", f"{row.input:,.2f}", f"{row.output:,.2f}"]
        + [f"{ratio:.1f}" for ratio in (row.uncached, row.cached, row.uncached_last, row.cached_last)]
        for row in here
    ]
    ours = [row for row in found.rows if row.way == OURS]
    traffic = [row for row in ours if row.case.model == MODEL]
    prices = [row for row in ours if (row.case.shared, row.case.users) == (SHARED, USERS)]
    named = ("model", "cache", "shared tokens", "users", "input $", "below uncached", "below cached")
    about = f"{MODEL}, {SHARED:,} shared tokens, {USERS} users, cache of {FIVE_MINUTES // 60} minutes"
    return Section(
        "Cost",
        "Requests of made-up sessions, priced by the table of prices with the provider's cache as it is documented: no "
        "model is called. `tokens` and `processed` are those of the request that opens a user's last session: all of "
        "them, and those that no cache gave. The ratios say how many times as much the input of a full history costs, "
        "over all sessions and in the last one.",
        (
            table(about, heads, rows),
            table(f"{OURS}, by size and traffic", named, [_case(row) for row in traffic]),
            table(f"{OURS}, by price", named, [_case(row) for row in prices]),
        ),
        (draw.amounts("Input of all sessions, in dollars", {row.way: row.input for row in here}),),
        {"at": found.at, "headline": dict(found.headline), "rows": [asdict(row) for row in (*here, *ours)]},
    )


def _case(row: Cost) -> tuple[str, ...]:
    case = row.case
    return (
        f"{case.model}{'' if case.least_known else ' (minimum not known)'}",
        *(f"{case.ttl_s // 60} min", f"{case.shared:,}", f"{case.users:,}", f"{row.input:,.2f}"),
        *(f"{row.uncached:.1f}", f"{row.cached:.1f}"),
    )


def opening(found: Sequence[Opening], missing: str) -> Section:
    """How long it takes."""
    rows = [
        (
            f"{of.store}: {what}",
            *(f"{ms:.3f}" for ms in (times.at(0.5), times.at(0.99), quantile(times.cpu, 0.5))),
            f"{len(times.ms):,}",
        )
        for of in found
        for what, times in of.times.items()
    ]
    sizes = [(of.store, f"{of.users:,}", f"{of.preferences}", f"{of.bytes:.0f}", f"{of.tokens:.0f}") for of in found]
    return Section(
        "Opening a session",
        "Milliseconds in a warm process with an embedded engine, over many users. The machine's load was "
        f"{getloadavg()[0]:.1f} on {cpu_count()} cores: what else runs there counts, too. {missing}".strip(),
        (
            table("Time", ("store and call", "p50 ms", "p99 ms", "p50 ms computed", "calls"), rows),
            table("What is told", ("store", "users", "preferences each", "bytes", "tokens"), sizes),
        ),
        (),
        {
            of.store: {
                what: {"p50": times.at(0.5), "p99": times.at(0.99), "cpu p50": quantile(times.cpu, 0.5)}
                for what, times in of.times.items()
            }
            for of in found
        },
    )


def stability(found: Stability) -> Section:
    """Whether bytes stay the same."""
    rows = [(what, f"{different}", f"{runs}") for what, (different, runs) in found.hashes.items()]
    return Section(
        "Byte stability",
        f"The personas of {found.users:,} users as one hash: one means that every byte was the same.",
        (table("Different hashes", ("what was varied", "hashes", "runs"), rows),),
        (),
        dict(found.hashes),
    )
