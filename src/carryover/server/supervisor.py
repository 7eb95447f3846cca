"""Several processes behind one port: started once everything is known to be right, and kept running."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from carryover.core.errors import CarryoverError, Invalid
from carryover.jobs.logger import logger_for, to_stderr
from carryover.runtime import Carryover
from carryover.server import app, metrics
from carryover.settings import Settings

logger = logger_for(__name__)

EARLY_S = 5.0  # a process that ended sooner after its start will not do better by itself
MOST_EARLY = 5  # such ends, one after the other, before it gives up
FIRST_PAUSE_S = 0.25  # before a process is started again, doubling with each early end
_LOOK_S = 0.25
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_spawn = multiprocessing.get_context("spawn")  # a fork would inherit locks and connections


def run(settings: Settings, *, work: bool, say: Callable[[str], None]) -> None:
    """Serves in as many processes as the settings say, until it is told to stop (SIGINT, SIGTERM).

    With `work`, each of them runs due jobs too. Raises Invalid or StoreUnavailable before anything is served when
    something is wrong, CarryoverError when processes end as soon as they are started.
    """
    if settings.workers == 1:
        app.run(settings, work=work, say=say)
        return
    if settings.store_url.startswith("sqlite"):
        raise Invalid(
            f"{settings.workers} worker processes cannot share SQLite, which has one writer at a time; "
            "set workers to 1, or database_url to a PostgreSQL database",
            field="workers",
        )
    with tempfile.TemporaryDirectory(prefix="carryover-metrics-") as folder:
        with Carryover.open(settings, work=False) as memory:
            bound = app.bind(memory, say)
        metrics.prepare_shared(Path(folder))
        with bound:
            Supervisor(settings, bound, work=work).run()


class Supervisor:
    """The parent: it serves nothing itself."""

    def __init__(self, settings: Settings, bound: socket.socket, *, work: bool) -> None:
        self._settings = settings
        self._bound = bound
        self._work = work
        self._children: dict[SpawnProcess, float] = {}  # and when each was started
        self._signals = 0
        self._early = 0

    def run(self) -> None:
        """Returns once all processes have ended because they were told to."""
        with self._hearing():
            try:
                for _ in range(self._settings.workers):
                    self._start()
                while self._children:
                    wait([child.sentinel for child in self._children], _LOOK_S)
                    self._look()
            finally:
                for child in self._children:
                    child.kill()
                    child.join()

    def _look(self) -> None:
        if self._signals:
            self._bound.close()  # or callers would wait in a line that nobody serves any more
        for child in [child for child in self._children if child.exitcode is not None]:
            started = self._children.pop(child)
            metrics.ended(child.pid or 0)
            if self._signals:
                continue
            self._early = self._early + 1 if time.monotonic() - started < EARLY_S else 0
            logger.error("a server process ended", pid=child.pid, exit_code=child.exitcode)
            if self._early >= MOST_EARLY:
                raise CarryoverError(
                    f"server processes end as soon as they are started, the last with exit code {child.exitcode}; "
                    "correct what they say above"
                )
            time.sleep(FIRST_PAUSE_S * 2**self._early if self._early else 0)
            self._start()

    def _start(self) -> None:
        if self._signals:
            return
        child = _spawn.Process(target=serve, args=(self._settings, self._bound, self._work), name="server")
        child.start()
        self._children[child] = time.monotonic()
        if self._signals:  # it came while the child was being started, and was told the others alone
            child.terminate()

    @contextlib.contextmanager
    def _hearing(self) -> Generator[None]:
        """Signals are passed on; the third ends everything."""
        before = {number: signal.signal(number, self._hear) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, _number: int, _frame: object) -> None:
        self._signals += 1
        for child in self._children:
            if self._signals > 2:
                child.kill()
            else:
                child.terminate()


def serve(settings: Settings, bound: socket.socket, work: bool) -> None:
    """The whole life of one process. It also stops when its parent is gone, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches all processes of a terminal; the parent passes it on
    to_stderr(settings.log_level, settings.log_format)
    threading.Thread(target=_stop_with_parent, name="parent", daemon=True).start()
    try:
        with Carryover.open(settings, work=work) as memory, bound:
            app.serve(memory, bound)
    except CarryoverError as failure:
        sys.stderr.write(f"carryover: {failure.message}\n")
        sys.exit(1)


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
