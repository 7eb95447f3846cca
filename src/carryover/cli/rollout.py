"""The verbs `patterns distribute`, `withdraw` and `measure`: what agents are told, and whether that helped."""

from __future__ import annotations

import getpass
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from carryover.cli import memory, show
from carryover.cli.options import AsJson, example
from carryover.core.pattern import Effect, Written
from carryover.core.scope import Scope
from carryover.opening import open_store

Id = Annotated[str, typer.Argument(metavar="ID", help="The pattern, as the list shows it.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Write without asking, for scripts.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a block that was edited by hand.")]
By = Annotated[str | None, typer.Option(help="Who decides (default: your user name).", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why.", show_default=False)]


app = typer.Typer(rich_markup_mode=None)


@app.command(
    epilog=example(
        "carryover patterns distribute --repo ~/src/shop --dry-run",
        "carryover patterns distribute p_0c8a5a1b7f3e --repo ~/src/shop --repo ~/src/desk --share 0.5 --seed 7",
    )
)
def distribute(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="The patterns (default: all that are approved).", show_default=False),
    ] = None,
    repo: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="A repository; several are possible.", show_default=False),
    ] = None,
    user: Annotated[bool, typer.Option("--user", help="Into your own files, for all repositories.")] = False,
    file: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="CLAUDE.md, AGENTS.md, GROK.md, GEMINI.md (default: the first three).",
            show_default=False,
        ),
    ] = None,
    skill: Annotated[
        str | None, typer.Option(metavar="NAME", help="Into a skill of this name instead.", show_default=False)
    ] = None,
    all_flavors: Annotated[
        bool, typer.Option("--all-flavors", help="Tell every agent also what several others have shown.")
    ] = False,
    seen_here: Annotated[bool, typer.Option("--seen-here", help="Tell a repository only what was seen in it.")] = False,
    max_lines: Annotated[int, typer.Option(min=6, help="Lines that a block may have.")] = 24,
    max_tokens: Annotated[int, typer.Option(min=50, help="Tokens that a block may have.")] = 800,
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Tell each pattern in this share of the repositories, drawn at random.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="What that is drawn by.")] = 0,
    effect: Annotated[
        float, typer.Option(min=0.05, max=0.95, help="The smallest change that you care for: 0.5 is half as often.")
    ] = 0.5,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long to measure at most.")] = 90,
    yes: Yes = False,
    dry_run: DryRun = False,
    force: Force = False,
    by: By = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Write approved patterns into the files that agents read, as one block that is carryover's.

    Shows what would change first, and asks. Nothing outside of the block is touched; a second run changes nothing.
    With --share, some repositories are not told, so that both can be compared: that is the surest measurement.
    """
    settings = memory.local("patterns distribute")
    rollout, targets = _late("rollout.distribute"), _late("rollout.targets")
    folders = repo or (list(settings.coding.repos) if not user else [])
    if not folders and not user:
        raise typer.BadParameter("nothing is named to write to; name a repository with --repo PATH, or use --user")
    wanted: list[Any] = []
    for folder in folders:
        wanted += targets.of_repo(folder, file or (), skill)
    if user:
        wanted += targets.of_user(os.environ, Path.home(), file or (), skill)
    budget = _late("patterns.telling").Budget(max_lines, max_tokens)
    wish = rollout.Wish(tuple(ids or ()), all_flavors, seen_here, budget, share, seed, force)
    with open_store(settings) as store:
        scope = Scope(settings.tenant)
        changes = rollout.plan(store, scope, wanted, wish)
        shown = [change.shown for change in changes]
        if _shall(shown, yes=yes, dry_run=dry_run, as_json=as_json):
            goal = _late("rollout.compare").Goal(effect, days)
            rollout.carry_out(store, scope, changes, goal, by=by or getpass.getuser(), reason=reason)
            _tell(shown, "written", as_json)


@app.command(epilog=example("carryover patterns withdraw p_0c8a5a1b7f3e"))
def withdraw(
    id: Id,
    yes: Yes = False,
    dry_run: DryRun = False,
    force: Force = False,
    by: By = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Take a pattern out of every file that tells it. A file that was made for nothing else is gone."""
    settings = memory.local("patterns withdraw")
    rollout = _late("rollout.distribute")
    with open_store(settings) as store:
        scope = Scope(settings.tenant)
        changes = rollout.withdrawing(store, scope, id, force=force)
        shown = [change.shown for change in changes]
        if _shall(shown, yes=yes, dry_run=dry_run, as_json=as_json):
            pattern = rollout.withdraw(store, scope, id, changes, by=by or getpass.getuser(), reason=reason)
            _tell(shown, "written", as_json)
            show.note(f"{pattern.id} is {pattern.state} (version {pattern.version}, by {pattern.by})")


@app.command(epilog=example("carryover patterns measure", "carryover patterns measure p_0c8a5a1b7f3e --json"))
def measure(
    id: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="The pattern (default: all that are distributed).", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether distributed patterns helped: helped, no evidence, harmful, or how many more sessions would tell.

    Sessions that were told a pattern are compared with those before it was detected and, where there are any, with
    those that were not told. One may look as often as one likes; docs/explain/measuring.md says why.
    """
    with memory.memory() as opened:
        found: list[Effect] = opened.coding.measure(id)
    if as_json:
        show.as_json({"effects": found})
        return
    for effect in found:
        _show(effect)
    if not found:
        show.note("no pattern is distributed; approve some, and run `carryover patterns distribute`")


def _shall(shown: Sequence[Written], *, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Whether what is shown shall be done."""
    for one in shown:
        if one.diff and not as_json:
            show.out(one.diff.removesuffix("\n"))
        if one.left_out:
            show.note(f"{one.path}: no room for {', '.join(one.left_out)}; raise --max-lines or --max-tokens")
        if one.held_back:
            show.note(f"{one.path}: {', '.join(one.held_back)} not told in {one.repo}, to be compared with")
    changing = [one for one in shown if one.state != "unchanged"]
    if dry_run:
        _tell(shown, "would be written", as_json)
        return False
    if not (yes or not changing or typer.confirm(f"Write {show.counted(len(changing), 'file')}?", err=True)):
        show.note("nothing was written")
        raise typer.Exit(1)
    return True


def _tell(shown: Sequence[Written], done: str, as_json: bool) -> None:
    if as_json:
        show.as_json({"files": shown})
        return
    changing = [one for one in shown if one.state != "unchanged"]
    for one in changing:
        told = f", telling {show.counted(len(one.patterns), 'pattern')}" if one.patterns else ""
        show.note(f"{one.path}: {one.state}{told}")
    if changing:
        show.note(f"{show.counted(len(changing), 'file')} {done}")
    else:
        show.note("nothing changes: every file is as it should be")


def _show(effect: Effect) -> None:
    show.out(f"{effect.pattern}: {effect.verdict} ({effect.design})\n  {_late('rollout.measure').told_as(effect)}")
    for text in effect.notes:
        show.out(f"  {text}")


def _late(name: str) -> Any:
    # What measures loads numpy; the help of these verbs should not wait for it.
    return importlib.import_module(f"carryover.coding.{name}")
