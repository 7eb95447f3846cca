"""The verb `report`: all coding sessions on one page."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from carryover.cli import memory, show
from carryover.cli.ingest import budget_of
from carryover.cli.options import example
from carryover.core.scope import Scope
from carryover.opening import open_store

app = typer.Typer(rich_markup_mode=None, help="Write one page about all coding sessions.")


@app.command(epilog=example("carryover report", "carryover report -o ~/sessions.html"))
def report(
    output: Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="The page to write.")] = Path(
        "carryover-report.html"
    ),
) -> None:
    """Write one page about all coding sessions: when and how they ended, what recurs, what it cost, what is kept.

    It stands alone: nothing is loaded from elsewhere, and it quotes sessions only where patterns do.
    """
    settings = memory.local("report")
    with open_store(settings) as store:
        found = _late("coding").overview(store, Scope(settings.tenant), settings.prices)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(_late("coding_page").page(found, budget_of(settings)), "utf-8")
    show.out(f"wrote {output}: {show.counted(len(found.digests), 'session')}")


def _late(name: str) -> Any:
    # By name: what measures and the command line are doors of one floor.
    return importlib.import_module(f"carryover.evals.{name}")
