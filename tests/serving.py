"""A real server on a loopback port, over a memory in a temporary folder."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from carryover.core.scope import RIGHTS, Right, Scope
from carryover.runtime import Carryover
from carryover.server.app import Server, create_app
from carryover.settings import Settings
from carryover.store import keys
from commands import ENTRY


def open_memory(home: Path, **settings: Any) -> Carryover:
    """A memory without an embedding model and without background work."""
    return Carryover.open(Settings(home=home, embedder="none", **settings), work=False)


@dataclass(frozen=True)
class Running:
    """A server that runs: its URL, its memory, and the server itself."""

    url: str
    memory: Carryover
    server: Server

    def key(self, *rights: Right, tenant: str = "default", **about: Any) -> str:
        """A new API key's secret."""
        with self.memory.engine.store.write(Scope(tenant)) as tx:
            return keys.create(tx, label="test", rights=rights or RIGHTS, **about)[1]

    def http(self, key: str | None = None) -> httpx.Client:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)


@contextmanager
def serving(memory: Carryover, *, open_door: bool = True, port: int = 0) -> Iterator[Running]:
    """Inside the block the server answers; on leaving it has stopped as it does at SIGTERM."""
    listening = socket.create_server(("127.0.0.1", port))
    server = Server(create_app(memory, open_door=open_door))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield Running(f"http://127.0.0.1:{listening.getsockname()[1]}", memory, server)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
        assert not thread.is_alive(), "the server did not stop"


@contextmanager
def serving_process(home: Path, *args: str, **settings: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """`carryover serve` as it is installed, on a port of its own, and its address."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOVER_")}
    given = {f"CARRYOVER_{name.upper()}": value for name, value in {"embedder": "none", **settings}.items()}
    with subprocess.Popen(
        [ENTRY, "serve", "--port", "0", *args], stderr=subprocess.PIPE, text=True,
        env={**bare, **given, "CARRYOVER_HOME": str(home)}, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            assert process.stderr is not None
            found = re.search(r"http://\S+", process.stderr.readline())
            assert found is not None
            threading.Thread(target=process.stderr.read, daemon=True).start()
            with httpx.Client(base_url=found[0], timeout=60) as http:  # it imports while we wait
                while http.get("/health/ready").status_code != 200:
                    time.sleep(0.05)
            yield process, found[0]
        finally:
            process.kill()
