"""The verbs that stay: `serve` and `worker`."""

from __future__ import annotations

import importlib
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated

import typer

from carryover.cli import memory, show
from carryover.cli.options import example
from carryover.settings import load

app = typer.Typer(rich_markup_mode=None)

_LOOK_S = 0.5


@app.command(epilog=example("carryover serve", "carryover serve --host 0.0.0.0 --port 8420 --no-worker"))
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on (default: 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port (default: 8420); 0 picks one.")] = None,
    worker: Annotated[bool, typer.Option(help="Run background jobs in this process too.")] = True,
) -> None:
    """Serve the HTTP API, and run background jobs, until Ctrl+C or SIGTERM.

    On loopback it needs no key as long as none exists; on any other address it refuses to start without one.
    """
    settings = load(host=host, port=port).settings
    memory.logged(settings)
    # By name: the server and the command line are doors of one floor and know nothing of each other.
    run = importlib.import_module("carryover.server.app").run
    with stopping(_leave):
        run(settings, work=worker, say=show.note)


@app.command(epilog=example("carryover worker"))
def worker() -> None:
    """Run background jobs until Ctrl+C or SIGTERM; the job that is running ends first.

    Any number of workers may share a database: a lease makes sure that each job runs once.
    """
    settings = memory.local("worker")
    told = threading.Event()
    with stopping(told.set), memory.embedded(settings, work=True):
        show.note(f"carryover worker runs what is due in {settings.database_url or settings.folder}; Ctrl+C ends it")
        while not told.wait(_LOOK_S):  # a signal that another thread receives does not end a wait without an end
            pass
        show.note("ending the job that is running")
    show.note("carryover worker stopped")


@contextmanager
def stopping(stop: Callable[[], None]) -> Generator[None]:
    """Ctrl+C and SIGTERM call `stop` inside the block."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda _number, _frame: stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _leave() -> None:
    # Once the server has answered what it was answering, it raises the signal again: then all else is closed too.
    raise typer.Exit(0)
