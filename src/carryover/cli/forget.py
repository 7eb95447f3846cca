"""The verb that erases."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carryover.cli import show
from carryover.cli.memory import memory
from carryover.cli.options import AsJson, Since, Until, User, example
from carryover.core.erasure import Preview, Receipt, run_of
from carryover.core.errors import Held, Invalid
from carryover.core.wire import encode
from carryover.settings import load

if TYPE_CHECKING:
    from carryover.client.client import Client
    from carryover.runtime import Carryover

app = typer.Typer(rich_markup_mode=None)


def _run(text: str) -> tuple[int, int] | None:
    try:
        return run_of(text)
    except Invalid as cause:
        raise typer.BadParameter(cause.message) from cause


_EXAMPLES = (
    "carryover forget --session s1",
    "carryover forget --session s1 --turns 3..9",
    "carryover forget --user ana --yes --receipt ana.json",
)


@app.command(epilog=example(*_EXAMPLES))
def forget(
    session: Annotated[list[str] | None, typer.Option(help="The session to erase; may be repeated.")] = None,
    agent: Annotated[
        str | None, typer.Option(help="The agent of those sessions; alone, all of the agent is erased.")
    ] = None,
    user: User = None,
    since: Since = None,
    until: Until = None,
    turns: Annotated[
        Any, typer.Option(parser=_run, metavar="FIRST..LAST", help="Only these turns of the session.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", metavar="FILE", help="Write the signed receipt to this file.")
    ] = None,
) -> None:
    """Erase a session, turns of it, a time, an agent or a user, and all that was derived from them.

    Shows what it will erase and asks. What is named narrows it together; a time is when turns were said. Findings,
    snapshots, search index and activity go too; usage stays on the account without naming the session.
    """
    times = {"since": since, "until": until}
    named: dict[str, Any] = {"agent": agent, "user": user, **times, "turns": turns}
    if not session and all(value is None for value in named.values()):
        raise typer.BadParameter("say what to erase: --session, --agent, --user, --since or --until")
    asked: list[dict[str, Any]] = [{**named, "session": one} for one in session or (None,)]
    with memory() as opened:
        doomed = [opened.erasures.preview(**one) for one in asked]
        for one in doomed:
            _refuse_held(one)
        if not yes:
            _ask(doomed)
        receipts = _erased(opened, asked)
    _forget_notes()
    if receipt is not None:
        told = receipts[0] if len(receipts) == 1 else receipts
        receipt.write_text(json.dumps(encode(told), ensure_ascii=False, indent=2) + "\n", "utf-8")
    if as_json:
        show.as_json({"receipts": receipts})
        return
    for one in receipts:
        gone = ", ".join(f"{n} {table}" for table, n in one.counts.items() if n)
        show.out(f"erased {_named(one)}: {gone or 'nothing was left'}")


def _erased(opened: Carryover | Client, asked: Sequence[dict[str, Any]]) -> list[Receipt]:
    receipts: list[Receipt] = []
    with show.progress("forget", len(asked)) as advance:
        for one in asked:
            receipts.append(opened.erasures.erase(**one))
            advance(1)
    return receipts


def _forget_notes() -> None:
    """What was prepared for hooks to tell may be of what is erased: the next `carryover ingest` prepares it anew."""
    home = load().settings.folder
    if (home / "hooks").is_dir():
        # By name: hooks and the command line are doors of one floor.
        importlib.import_module("carryover.integrations.prepared").clear(home)


def _refuse_held(doomed: Preview) -> None:
    for hold in doomed.holds:
        raise Held(
            f"legal hold {hold.id!r} forbids this ({hold.reason}); it can be erased once an admin has released the "
            f"hold (`carryover hold release {hold.id}`)",
            hold_id=hold.id,
            reason=hold.reason,
        )


def _ask(doomed: Sequence[Preview]) -> None:
    sessions, turns = sum(one.sessions for one in doomed), sum(one.turns for one in doomed)
    show.note(f"this erases {show.counted(turns, 'turn')} of {show.counted(sessions, 'session')}, for good:")
    some = [one for found in doomed for one in found.some]
    for one in some:
        what = "all of it" if one.whole else "these turns alone"
        show.note(
            f"  {one.session_id} of agent {one.agent_id}, {show.counted(one.turns, 'turn')}, {what}, "
            f"last changed {show.when(one.updated_at)}"
        )
    if sessions > len(some):
        show.note(f"  … and {sessions - len(some)} more")
    if not sys.stdin.isatty():
        raise Invalid("nobody can be asked here and nothing was erased; add --yes")
    if not typer.confirm("erase?", err=True):
        show.note("nothing was erased")
        raise typer.Exit(1)


def _named(receipt: Receipt) -> str:
    """What the receipt is of, in words."""
    turns = "" if receipt.first is None else f"turns {receipt.first} to {receipt.last} of "
    words = [
        *([f"{turns}{receipt.session_id}"] if receipt.session_id else []),
        *(
            [f"of agent {receipt.agent_id}" if receipt.session_id else f"agent {receipt.agent_id}"]
            if receipt.agent_id
            else []
        ),
        *([f"user {receipt.user_id}"] if receipt.user_id else []),
        *([f"since {show.when(receipt.since)}"] if receipt.since is not None else []),
        *([f"until {show.when(receipt.until)}"] if receipt.until is not None else []),
    ]
    return " ".join(words)
