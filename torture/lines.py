"""What lies between clients and server: lines that repeat and lose, crowds, and a Redis that goes."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Generator
from functools import partial

from carryover.client.client import Client
from servers import redis
from torture import children
from torture.kills import serving
from torture.proxy import between
from torture.run import Run, database, scenario
from torture.talker import Talker


def _clients(run: Run, opened: contextlib.ExitStack, url: str, count: int, shared: int, tries: int) -> list[Talker]:
    """Clients of the server, each with sessions that it shares with its neighbours."""
    made: list[Talker] = []
    for n in range(count):
        client = opened.enter_context(Client(url, timeout_s=20))
        sessions = [f"s-{m % shared}" for m in range(n, n + 2)]
        made.append(run.talker(client, f"client-{n}", sessions, tries=tries))  # type: ignore[arg-type]
    return made


@scenario("line")
def _line(run: Run) -> None:
    """Requests arrive twice, late, out of order; answers get lost. Keys make each append happen once."""
    with database(run, "sqlite") as given, contextlib.ExitStack() as opened:
        url = opened.enter_context(serving(run, given))
        proxy = opened.enter_context(between(url, random.Random(f"{run.seed} proxy")))
        talkers = _clients(run, opened, proxy.url, 6, 4, tries=4)
        for talker in talkers:
            talker.passing = False  # an append that arrives after the erasure of its session begins a new one
        with run.talking(talkers):
            run.pause(1.5, 1.5) if run.short else run.pause(40, 40)
        done = dict(proxy.done)
        opened.close()
        run.conclude(given)
        run.notes.append(", ".join(f"{n} {kind}" for kind, n in done.items()))


def _crowd(engine: str, run: Run) -> None:
    """A hundred clients append to one session; half of them expect a version, and decide anew when it is another."""
    count, each = run.often(24, 100), run.often(3, 6)
    with database(run, engine) as given, contextlib.ExitStack() as opened:
        url = opened.enter_context(serving(run, given))
        talkers = _clients(run, opened, url, count, 1, tries=3)
        conflicts = [0] * count

        def say(n: int) -> None:
            talker = talkers[n]
            for _ in range(each):
                while not talker.say("s-0", 1, talker.known.get("s-0", 0) if n % 2 else None):
                    conflicts[n] += 1
                if n % 10 == 0:
                    talker.read("s-0")

        threads = [threading.Thread(target=say, args=(n,), daemon=True) for n in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        opened.close()
        seen = run.conclude(given)
        if seen.versions["s-0"] != count * each:
            run.broke("lost", f"{count} clients appended {each} turns each, and {seen.versions['s-0']} are there")
        run.notes.append(f"{count} clients, {sum(conflicts):,} conflicts on the way to {seen.versions['s-0']:,} turns")


@scenario("redis")
def _redis(run: Run) -> None:
    """Redis stops, stands still, forgets, or is another program that talks nonsense: nothing depends on it."""
    folder = run.folder / "redis"
    with database(run, "sqlite") as plain, contextlib.ExitStack() as opened:
        server = redis.start(folder)
        opened.callback(redis.stop, folder)
        given = children.settings(plain.home, redis_url=server.url, rate_limit="100000/minute")
        url = opened.enter_context(serving(run, given))
        with run.talking(_clients(run, opened, url, 4, 3, tries=3)):
            for _ in range(run.often(2, 16)):
                for kind in run.chance.sample(("flush", "freeze", "stop", "garbage"), 4):
                    server = _break(run, server, kind)
                    run.pause(0.1, 0.3)
        opened.close()
        run.conclude(plain)


def _break(run: Run, server: redis.Server, kind: str) -> redis.Server:
    """That happens to it for a moment; the server that is there afterwards."""
    if kind == "flush":
        server.cli("FLUSHALL")
        return server
    if kind == "freeze":
        server.pause()
        run.pause(0.3, 1.0)
        server.resume()
        return server
    redis.stop(server.folder)
    run.kills += 1
    with _nonsense(server.port) if kind == "garbage" else contextlib.nullcontext():
        run.pause(0.3, 0.8)
    return redis.start(server.folder, server.port)


@contextlib.contextmanager
def _nonsense(port: int) -> Generator[None]:
    """Somebody else answers there, in no protocol."""
    over = threading.Event()

    def answer() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.settimeout(0.2)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n\x00\xff$-7\r\n")

    with socket.create_server(("127.0.0.1", port)) as listening:
        listening.settimeout(0.05)
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


for _engine in ("sqlite", "postgresql"):
    scenario(f"crowd-{_engine}")(partial(_crowd, _engine))
