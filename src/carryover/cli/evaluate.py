"""The verbs that measure."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from carryover.cli import memory, show
from carryover.cli.options import example
from carryover.core.errors import Invalid
from carryover.providers import prices
from carryover.settings import Settings

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Measure how well memory works, on your own log or on conversations with known answers.",
)


class Set(StrEnum):
    """A published set of conversations."""

    locomo = "locomo"
    beam = "beam"
    longmemeval = "longmemeval"


class Mode(StrEnum):
    """How is searched: as configured, by words alone, or one after the other."""

    hybrid = "hybrid"
    text = "text"
    both = "both"


@app.callback()
def eval() -> None:
    """Measure how well memory works, on your own log or on conversations with known answers."""


@app.command(
    epilog=example(
        "carryover eval recall --report ./report",
        "carryover eval recall ../shared/eval --set locomo --cache ./vectors --json new.json --against old.json",
    )
)
def recall(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            exists=True,
            file_okay=False,
            show_default=False,
            help="Holds `locomo`, `beam` or `longmemeval`; without it, your own log is asked.",
        ),
    ] = None,
    own: Annotated[bool, typer.Option("--own", help="Ask your own log, which is only read.")] = False,
    sets: Annotated[
        list[Set] | None, typer.Option("--set", help="Only this set of the folder; may be given again.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, show_default=False, help="Questions at most: of each conversation, or of your own log."),
    ] = None,
    mode: Annotated[Mode, typer.Option(help="Search with vectors, by words alone, or both.")] = Mode.both,
    seed: Annotated[int, typer.Option(help="Which turns of your own log are asked about.")] = 0,
    with_model: Annotated[
        bool, typer.Option("--with-model", help="Let the configured model ask: it is sent turns of your own log.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Conversations measured at the same time.")] = 1,
    cache: Annotated[
        Path | None, typer.Option(file_okay=False, show_default=False, help="Keep vectors there for the next run.")
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", dir_okay=False, show_default=False, help="Write all results; - prints them."),
    ] = None,
    report_dir: Annotated[
        Path | None, typer.Option("--report", file_okay=False, show_default=False, help="Write recall.md and .html.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, show_default=False, help="Compare with what --json wrote earlier."),
    ] = None,
) -> None:
    """Measure how often what was said is found again, and what memory kept of it; no model judges.

    Your own log is asked questions made from its turns, and only read. Published conversations are logged,
    consolidated, indexed and embedded in a database that is thrown away; that takes minutes.
    """
    settings = memory.local("eval recall")
    if folder is not None and (own or with_model):
        raise Invalid("--own and --with-model are for your own log; leave the folder out", field="folder")
    if folder is None and (sets or cache):
        raise Invalid("--set and --cache are for a folder of conversations; name the folder", field="folder")
    reading: Any = _late("report")
    before = None if against is None else reading.read(against)
    modes = ("hybrid", "text") if mode is Mode.both else (mode.value,)
    if folder is not None:
        chosen = {"sets": tuple(dict.fromkeys(one.value for one in sets))} if sets else {}
        plan = _late("recall").Plan(modes=modes, limit=limit, memory=True, timed=30, **chosen)
        report = _published(folder, plan, settings, cache, jobs)
    else:
        report = _own(settings, modes, seed, limit, with_model=with_model)
    differences: list[Any] = [] if before is None else _late("compare").differences(report, before)
    _tell(report, differences, json_file, report_dir)


@app.command(
    epilog=example(
        "carryover eval strategies --report ./report",
        "carryover eval strategies ../shared/eval ../shared/corpus --made-up 5",
        """carryover eval strategies --strategy '{"mode": "trim", "max_user_turns": 60}'""",
    )
)
def strategies(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER]...",
            exists=True,
            file_okay=False,
            show_default=False,
            help="Hold `locomo`, `beam` or `longmemeval`, or logs of coding agents; without any, your own log.",
        ),
    ] = None,
    made_up: Annotated[
        int,
        typer.Option("--made-up", min=0, help="So many conversations of 300 turns with tool calls are made up, too."),
    ] = 0,
    strategy: Annotated[
        list[str] | None,
        typer.Option(show_default=False, help="One more strategy, as JSON of its fields; may be given again."),
    ] = None,
    head: Annotated[int, typer.Option(min=0, help="Tokens of tools and instructions before every view.")] = 3000,
    ttl: Annotated[int, typer.Option(min=0, help="Seconds until the provider's cache is cold; 0: never.")] = 300,
    model: Annotated[str, typer.Option(help="Whose prices count, `provider:model`.")] = "anthropic:claude-sonnet-5",
    limit: Annotated[
        int | None,
        typer.Option(min=1, show_default=False, help="Conversations of each set at most (your own log: 200)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which conversations are made up.")] = 0,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", dir_okay=False, show_default=False, help="Write all results; - prints them."),
    ] = None,
    report_dir: Annotated[
        Path | None,
        typer.Option("--report", file_okay=False, show_default=False, help="Write strategies.md and .html."),
    ] = None,
) -> None:
    """Replay conversations under each strategy, and tell what the input would have cost with the provider's cache.

    No model is called, and your own log is only read. Strategies are those that are built in, what is done without
    one, and those that you give.
    """
    settings = memory.local("eval strategies")
    measuring, talks = _late("strategies"), _late("strategies_talks")
    terms = measuring.Terms(prices.find(model, settings.prices), head, ttl)
    chosen = dict(measuring.STRATEGIES)
    for text in strategy or ():
        name, given = _late("strategies_report").given(text, list(chosen))
        chosen[name] = given
    found = [talk for folder in folders or () for talk in talks.found(folder, limit)]
    found += list(talks.made_up(seed, talks=made_up))
    if not folders and not made_up:
        with memory.embedded(settings) as opened:
            found = list(talks.own(opened.engine.store, opened.scope, limit or talks.SESSIONS))
    results: list[Any] = []
    with show.progress("conversations", len(found)) as advance:
        for part in measuring.run(found, chosen, terms):
            results += part
            advance(1)
    told = {
        "prices": model,
        "before every view": f"{head:,} tokens",
        "cache": f"cold after {ttl:,} s" if ttl else "never cold",
    }
    report = _late("strategies_report").made(results, chosen, told)
    _write(
        "strategies", report, report.markdown(), lambda: _late("strategies_page").page(report), (json_file, report_dir)
    )


@app.command(
    epilog=example(
        "carryover eval persona --quick",
        "carryover eval persona ../shared/eval --out ./report",
        "carryover eval persona --json --seed 7",
    )
)
def persona(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            exists=True,
            file_okay=False,
            show_default=False,
            help="Holds `prefeval`, and `msc_personas` if they are there; without it, no natural text is measured.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few users and one world: a look, no measurement.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Which worlds are made up.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", file_okay=False, show_default=False, help="Write persona.md, .html and .json."),
    ] = None,
) -> None:
    """Measure what personas say of made-up users, how true it is, what leaks, what it costs, and how long it takes.

    Users say what they want in turns; rules notice it, and no model is called. Beside ours stand the plain strategy and
    others. All of it is in databases that are thrown away, and takes minutes.
    """
    settings = memory.local("eval persona")
    measuring = _late("persona")
    plan = (measuring.QUICK if quick else measuring.Plan()).seeded(seed)
    with show.progress("measurements", plan.steps) as advance:
        report = measuring.run(folder, settings, plan, lambda: advance(1))
    if out is not None:
        _files("persona", report.markdown(), lambda: _late("persona_page").page(report), out)
        (out / "persona.json").write_text(report.json(), "utf-8")
        show.note(f"wrote {out / 'persona.json'}")
    show.out(report.json() if as_json else report.markdown())


def _published(folder: Path, plan: Any, settings: Settings, cache: Path | None, jobs: int) -> Any:
    measuring = _late("recall")
    total = sum(1 for _ in measuring.found(folder, plan))  # reads every file before the long work begins
    made: list[Any] = []
    with show.progress("conversations", total) as advance:
        for part in measuring.parts(folder, plan, partial(measuring.embedder_for, settings, cache), jobs):
            made.append(part)
            advance(1)
    about = {"folder": folder.name, "questions": plan.limit or "all of each conversation"}
    return _about(measuring.put_together(made), settings, extractor=measuring.EXTRACTOR, **about)


def _own(settings: Settings, modes: tuple[str, ...], seed: int, limit: int | None, *, with_model: bool) -> Any:
    measuring = _late("own")
    if with_model and settings.llm == "rules":
        raise Invalid("--with-model needs a model; set CARRYOVER_LLM to provider:model", field="llm")
    plan = measuring.Plan(modes=modes, seed=seed, **({} if limit is None else {"most": limit}))
    with memory.embedded(settings) as opened:
        # By name: the wiring takes longer to load than most verbs take to run.
        llm = importlib.import_module("carryover.engine").llm_of(settings, settings.llm) if with_model else None
        try:
            report = measuring.run(opened.engine.store, opened.scope, models=opened.engine.models, plan=plan, llm=llm)
        finally:
            if llm is not None:
                llm.close()
    return _about(report, settings, seed=seed)


def _about(report: Any, settings: Settings, **more: object) -> Any:
    return _late("report").about(report, embedder=settings.embedder, **more)


def _tell(report: Any, differences: list[Any], json_file: Path | None, report_dir: Path | None) -> None:
    compared = _late("compare").markdown(differences)
    markdown = "\n".join(filter(None, (report.markdown(), compared)))
    _write("recall", report, markdown, lambda: _late("page").page(report, differences), (json_file, report_dir))


def _write(name: str, report: Any, markdown: str, page: Callable[[], str], to: tuple[Path | None, Path | None]) -> None:
    json_file, report_dir = to
    if report_dir is not None:
        _files(name, markdown, page, report_dir)
    if json_file is not None and str(json_file) != "-":
        json_file.write_text(report.json(), "utf-8")
        show.note(f"wrote {json_file}")
    show.out(report.json() if str(json_file) == "-" else markdown)


def _files(name: str, markdown: str, page: Callable[[], str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(markdown, "utf-8")
    (folder / f"{name}.html").write_text(page(), "utf-8")
    show.note(f"wrote {folder / f'{name}.html'} and {folder / f'{name}.md'}")


def _late(name: str) -> Any:
    # By name: evaluations and the command line are doors of one floor.
    return importlib.import_module(f"carryover.evals.{name}")
