"""Options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

from carryover.core.clock import parse_time
from carryover.core.errors import Invalid
from carryover.core.scope import DEFAULT


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except Invalid as cause:
        raise typer.BadParameter(cause.message) from cause


Session = Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.", show_default=False)]
Agent = Annotated[str, typer.Option(help="The agent whose session it is.")]
User = Annotated[str | None, typer.Option(help="The person served.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at most.")]
Since = Annotated[
    int | None, typer.Option(parser=_time, metavar="TIME", help="Not before this time.", show_default=False)
]
Until = Annotated[int | None, typer.Option(parser=_time, metavar="TIME", help="Before this time.", show_default=False)]
AsOf = Annotated[
    int | None, typer.Option(parser=_time, metavar="TIME", help="As things stood then.", show_default=False)
]

AGENT = DEFAULT


def example(*lines: str) -> str:
    """An epilog that shows these command lines as they are."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
