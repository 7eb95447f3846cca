"""What an append costs, embedded and over HTTP, as ratios measured in one run.

    python benchmarks/server.py [--seconds 3] [--slow-ms 4] [--model]

(a) durable appends of one embedded client against one-row commits of SQLite with synchronous=FULL, in turn;
(b) 1 against 64 HTTP clients: turns a second and acknowledged turns per commit, as the disk is, and with a sleep of
    `--slow-ms` before each commit standing for a slower disk's flush;
(c) GET context and the window against a route of the same server that does nothing (p50, in turn);
(d) resident memory of the idle server, and with the embedding model loaded (`--model`).

Server and load are processes of their own; load is raw sockets, so that the client costs little.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SAID = "Let's use PostgreSQL for the ledger, because the auditors know it. " * 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    parser.add_argument("--slow-ms", type=float, default=4.0, help="sleep before each commit, standing for a flush")
    parser.add_argument("--model", action="store_true", help="also load the embedding model")
    parser.add_argument("--folder", type=Path, help="where the databases go: the disk that is measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        home = Path(folder)
        print(f"sync of 4 KB: {sync_ms(home):.3f} ms (p50)")
        embedded(home / "a")
        for slow_ms in (0.0, given.slow_ms):
            crowd(home / f"b{slow_ms:g}", given.seconds, slow_ms)
        routes(home / "c")
        memory(home / "d", model=given.model)


def sync_ms(home: Path) -> float:
    """How long this disk takes to flush one page."""
    took: list[float] = []
    with open(home / "sync", "wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def embedded(home: Path) -> None:
    from carryover.runtime import Carryover
    from carryover.settings import Settings

    with Carryover.open(Settings(home=home, embedder="none"), work=False) as memory:
        raw = sqlite3.connect(home / "raw.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            raw.execute(f"PRAGMA {pragma}")
        raw.execute("CREATE TABLE turns (seq INTEGER PRIMARY KEY, body TEXT)")

        def one_row() -> None:
            raw.execute("BEGIN IMMEDIATE")
            raw.execute("INSERT INTO turns (body) VALUES (?)", (SAID,))
            raw.execute("COMMIT")

        theirs, ours = in_turn(one_row, lambda: memory.log_turn("s", "user", SAID), 500)
        raw.close()
    print(
        f"(a) one-row commit {theirs * 1e6:.0f} us, append {ours * 1e6:.0f} us (means): "
        f"ratio {theirs / ours:.2f} (goal 0.7)"
    )


def in_turn(one: Any, other: Any, times: int) -> tuple[float, float]:
    """Mean seconds of each, measured alternately, so that both meet the same disk."""
    took: tuple[list[float], list[float]] = ([], [])
    for n in range(times + 20):
        for act, kept in zip((one, other), took, strict=True):
            began = time.perf_counter()
            act()
            if n >= 20:
                kept.append(time.perf_counter() - began)
    return statistics.fmean(took[0]), statistics.fmean(took[1])


def crowd(home: Path, seconds: float, slow_ms: float) -> None:
    with served(home, slow_ms=slow_ms) as (port, _):
        one = load(port, 1, seconds)
        many = load(port, 64, seconds)
    disk = f"{slow_ms:g} ms of sleep standing for the flush" if slow_ms else "this disk"
    for got in (one, many):
        print(
            f"(b) {disk}: {got['clients']:2d} clients {got['rate']:6.0f} turns/s, p50 {got['p50_ms']:.2f} ms, "
            f"p99 {got['p99_ms']:.2f} ms, {got['per_commit']:.1f} turns per commit"
        )
    print(
        f"(b) {disk}: x{many['rate'] / one['rate']:.1f} (goals: 20 turns per commit; x10 when a flush takes over 2 ms)"
    )


def routes(home: Path) -> None:
    with served(home) as (port, _):
        load(port, 1, 0.3)
        post(port, "/sessions/s0/consolidate", {"wait": True})
        line = Line(port)
        paths = ["/noop", "/sessions/next/context", "/memory/default/s0/window?last_n=10"]
        took: dict[str, list[float]] = {path: [] for path in paths}
        for _ in range(400):
            for path in paths:
                began = time.perf_counter()
                line.ask(request("GET", path))
                took[path].append(time.perf_counter() - began)
        p50 = {path: statistics.median(times) * 1e6 for path, times in took.items()}
    noop = p50["/noop"]
    for path in paths[1:]:
        print(
            f"(c) GET {path} p50 {p50[path]:.0f} us, no-op {noop:.0f} us: x{p50[path] / noop:.2f} (goal for context: 2)"
        )


def memory(home: Path, *, model: bool) -> None:
    with served(home, embedder="minilm") as (port, pid):
        print(f"(d) idle server: {resident_mb(pid):.0f} MB resident (goal: under 120)")
        if model:
            post(port, "/sessions/s/turns", {"role": "user", "content": SAID})
            post(port, "/memory/search", {"query": "which database"})
            print(f"(d) with the embedding model: {resident_mb(pid):.0f} MB resident")


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


@contextmanager
def served(home: Path, *, slow_ms: float = 0.0, embedder: str = "none") -> Iterator[tuple[int, int]]:
    command = [sys.executable, __file__, "serve", str(home), str(slow_ms), embedder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        Line(port).ask(request("GET", "/health"))
        try:
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(30)


def serve(home: Path, slow_ms: float, embedder: str) -> None:
    import sqlalchemy as sa
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from carryover.runtime import Carryover
    from carryover.server.app import Server, create_app
    from carryover.settings import Settings

    async def noop(_: Request) -> Response:
        return Response(b"{}", media_type="application/json")

    def flush(conn: Any) -> None:
        if conn is memory.engine.store._writer:
            time.sleep(slow_ms / 1000)

    with Carryover.open(Settings(home=home, embedder=embedder), work=False) as memory:
        if slow_ms:
            sa.event.listen(memory.engine.store.engine, "commit", flush)
        app = create_app(memory, open_door=True)
        app.router.routes.insert(0, Route("/noop", noop))
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
            print(listening.getsockname()[1], flush=True)
            Server(app).run(sockets=[listening])


def request(method: str, path: str, body: bytes = b"") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n".encode() + body


class Line:
    """One keep-alive connection; answers are read to their end."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, sent: bytes) -> bytes:
        self._socket.sendall(sent)
        got = b""
        while (end := complete(got)) is None:
            got += self._socket.recv(1 << 16)
        assert got[9:10] == b"2", got
        return got[end:]


def complete(got: bytes) -> int | None:
    """Where the body of a whole answer begins; None while some of it is missing."""
    head, found, body = got.partition(b"\r\n\r\n")
    if not found:
        return None
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return len(head) + 4 if len(body) >= length else None


def post(port: int, path: str, body: Any) -> Any:
    return json.loads(Line(port).ask(request("POST", path, json.dumps(body).encode())))


def load(port: int, clients: int, seconds: float) -> dict[str, Any]:
    """What a process of its own with so many clients gets done."""
    before = post_health(port)
    got = answered(port, clients, seconds)
    after = post_health(port)
    commits = after["commits"] - before["commits"]
    return {**got, "per_commit": (after["appends"] - before["appends"]) / max(commits, 1)}


def answered(port: int, clients: int, seconds: float) -> dict[str, Any]:
    command = [sys.executable, __file__, "load", str(port), str(clients), str(seconds)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def post_health(port: int) -> dict[str, int]:
    return json.loads(Line(port).ask(request("GET", "/health")))["store"]


async def run_load(port: int, clients: int, seconds: float) -> None:
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def client(who: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps({"role": "user", "content": SAID}).encode()
        sent = request("POST", f"/sessions/s{who}/turns", body)
        while (began := time.perf_counter()) < end:
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head[9:12] == b"201", head
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            took.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client(who) for who in range(clients)))
    rate = len(took) / (time.perf_counter() - began)
    took.sort()
    p50, p99 = (took[int(len(took) * part)] * 1000 for part in (0.5, 0.99))
    print(json.dumps({"clients": clients, "rate": rate, "p50_ms": p50, "p99_ms": p99}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", home, slow_ms, embedder]:
            serve(Path(home), float(slow_ms), embedder)
        case ["load", port, clients, seconds]:
            asyncio.run(run_load(int(port), int(clients), float(seconds)))
        case _:
            main()
