"""The verbs of legal holds."""

from __future__ import annotations

from typing import Annotated

import typer

from carryover.cli import show
from carryover.cli.memory import memory
from carryover.cli.options import AsJson, User, example
from carryover.core.erasure import LegalHold

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def hold() -> None:
    """Keep sessions, agents or users from being erased, by anybody and by no expiry, until a hold is released."""


@app.command(epilog=example('carryover hold place --user ana --reason "case 12"'))
def place(
    reason: Annotated[str, typer.Option(help="Why; whoever wants to erase it is told.")],
    session: Annotated[str | None, typer.Option(help="The session that is held.", show_default=False)] = None,
    agent: Annotated[
        str | None, typer.Option(help="The agent that is held, or the session's.", show_default=False)
    ] = None,
    user: User = None,
    as_json: AsJson = False,
) -> None:
    """Hold what lies in all that is named."""
    with memory() as opened:
        placed = opened.holds.place(reason, session=session, agent=agent, user=user)
    _told(placed, as_json)


@app.command("list", epilog=example("carryover hold list --released"))
def list_(
    released: Annotated[bool, typer.Option("--released", help="Also those that were released.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the holds in force, the newest first."""
    with memory() as opened:
        found = opened.holds.list(released=released)
    if as_json:
        show.as_json({"holds": found})
        return
    show.table(["hold", "placed", "by", "keeps", "released", "reason"], [_row(one) for one in found])


@app.command(epilog=example("carryover hold release hold_01m80f12ns00029dacyh37"))
def release(
    id: Annotated[str, typer.Argument(metavar="HOLD", help="The hold's id.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Release a hold: what it kept can be erased again, and what had expired meanwhile goes within the hour."""
    with memory() as opened:
        _told(opened.holds.release(id), as_json)


def _told(one: LegalHold, as_json: bool) -> None:
    if as_json:
        show.as_json(one)
        return
    state = "is released" if one.released_at is not None else f"keeps {_kept(one)}"
    show.out(f"{one.id} {state}")


def _row(one: LegalHold) -> list[str]:
    released = "" if one.released_at is None else show.when(one.released_at)
    return [one.id, show.when(one.placed_at), one.placed_by, _kept(one), released, one.reason]


def _kept(one: LegalHold) -> str:
    named = (("session", one.session_id), ("agent", one.agent_id), ("user", one.user_id))
    return ", ".join(f"{what} {id}" for what, id in named if id is not None)
