"""The verb `mcp`."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

from carryover.cli import memory, show
from carryover.cli.options import example
from carryover.core.errors import Invalid
from carryover.settings import load

app = typer.Typer(rich_markup_mode=None)


@app.command(epilog=example("carryover mcp", "carryover mcp --http 127.0.0.1:8421"))
def mcp(
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve HTTP there instead; port 0 picks one.", show_default=False),
    ] = None,
) -> None:
    """Serve memory to agents over the Model Context Protocol, on standard input and output.

    Its tools are get_context, search_memory, log_turn and why, on the store in CARRYOVER_HOME or on the server that
    CARRYOVER_URL names. Over HTTP it needs no key on loopback as long as none exists; elsewhere it refuses to start
    without one.
    """
    serving, over_http = _late("mcp"), _late("mcp_http")
    place = None if http is None else over_http.address(http)
    settings = load().settings
    memory.logged(settings)
    with memory.server(settings) if settings.url else memory.embedded(settings, work=True) as opened:
        if place is None:
            serving.serve_stdio(opened)
        else:
            over_http.serve_http(opened, *place, show.note, most_bytes=settings.max_body_bytes)


def _late(name: str) -> Any:
    # By name: integrations and the command line are doors of one floor, and the library is an extra.
    try:
        return importlib.import_module(f"carryover.integrations.{name}")
    except ModuleNotFoundError as cause:
        if (cause.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise Invalid(
            "the Model Context Protocol needs the library mcp; install it with `pip install 'carryover-memory[mcp]'`"
        ) from cause
