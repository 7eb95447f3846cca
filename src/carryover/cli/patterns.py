"""The verbs `detect` and `patterns`: what recurs in coding sessions, and what is decided about it."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import click
import typer

from carryover.cli import rollout, show
from carryover.cli.memory import memory
from carryover.cli.options import AsJson, Since, example
from carryover.core.errors import Invalid
from carryover.core.pattern import LEAST, Decision, Evidence, Pattern, PatternState, Share
from carryover.core.step import Flavor
from carryover.core.wire import encode

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
patterns = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Decide about patterns, tell agents of them, and measure whether that helped.",
)
app.add_typer(patterns, name="patterns")

CROSS = "[CROSS-FLAVOR]"
_SHOWN = 20
_TITLE, _QUOTE = 90, 300
_EDIT = "# The first line is the title, what follows is the lesson that agents are told. Lines with # are left out.\n"

Id = Annotated[str, typer.Argument(metavar="ID", help="The pattern, as the list shows it.", show_default=False)]
By = Annotated[str | None, typer.Option(help="Who decides (default: your user name).", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why.", show_default=False)]
Most = Annotated[
    int | None,
    typer.Option(
        "--limit", "-n", min=1, help=f"How many at most (default: {_SHOWN}, all in JSON).", show_default=False
    ),
]


@app.command(
    epilog=example("carryover detect", "carryover detect --repo github.com/acme/shop --min-frequency 5 --json")
)
def detect(
    min_frequency: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many sessions have to show it at least.")
    ] = LEAST,
    repo: Annotated[str | None, typer.Option(help="Only sessions of this repository.", show_default=False)] = None,
    flavor: Annotated[Flavor | None, typer.Option(help="Only sessions of this agent.", show_default=False)] = None,
    since: Since = None,
    limit: Most = None,
    as_json: AsJson = False,
) -> None:
    """Find what recurs over sessions, repositories and agents: problems, and what sessions that ended well have.

    Each is counted over the sessions that could have shown it. New ones are candidates: read their evidence with
    `carryover patterns show`, and approve or reject them.
    """
    with memory() as opened:
        found = opened.coding.detect(min_frequency=min_frequency, repo=repo, flavor=flavor, since=since)
    _list(found, limit, as_json)
    if not found and not as_json:
        show.note(f"nothing recurs in {min_frequency} sessions or more; read more logs with `carryover ingest`")


@patterns.command("list", epilog=example("carryover patterns list", "carryover patterns list --state approved --json"))
def list_(
    state: Annotated[PatternState | None, typer.Option(help="Only those in this state.", show_default=False)] = None,
    limit: Most = None,
    as_json: AsJson = False,
) -> None:
    """List the patterns of the catalog, the highest score first."""
    with memory() as opened:
        found = opened.coding.patterns(state=state)
    _list(found, limit, as_json)
    if not found and not as_json:
        show.note("there are none; find some with `carryover detect`")


@patterns.command("show", epilog=example("carryover patterns show p_0c8a5a1b7f3e"))
def show_(id: Id, as_json: AsJson = False) -> None:
    """Show a pattern with its counts, the quotes that it stands on, and who decided what about it."""
    with memory() as opened:
        versions = opened.coding.versions(id)
    if as_json:
        show.as_json({**_encoded(versions[0]), "versions": versions})
        return
    _show(versions)


@patterns.command(epilog=example('carryover patterns approve p_0c8a5a1b7f3e --reason "seen in review, too"'))
def approve(id: Id, by: By = None, reason: Reason = "", as_json: AsJson = False) -> None:
    """Approve a pattern: it may be told to agents."""
    _decide(id, "approve", by, reason, as_json)


@patterns.command(
    epilog=example('carryover patterns reject p_0c8a5a1b7f3e --reason "the tool is wrong, not the agent"')
)
def reject(id: Id, by: By = None, reason: Reason = "", as_json: AsJson = False) -> None:
    """Reject a pattern; it stays rejected however often it is detected, until somebody edits it."""
    _decide(id, "reject", by, reason, as_json)


@patterns.command(
    epilog=example(
        'carryover patterns edit p_0c8a5a1b7f3e --lesson "Read a file before you edit it."',
        "EDITOR=nano carryover patterns edit p_0c8a5a1b7f3e",
    )
)
def edit(
    id: Id,
    title: Annotated[str | None, typer.Option(help="What it is called.", show_default=False)] = None,
    lesson: Annotated[str | None, typer.Option(help="What agents are told.", show_default=False)] = None,
    by: By = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Change the title or the lesson of a pattern; without either, in $EDITOR. A rejected one is a candidate again."""
    with memory() as opened:
        if title is None and lesson is None:
            title, lesson = _edited(opened.coding.pattern(id))
        changed = opened.coding.edit(id, title=title, lesson=lesson, by=by or getpass.getuser(), reason=reason)
    _tell(changed, as_json)


def share(told: Share) -> str:
    """`7 of 31 sessions`."""
    return f"{told.sessions:,} of {show.counted(told.of, 'session')}"


def _decide(id: str, decision: Decision, by: str | None, reason: str, as_json: bool) -> None:
    with memory() as opened:
        decided = opened.coding.decide(id, decision, by=by or getpass.getuser(), reason=reason)
    _tell(decided, as_json)


def _tell(pattern: Pattern, as_json: bool) -> None:
    if as_json:
        show.as_json(_encoded(pattern))
    else:
        show.out(f"{pattern.id} is {pattern.state} (version {pattern.version}, by {pattern.by}): {pattern.lesson}")


def _edited(pattern: Pattern) -> tuple[str, str]:
    """The title and the lesson as they are after a person has edited them."""
    if not sys.stdin.isatty():
        raise Invalid("there is no terminal to edit on; give --title or --lesson", field="lesson")
    text = click.edit(f"{_EDIT}{pattern.title}\n\n{pattern.lesson}\n")
    lines = [line for line in (text or "").splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        raise Invalid("nothing was saved, or no lesson is left; edit it again", field="lesson")
    return lines[0], "\n".join(lines[1:])


def _encoded(pattern: Pattern) -> dict[str, object]:
    return {**encode(pattern), "frequency": pattern.total.sessions}


def _list(found: list[Pattern], limit: int | None, as_json: bool) -> None:
    if as_json:
        show.as_json({"patterns": [_encoded(pattern) for pattern in found[:limit]]})
        return
    shown = found[: limit or _SHOWN]
    rows = [
        (
            one.id,
            one.state,
            share(one.total),
            ", ".join(f"{flavor} {told.sessions} of {told.of}" for flavor, told in one.flavors.items()),
            len(one.repos),
            f"{one.score:.2f}",
            f"{CROSS} " * one.cross_flavor + show.first_line(one.title, _TITLE),
        )
        for one in shown
    ]
    if rows:
        show.table(("id", "state", "seen in", "agents", "repos", "score", "pattern"), rows)
    if len(found) > len(shown):
        show.note(f"and {len(found) - len(shown):,} more; see them with --limit {len(found)}")


def _show(versions: list[Pattern]) -> None:
    newest = versions[0]
    show.out(f"{newest.id}  {CROSS + ' ' if newest.cross_flavor else ''}{newest.title}")
    show.out(f"  {newest.state}, {'success' if newest.good else 'problem'}: {newest.signal} {newest.key}".rstrip())
    show.out(f"  lesson: {newest.lesson}")
    happened = f", {show.counted(newest.total.count, 'time')}" if newest.total.count else ""
    show.out(f"  seen in {share(newest.total)} that could have shown it{happened}; score {newest.score:.2f}")
    for name, told in (*newest.flavors.items(), *newest.repos.items()):
        show.out(f"    {name}: {share(told)}")
    show.out("\nevidence")
    for one in newest.evidence:
        show.out(f"  {_place(one)}\n    {show.first_line(one.quote, _QUOTE)}")
    if not newest.evidence:
        show.out("  none is left: the sessions that showed it were erased")
    show.out("\nversions")
    for one in versions:
        why = f": {one.reason}" if one.reason else ""
        show.out(f"  {one.version}  {show.when(one.at)}  {one.state} by {one.by}{why}")


def _place(one: Evidence) -> str:
    turns = f"turn {one.first}" if one.first == one.last else f"turns {one.first} to {one.last}"
    return f"{one.agent_id} {one.session_id}, {turns}{' in ' + one.repo if one.repo else ''}"


patterns.add_typer(rollout.app)  # their verbs are in this group
