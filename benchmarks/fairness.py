"""What a tenant with a hundred times the traffic costs a quiet one, measured in one run.

    python -m benchmarks.fairness [--seconds 10] [--quiet 5] [--url postgresql://...]

The quiet tenant appends a turn and reads its window so many times a second, whatever the answers take (open loop), and
each time is counted from when the request was due. First it is alone; then beside a loud tenant that sends a hundred
times as much (open loop, at a rate that the server can bear); then beside one that keeps 100 requests in flight
(closed loop, saturating). Printed are its p50 and p95, and their ratio to being alone. Half of the requests are
appends. Server and load are processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from carryover.core.scope import Scope
from carryover.runtime import Carryover
from carryover.server.app import Server, create_app
from carryover.settings import Settings
from carryover.store import keys

TURN = json.dumps({"role": "user", "content": "Let's use PostgreSQL for the ledger. " * 5}).encode()
LOUD = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--quiet", type=float, default=5.0, help="requests a second of the quiet tenant")
    parser.add_argument("--url", help="the database (default: SQLite)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "benchmarks.fairness", "serve", home, given.url or ""]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port, quiet, loud = process.stdout.readline().split()
            try:
                asyncio.run(measure(int(port), quiet, loud, given))
            finally:
                process.terminate()


async def measure(port: int, quiet: str, loud: str, given: argparse.Namespace) -> None:
    await steadily(port, quiet, given.quiet, 2.0)  # warm
    alone = await steadily(port, quiet, given.quiet, given.seconds)
    tell("alone", alone, alone)
    rate = LOUD * given.quiet
    crowd = subprocess.Popen([*SELF, "open", str(port), loud, str(rate), str(given.seconds + 2)], stdout=-1, text=True)
    await asyncio.sleep(1)
    tell(f"beside {rate:g} requests/s", await steadily(port, quiet, given.quiet, given.seconds), alone)
    print(f"    the loud tenant: {crowd.communicate()[0].strip()}")
    crowd = subprocess.Popen(
        [*SELF, "closed", str(port), loud, str(LOUD), str(given.seconds + 2)], stdout=-1, text=True
    )
    await asyncio.sleep(1)
    tell(f"beside {LOUD} in flight", await steadily(port, quiet, given.quiet, given.seconds), alone)
    print(f"    the loud tenant: {crowd.communicate()[0].strip()}")


SELF = [sys.executable, "-m", "benchmarks.fairness"]


def tell(name: str, took: list[float], alone: list[float]) -> None:
    p50, p95 = at(took, 0.5), at(took, 0.95)
    print(
        f"quiet tenant {name}: p50 {p50 * 1000:.1f} ms (x{p50 / at(alone, 0.5):.2f}), "
        f"p95 {p95 * 1000:.1f} ms (x{p95 / at(alone, 0.95):.2f}, goal 2)",
        flush=True,
    )


def at(took: list[float], part: float) -> float:
    return sorted(took)[int(len(took) * part)]


async def steadily(port: int, key: str, rate: float, seconds: float) -> list[float]:
    """How long each request took from when it was due; they are sent at this rate whatever the answers take."""
    lines: list[Line] = []
    took: list[float] = []
    statuses: Counter[int] = Counter()

    async def one(n: int, due: float) -> None:
        line = lines.pop() if lines else await Line.open(port)
        statuses[await line.ask(request(key, n))] += 1
        took.append(time.perf_counter() - due)
        lines.append(line)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for n in range(int(rate * seconds)):
            due = began + n / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(n, due))
    for line in lines:
        line.close()
    assert set(statuses) <= {200, 201, 404, 429}, statuses
    return took


async def crowd(port: int, key: str, many: int, seconds: float) -> tuple[int, int]:
    """So many requests are in flight all the time; how many were answered, and how many sent away."""
    end = time.perf_counter() + seconds
    statuses: Counter[int] = Counter()

    async def client() -> None:
        line = await Line.open(port)
        n = 0
        while time.perf_counter() < end:
            statuses[await line.ask(request(key, n))] += 1
            n += 1
        line.close()

    await asyncio.gather(*(client() for _ in range(many)))
    return statuses[200] + statuses[201], statuses[429]


class Line:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Line:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, sent: bytes) -> int:
        self._writer.write(sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        await self._reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        return int(head[9:12])

    def close(self) -> None:
        self._writer.close()


def request(key: str, n: int) -> bytes:
    session = f"s{n % 50 // 2}"
    head, body = f"GET /memory/default/{session}/window", b""
    if n % 2 == 0:
        head, body = f"POST /sessions/{session}/turns", TURN
    return (
        f"{head} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def serve(home: str, url: str) -> None:
    settings = Settings(home=Path(home), embedder="none", database_url=url or None)
    with Carryover.open(settings, work=False) as memory:
        secrets: list[str] = []
        for tenant in ("quiet", "loud"):
            with memory.engine.store.write(Scope(tenant)) as tx:
                secrets.append(keys.create(tx, label="benchmark", rights=("read", "write"))[1])
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
            print(listening.getsockname()[1], *secrets, flush=True)
            Server(create_app(memory, open_door=False)).run(sockets=[listening])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", home, url]:
            serve(home, url)
        case ["open", port, key, rate, seconds]:
            took = asyncio.run(steadily(int(port), key, float(rate), float(seconds)))
            print(f"{len(took)} answers, p50 {at(took, 0.5) * 1000:.1f} ms, p95 {at(took, 0.95) * 1000:.1f} ms")
        case ["closed", port, key, many, seconds]:
            answered, refused = asyncio.run(crowd(int(port), key, int(many), float(seconds)))
            print(f"{answered / float(seconds):.0f} answers/s, {refused / float(seconds):.0f} sent away")
        case _:
            main()
