"""The database itself falls: all of PostgreSQL, its first process, one of its backends, or a stop at once."""

from __future__ import annotations

import random
import signal

import psutil

from carryover.core.errors import StoreUnavailable
from carryover.runtime import Carryover
from servers import postgres
from torture import children
from torture.run import Run, a_postgres, scenario

_KINDS = ("all of it", "its first process", "a backend", "stopped at once")


@scenario("database")
def _database(run: Run) -> None:
    """Clients and workers of one memory go on as soon as PostgreSQL is back, and nobody was told too much."""
    with a_postgres(run) as server:
        given = children.settings(run.home, server.create("carryover"))
        worker = children.begin(children.work, run.printed, given)
        with Carryover.open(given, work=False) as memory:
            names = [f"talker-{n}" for n in range(5)]
            talkers = [run.talker(memory, name, ["shared-1", "shared-2", f"own-{name}"], tries=4) for name in names]
            with run.talking(talkers, pause_s=0.005):
                for _ in range(run.often(3, 50)):
                    run.pause(0.1, 0.7)
                    server = _fell(server, run.chance)
                    run.kills += 1
                    _await_store(run, memory)
        children.kill(worker)
        run.kills += 1
        run.conclude(given)


def _fell(server: postgres.Server, chance: random.Random) -> postgres.Server:
    """It was killed in one of its ways, and runs again."""
    kind, first = chance.choice(_KINDS), _first(server)
    if kind == "a backend":
        backends = [one for one in first.children() if _serves(one)]
        for one in chance.sample(backends, min(1, len(backends))):
            one.kill()
        return server  # which starts itself anew
    below = first.children(recursive=True)
    if kind == "stopped at once":
        first.send_signal(signal.SIGQUIT)
    else:
        first.kill()
        for one in below if kind == "all of it" else ():
            one.kill()
    psutil.wait_procs([first, *below], timeout=30)
    return postgres.start(server.folder, server.port)


def _first(server: postgres.Server) -> psutil.Process:
    return psutil.Process(int((server.folder / "data/postmaster.pid").read_text("utf-8").splitlines()[0]))


def _serves(process: psutil.Process) -> bool:
    return f"postgres: {postgres.ROLE} " in " ".join(process.cmdline())


def _await_store(run: Run, memory: Carryover) -> None:
    def answers() -> bool:
        try:
            memory.health()
        except StoreUnavailable:
            return False
        return True

    run.await_(answers)
