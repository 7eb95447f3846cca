"""The verb `memory`: how much of what was found is told, and telling all of it again. On the database itself."""

from __future__ import annotations

from typing import Annotated

import typer

from carryover.cli import memory, show
from carryover.cli.options import AGENT, Agent, AsJson, User, example
from carryover.core.scope import Scope
from carryover.core.tier import TierCounts
from carryover.memory import evict
from carryover.opening import open_store

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Show how much of its findings memory tells, or tell all again."
)


@app.command(epilog=example("carryover memory tiers", "carryover memory tiers --json"))
def tiers(as_json: AsJson = False) -> None:
    """Show how many findings are told in full, shortened, or by the gist of their month alone, and what that freed.

    What it costs in recall is in docs/explain/memory.md; `memory_findings_max` and `memory_full_max` set the bounds.
    """
    settings = memory.local("memory tiers")
    with open_store(settings) as store:
        found = evict.tally(store, Scope(settings.tenant))
    if as_json:
        show.as_json(found)
        return
    rows = [
        ("full", found.full, "as found"),
        ("compressed", found.compressed, "shortened, every detail kept"),
        ("summarised", found.summarised, f"in {show.counted(found.gists, 'gist')}, or not"),
    ]
    show.table(("tier", "findings", "told"), rows)
    show.note(f"{show.counted(found.freed, 'byte')} of text less are told; the log and the snapshots hold all of it")


@app.command(epilog=example("carryover memory restore s1", "carryover memory restore --agent planner --user mara"))
def restore(
    session: Annotated[
        str | None,
        typer.Argument(metavar="SESSION", help="The session (default: all of the user).", show_default=False),
    ] = None,
    agent: Agent = AGENT,
    user: User = None,
    as_json: AsJson = False,
) -> None:
    """Tell all findings of a session in full again, or all of a user with an agent.

    They count as said now. Where the bounds have no room for them, raise those first.
    """
    settings = memory.local("memory restore")
    with open_store(settings) as store:
        restored = evict.restore(store, Scope(settings.tenant), agent, session, user)
    if as_json:
        show.as_json({"restored": restored})
    else:
        show.out(f"{show.counted(restored, 'finding')} told in full again, once the next worker has indexed them")


def told(found: TierCounts) -> str:
    """How memory stands, as one phrase."""
    less = f", {found.compressed:,} shortened" if found.compressed else ""
    gists = f", {found.summarised:,} in {show.counted(found.gists, 'gist')} or not at all" if found.summarised else ""
    return f"{show.counted(found.full, 'finding')} told in full{less}{gists}"
