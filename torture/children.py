"""Processes to kill: forked from one that has imported everything and opened nothing, so that each starts at once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from carryover.jobs.timer import ticking
from carryover.jobs.worker import Worker
from carryover.runtime import Carryover
from carryover.server import supervisor
from carryover.settings import Settings
from torture.history import Recorder, read
from torture.talker import Talker

LEASE_MS = 1_500  # of the workers here: a killed one's jobs are free soon
_LOOK_S = 0.2

_begun: list[BaseProcess] = []
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["torture.children", "carryover.store.sqlite", "carryover.store.postgres"])


def begin(target: Callable[..., None], printed: Path, *given: Any) -> BaseProcess:
    """The function runs in a process of its own, which ends with this one; what it prints is added to the file."""
    process = _forks.Process(target=_run, args=(target, str(printed), given))
    process.start()
    _begun.append(process)
    return process


def kill(process: BaseProcess) -> None:
    """It is gone, as if the power had failed. Raises RuntimeError where it had ended by itself."""
    if process.exitcode is not None or process.pid is None:
        raise RuntimeError(f"a process ended by itself, with {process.exitcode}; it printed why")
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def end() -> None:
    """None of them is left."""
    for process in _begun:
        process.kill()
        process.join()
    _begun.clear()


def settings(home: Path, database: str | None = None, **more: Any) -> Settings:
    """As a user has them who sets nothing but where the data lies."""
    return Settings(home=home, database_url=database, **{"embedder": "none", "log_level": "error", **more})


def talk(given: Settings, folder: Path, name: str, sessions: list[str], before: str | None, pause_s: float) -> None:
    """Talks until it is killed; what its predecessor left without an answer it mostly sends again."""
    chance = random.Random(f"{folder.name} {name}")
    unheard = [op for op in read(folder / f"{before}.jsonl") if not op.ended] if before else []
    with Carryover.open(given, work=False) as memory:
        talker = Talker(memory, Recorder(folder, name), chance, sessions)
        for op in unheard:
            if op.kind == "append" and chance.random() < 0.7:
                talker.again(op)
        while True:
            talker.step()
            time.sleep(pause_s)


def work(given: Settings, threads: int = 2, lease_ms: int = LEASE_MS) -> None:
    """Runs what is due until it is killed."""
    with Carryover.open(given, work=False) as memory:
        engine = memory.engine
        worker = Worker(engine.store, engine.worker.derivations, lambda _tenant: given.cap, lease_ms=lease_ms)
        with ticking(engine.store, worker, concurrency=threads, tick_s=0.02):
            threading.Event().wait()


def serve(given: Settings) -> None:
    """`carryover serve`, with its background work."""
    supervisor.run(given, work=True, say=print)


def _run(target: Callable[..., None], printed: str, given: tuple[Any, ...]) -> None:
    with open(printed, "ab", buffering=0) as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    for name in [name for name in os.environ if name.startswith("CARRYOVER_")]:
        del os.environ[name]
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    target(*given)


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)
