"""The verb `hooks`: coding agents start with their memory and hand in their sessions, or no longer."""

from __future__ import annotations

import importlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from carryover.cli import show
from carryover.cli.options import AsJson, example
from carryover.core.errors import Invalid
from carryover.settings import load

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Let coding agents start with their memory, and hand in their sessions.",
)


class CodingAgent(StrEnum):
    """An agent whose settings are known."""

    claude_code = "claude-code"
    codex = "codex"
    grok = "grok"


class Place(StrEnum):
    """Whose settings: the user's, for all repositories, or those that stand in this one."""

    user = "user"
    project = "project"


Which = Annotated[CodingAgent, typer.Argument(metavar="AGENT", help="claude-code, codex or grok.", show_default=False)]
Where = Annotated[Place, typer.Option("--scope", help="The user's settings, or those in this repository.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command(
    epilog=example("carryover hooks install claude-code", "carryover hooks install codex --scope project --dry-run")
)
def install(
    agent: Which, scope: Where = Place.user, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Put carryover's hooks into a coding agent's settings; shows the change first, and asks.

    When a session starts, the agent is given what earlier sessions in this repository left to know; when it pauses or
    ends, its log is handed in for the next `carryover ingest`. A hook takes a few hundredths of a second and never
    fails. Everything else in the settings stays as it is, and `carryover hooks uninstall` gives back the same bytes.
    """
    home, project = _home(), _late("hooks").project_of(Path.cwd())
    changes = _late("hooks").installing(agent.value, scope.value, project, home)
    _show(changes, f"the hooks are in {agent.value}'s settings already", as_json=as_json)
    if dry_run:
        return
    if changes:
        _ask(yes)
        _late("hooks").apply(changes, home, put=True)
        show.note(_late("hook_places").NOTES[agent.value])
    else:
        _late("hooks").write_script(home)  # of this release, whatever installed the hooks


@app.command(epilog=example("carryover hooks uninstall claude-code", "carryover hooks uninstall codex --scope project"))
def uninstall(
    agent: Which, scope: Where = Place.user, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Take carryover's hooks out of a coding agent's settings again; shows the change first, and asks."""
    home, project = _home(), _late("hooks").project_of(Path.cwd())
    changes = _late("hooks").uninstalling(agent.value, scope.value, project, home)
    _show(changes, f"there are no hooks in {agent.value}'s settings", as_json=as_json)
    if changes and not dry_run:
        _ask(yes)
        _late("hooks").apply(changes, home, put=False)


@app.command(epilog=example("carryover hooks status", "carryover hooks status --json"))
def status(as_json: AsJson = False) -> None:
    """Show in which settings the hooks stand, what waits to be read, and for what notes are prepared."""
    found = _late("hooks").standing(_late("hooks").project_of(Path.cwd()), _home())
    if as_json:
        show.as_json(found)
        return
    rows = [(one.agent, one.scope, one.standing, one.path, one.reason) for one in found.hooks]
    show.table(("agent", "scope", "hooks", "file", ""), rows)
    waiting = show.counted(found.spooled, "log")
    show.note(f"{waiting} handed in and not read yet; notes for {show.counted(found.prepared, 'place')}")
    if found.script != "current" and any(one.standing == "installed" for one in found.hooks):
        show.note(f"the script that hooks run is {found.script}; run `carryover hooks install AGENT` again")


def _show(changes: list[Any], nothing: str, *, as_json: bool) -> None:
    if as_json:
        show.as_json({"changes": [{"path": str(change.path), "diff": change.diff} for change in changes]})
    elif not changes:
        show.note(f"{nothing}; nothing to change")
    else:
        for change in changes:
            show.out(change.diff.rstrip("\n"))


def _ask(yes: bool) -> None:
    """Raises Invalid where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Invalid("nobody can be asked here and nothing was changed; add --yes")
    if not typer.confirm("make these changes?", err=True):
        show.note("nothing was changed")
        raise typer.Exit(1)


def _home() -> Path:
    return load().settings.folder.absolute()


def _late(name: str) -> Any:
    # By name: integrations and the command line are doors of one floor.
    return importlib.import_module(f"carryover.integrations.{name}")
