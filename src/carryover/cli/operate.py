"""The verbs that stay: `serve` and `worker`."""

from __future__ import annotations

import importlib
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from carryover.cli import memory, show
from carryover.cli.options import example
from carryover.settings import Settings, load

if TYPE_CHECKING:
    from carryover.store.store import Store

app = typer.Typer(rich_markup_mode=None)

_LOOK_S = 0.5


@app.command(epilog=example("carryover serve", "carryover serve --host 0.0.0.0 --port 8420 --workers 4 --no-worker"))
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on (default: 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port (default: 8420); 0 picks one.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that serve (default: 1); several need PostgreSQL.")
    ] = None,
    worker: Annotated[bool, typer.Option(help="Run background jobs in these processes too.")] = True,
) -> None:
    """Serve the HTTP API, and run background jobs, until Ctrl+C or SIGTERM.

    On loopback it needs no key as long as none exists; on any other address it refuses to start without one.
    Told to stop, it answers what it was asked and ends its jobs first; told twice, it stops at once.
    """
    settings = load(host=host, port=port, workers=workers).settings
    memory.logged(settings)
    # By name: the server and the command line are doors of one floor and know nothing of each other.
    run = importlib.import_module("carryover.server.supervisor").run
    with stopping(_leave):
        run(settings, work=worker, say=show.note)


@app.command(epilog=example("carryover worker", "carryover worker --concurrency 4 --metrics-port 9420"))
def worker(
    concurrency: Annotated[int, typer.Option(min=1, help="Jobs that are run at the same time.")] = 1,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Serve metrics for Prometheus on this port.", show_default=False),
    ] = None,
) -> None:
    """Run background jobs until Ctrl+C or SIGTERM; jobs that are running end first, told twice they do not.

    Any number of workers may share a database: a lease makes sure that each job runs once, and tenants take turns.
    """
    settings = memory.local("worker")
    told = threading.Event()
    with (
        stopping(told.set),
        memory.embedded(settings, work=True, threads=concurrency) as opened,
        _observed(opened.engine.store, settings, metrics_port),
    ):
        show.note(f"carryover worker runs what is due in {_where(settings)}; Ctrl+C ends it")
        while not told.wait(_LOOK_S):  # a signal that another thread receives does not end a wait without an end
            pass
        show.note("ending the jobs that are running")
    show.note("carryover worker stopped")


@contextmanager
def stopping(stop: Callable[[], None]) -> Generator[None]:
    """Inside the block the first Ctrl+C or SIGTERM calls `stop`, and each later one leaves."""
    heard = 0

    def hear(_number: int, _frame: object) -> None:
        nonlocal heard
        heard += 1
        if heard == 1:
            stop()
        else:
            _leave()

    before = {number: signal.signal(number, hear) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _observed(store: Store, settings: Settings, metrics_port: int | None) -> Generator[None]:
    """What the process does is told to whoever the settings and the port let listen."""
    with ExitStack() as listening:
        listening.enter_context(importlib.import_module("carryover.server.traces").exporting(settings.otlp_endpoint))
        if metrics_port is not None:
            serve = importlib.import_module("carryover.server.metrics").serve
            port = listening.enter_context(serve(store, settings, metrics_port))
            show.note(f"metrics are served at http://127.0.0.1:{port}/metrics")
        yield


def _leave() -> None:
    raise typer.Exit(0)


def _where(settings: Settings) -> str:
    """The database as a person may see it, without its password."""
    return str(settings.folder) if settings.database_url is None else settings.database_url.rpartition("@")[2]
