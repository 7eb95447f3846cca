"""A real server on a loopback port, over a memory in a temporary folder."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
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


def open_memory(home: Path, **settings: Any) -> Carryover:
    """A memory without an embedding model and without background work."""
    return Carryover.open(Settings(home=home, embedder="none", **settings), work=False)


@dataclass(frozen=True)
class Running:
    """A server that runs: its URL, its memory, and the server itself."""

    url: str
    memory: Carryover
    server: Server

    def key(self, *rights: Right, tenant: str = "default", agent: str | None = None, user: str | None = None) -> str:
        """A new API key's secret."""
        with self.memory.engine.store.write(Scope(tenant)) as tx:
            return keys.create(tx, label="test", rights=rights or RIGHTS, agent=agent, user=user)[1]

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
