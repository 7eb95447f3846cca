"""The verbs that measure."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from carryover.cli import memory, show
from carryover.cli.options import AsJson, example

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Measure how well memory works, on conversations with known answers.",
)


@app.callback()
def eval() -> None:
    """Measure how well memory works, on conversations with known answers."""


@app.command(epilog=example("carryover eval recall ../shared/eval"))
def recall(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="Holds `locomo` or `beam`.")
    ],
    as_json: AsJson = False,
) -> None:
    """Measure how often search finds the turns that hold the answer, with vectors and without.

    Takes minutes: every conversation is logged, indexed and embedded in a database that is thrown away.
    """
    settings = memory.local("eval recall")
    # By name: evaluations and the command line are doors of one floor.
    measure = importlib.import_module("carryover.evals.recall").run
    with memory.embedded(settings) as opened:
        report = measure(folder, embedder=opened.engine.embedder)
    if as_json:
        show.as_json(report)
    else:
        show.out(report.markdown())
