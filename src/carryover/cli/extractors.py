"""The verb `extractors`: what memory is made with, and what becomes of a new model, prompt or set of rules."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from carryover.cli import show
from carryover.cli.memory import memory
from carryover.cli.options import AsJson, example
from carryover.client.client import Client
from carryover.core.extractor import ExtractorState
from carryover.memory import score
from carryover.memory.choice import PROMOTE
from carryover.runtime import Carryover

app = typer.Typer(
    rich_markup_mode=None, help="Show what memory is made with, and decide about a new model, prompt or set of rules."
)

_LOOK_S = 0.5

Name = Annotated[str, typer.Argument(metavar="NAME", help="The extractor, as the list shows it.", show_default=False)]


@app.callback(
    invoke_without_command=True,
    epilog=example("carryover extractors", "carryover extractors promote anthropic:claude-haiku-4-5@p1"),
)
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what memory is made with, and decide about a new model, prompt or set of rules.

    Without a command: list the extractors of the tenant. One is promoted and makes its memory; a candidate is being
    compared with it; a refused one answered less, and was not taken.
    """
    if context.invoked_subcommand is not None:
        return
    with memory() as opened:
        states = opened.extractors()
    if as_json:
        show.as_json({"extractors": states})
        return
    for state in states:
        show.out(f"{state.name}: {state.state} since {show.when(state.since)}{_progress(state)}\n  {state.reason}")
    if not states:
        show.note("none yet: the one that makes the first snapshot is promoted")


@app.command(epilog=example("carryover extractors promote anthropic:claude-haiku-4-5@p1"))
def promote(name: Name, as_json: AsJson = False) -> None:
    """Make memory with this extractor from now on, whatever it answers."""
    with memory() as opened:
        _tell(opened.decide_extractor(name, "promote"), as_json)


@app.command(epilog=example("carryover extractors refuse anthropic:claude-haiku-4-5@p1"))
def refuse(name: Name, as_json: AsJson = False) -> None:
    """Do not take this extractor, and do not compare it any further."""
    with memory() as opened:
        _tell(opened.decide_extractor(name, "refuse"), as_json)


@app.command("try", epilog=example("carryover extractors try anthropic:claude-haiku-4-5@p1"))
def try_(
    name: Name,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1, help="How many seconds to wait for the end.")] = 600,
    as_json: AsJson = False,
) -> None:
    """Compare the configured extractor with the promoted one now, and take it if it answers no less."""
    with memory() as opened:
        state = opened.decide_extractor(name, "try")
        end = time.monotonic() + timeout_s
        while state.state == "candidate" and time.monotonic() < end and not _stands_still(opened, state):
            state = next(one for one in opened.extractors() if one.name == name)
    _tell(state, as_json)


def _stands_still(opened: Carryover | Client, state: ExtractorState) -> bool:
    """The next session was compared, here or by a worker of the server; True when nothing more comes of it now."""
    if isinstance(opened, Carryover):
        return not opened.engine.worker.run_one((PROMOTE,), tenant=opened.scope.tenant, subject=state.name)
    time.sleep(_LOOK_S)
    return False


def _tell(state: ExtractorState, as_json: bool) -> None:
    if as_json:
        show.as_json(state)
    else:
        show.out(f"{state.name} is {state.state}{_progress(state)}: {state.reason}")
    if state.state == "candidate":
        show.note("it will be compared by the next worker; `carryover queue list` says what it waits for")


def _progress(state: ExtractorState) -> str:
    sessions, asked = state.comparison.sessions, state.comparison.after.asked
    if not sessions:
        return ""
    told = f"{show.counted(sessions, 'session')}, {show.counted(asked, 'question')}"
    return f" ({told}, {score.percent([state.score])[0]} answered)" if asked else f" ({told})"
