"""The verb that erases."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from carryover.cli import show
from carryover.cli.memory import memory
from carryover.cli.options import AGENT, AsJson, example
from carryover.core.errors import Invalid, NotFound
from carryover.core.session import Receipt, Session
from carryover.settings import load

if TYPE_CHECKING:
    from carryover.client.client import Client
    from carryover.runtime import Carryover

app = typer.Typer(rich_markup_mode=None)

_SHOWN = 20


@app.command(epilog=example("carryover forget --session s1", "carryover forget --agent planner --yes"))
def forget(
    session: Annotated[list[str] | None, typer.Option(help="The session to erase; may be repeated.")] = None,
    agent: Annotated[
        str | None, typer.Option(help="The agent of those sessions; alone, all its sessions are erased.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a session, or all sessions of an agent, and all that was derived from them.

    Shows what it will erase and asks. Turns, findings, snapshots, search index and activity go; usage stays on the
    account without naming the session.
    """
    if not session and agent is None:
        raise typer.BadParameter("say what to erase: --session SESSION, or --agent AGENT for all its sessions")
    with memory() as opened:
        doomed = _chosen(opened, session or (), agent or AGENT)
        if not doomed:
            raise NotFound(f"agent {agent!r} has no sessions; list them with `carryover sessions --agent AGENT`")
        if not yes:
            _ask(doomed)
        receipts: list[Receipt] = []
        with show.progress("forget", len(doomed)) as advance:
            for one in doomed:
                receipts.append(opened.delete_session(one.session_id, agent=one.agent_id))
                advance(1)
    _forget_notes()
    if as_json:
        show.as_json({"receipts": receipts})
        return
    for receipt in receipts:
        gone = ", ".join(f"{n} {table}" for table, n in receipt.counts.items() if n)
        show.out(f"erased {receipt.session_id} of agent {receipt.agent_id}: {gone}")


def _forget_notes() -> None:
    """What was prepared for hooks to tell may be of what is erased: the next `carryover ingest` prepares it anew."""
    home = load().settings.folder
    if (home / "hooks").is_dir():
        # By name: hooks and the command line are doors of one floor.
        importlib.import_module("carryover.integrations.prepared").clear(home)


def _chosen(opened: Carryover | Client, names: Sequence[str], agent: str) -> list[Session]:
    if names:
        return [opened.session(name, agent=agent) for name in names]
    found, cursor = opened.sessions(agent=agent, limit=500)
    while cursor:
        more, cursor = opened.sessions(agent=agent, limit=500, cursor=cursor)
        found += more
    return found


def _ask(doomed: Sequence[Session]) -> None:
    turns = sum(one.version for one in doomed)
    show.note(f"this erases {show.counted(len(doomed), 'session')} with {show.counted(turns, 'turn')}, for good:")
    for one in doomed[:_SHOWN]:
        show.note(
            f"  {one.session_id} of agent {one.agent_id}, {show.counted(one.version, 'turn')}, "
            f"last changed {show.when(one.updated_at)}"
        )
    if len(doomed) > _SHOWN:
        show.note(f"  … and {len(doomed) - _SHOWN} more")
    if not sys.stdin.isatty():
        raise Invalid("nobody can be asked here and nothing was erased; add --yes")
    if not typer.confirm("erase?", err=True):
        show.note("nothing was erased")
        raise typer.Exit(1)
