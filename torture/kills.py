"""Processes of carryover are killed at random moments: those who append, servers, workers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from functools import partial
from multiprocessing.process import BaseProcess

import httpx
import psutil

from carryover.client.client import Client
from carryover.runtime import Carryover
from carryover.settings import Settings
from servers.processes import ports
from torture import children
from torture.run import Run, database, scenario

_READY_S = 60
_AT_ONCE = 3


def _appenders(engine: str, run: Run) -> None:
    """Programs with an embedded memory; each successor asks again for what its predecessor never heard of."""
    with database(run, engine) as given:
        Carryover.open(given, work=False).close()
        running: dict[str, BaseProcess] = {}
        for n in range(run.often(7, 150 if engine == "sqlite" else 110)):
            if len(running) == _AT_ONCE:
                before = run.chance.choice(sorted(running))
                if run.chance.random() < 0.85:  # the others fall while they open their memory
                    run.await_((run.records / f"{before}.jsonl").exists)
                run.pause(0.0, 0.25)
                children.kill(running.pop(before))
                run.kills += 1
            else:
                before = None
            name = f"appender-{n}"
            # Sessions begin all the time, for a new one draws a key; and some are shared by all.
            sessions = ["shared-1", "shared-2", f"part-{n // 4}", f"part-{n // 4 + 1}"]
            asked = given, run.records, name, sessions, before, 0.005
            running[name] = children.begin(children.talk, run.printed, *asked)
        for name, process in running.items():
            run.await_((run.records / f"{name}.jsonl").exists)
            children.kill(process)
            run.kills += 1
        run.conclude(given)


def _workers(engine: str, run: Run) -> None:
    """Workers, while this process appends and closes sessions: what they had begun is done, once."""
    with database(run, engine) as given, Carryover.open(given, work=False) as memory:
        talkers = [run.talker(memory, f"talker-{n}", [f"s-{n}-{m}" for m in range(4)]) for n in range(2)]
        workers = [children.begin(children.work, run.printed, given) for _ in range(2)]
        with run.talking(talkers, pause_s=0.02):
            for _ in range(run.often(3, 60)):
                run.pause(0.2, 0.9)
                fallen = run.chance.randrange(2)
                children.kill(workers[fallen])
                run.kills += 1
                workers[fallen] = children.begin(children.work, run.printed, given)
        for worker in workers:
            children.kill(worker)
            run.kills += 1
        run.conclude(given)


def _server(engine: str, run: Run) -> None:
    """`carryover serve` with its worker, under clients over HTTP that try again."""
    with database(run, engine) as given, contextlib.ExitStack() as opened:
        port = ports(1)[0]
        asked = given.model_copy(update={"port": port})
        url = f"http://127.0.0.1:{port}"
        clients = [opened.enter_context(Client(url, timeout_s=5)) for _ in range(4)]
        talkers = [
            run.talker(client, f"client-{n}", [f"s-{m}" for m in range(n, n + 3)], tries=3)  # type: ignore[arg-type]
            for n, client in enumerate(clients)
        ]
        server = served(run, asked, url)
        with run.talking(talkers, pause_s=0.01):
            for _ in range(run.often(3, 50)):
                run.pause(0.1, 0.8)
                children.kill(server)
                run.kills += 1
                server = served(run, asked, url)
            run.pause(0.3, 0.5)
        children.kill(server)
        run.kills += 1
        run.conclude(given)


def _server_processes(run: Run) -> None:
    """Three processes behind one port, of which any is killed and started again by their supervisor."""
    with database(run, "postgresql") as given, contextlib.ExitStack() as opened:
        port = ports(1)[0]
        asked = given.model_copy(update={"port": port, "workers": 3})
        url = f"http://127.0.0.1:{port}"
        clients = [opened.enter_context(Client(url, timeout_s=5)) for _ in range(6)]
        talkers = [
            run.talker(client, f"client-{n}", [f"s-{m}" for m in range(n, n + 3)], tries=4)  # type: ignore[arg-type]
            for n, client in enumerate(clients)
        ]
        server = served(run, asked, url)
        with run.talking(talkers, pause_s=0.02):
            for _ in range(run.often(2, 15)):
                run.pause(2.0, 5.5)  # sooner, the supervisor would take them for hopeless
                below = [
                    one for one in psutil.Process(server.pid).children() if "spawn_main" in " ".join(one.cmdline())
                ]
                if below:
                    run.chance.choice(below).kill()
                    run.kills += 1
        for one in psutil.Process(server.pid).children(recursive=True):
            one.kill()
        children.kill(server)
        run.kills += 1
        run.conclude(given)


def served(run: Run, given: Settings, url: str) -> BaseProcess:
    """The server answers."""
    server = children.begin(children.serve, run.printed, given)
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and server.is_alive():
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health/ready", timeout=5).status_code == 200:
                return server
        time.sleep(0.01)
    raise RuntimeError(f"the server at {url} did not start")


@contextlib.contextmanager
def serving(run: Run, given: Settings) -> Generator[str]:
    """A server of this memory answers at the address, for as long as the block lasts."""
    port = ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    server = served(run, given.model_copy(update={"port": port}), url)
    try:
        yield url
    finally:
        children.kill(server)


for _engine in ("sqlite", "postgresql"):
    scenario(f"appenders-{_engine}")(partial(_appenders, _engine))
    scenario(f"workers-{_engine}")(partial(_workers, _engine))
    scenario(f"server-{_engine}")(partial(_server, _engine))
scenario("server-processes")(_server_processes)
