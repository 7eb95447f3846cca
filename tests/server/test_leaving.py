"""A real server under load is told to stop: no request that it accepted fails."""

from __future__ import annotations

import json
import signal
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx

from carryover.runtime import Carryover
from carryover.settings import load
from serving import serving_process


@dataclass
class Load:
    """A client that appends one turn after the other until nobody listens any more."""

    url: str
    session: str
    acknowledged: int = 0
    broken: list[str] = field(default_factory=list[str])

    def run(self) -> None:
        at = urlsplit(self.url)
        body = json.dumps({"role": "user", "content": "x" * 200})
        head = f"POST /sessions/{self.session}/turns HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        while True:
            try:
                line = socket.create_connection((at.hostname or "", at.port or 0))
            except ConnectionError:
                return
            with line, line.makefile("rb") as answers:
                before = self.acknowledged
                try:
                    while self._ask(line, answers, (head + body).encode()):
                        pass
                except ConnectionError as broken:
                    # The kernel took this connection when the server listened no more: nobody accepted its request,
                    # as the count of turns shows in the end.
                    if self.acknowledged > before:
                        self.broken.append(repr(broken))

    def _ask(self, line: socket.socket, answers: BinaryIO, asked: bytes) -> bool:
        """Whether the connection may be used again."""
        line.sendall(asked)
        status = answers.readline()
        if not status.startswith(b"HTTP/1.1 201"):
            self.broken.append(repr(status))
            return False
        self.acknowledged += 1
        length, last = 0, False
        while (header := answers.readline().strip().lower()) != b"":
            length = int(header.split()[1]) if header.startswith(b"content-length") else length
            last = last or header == b"connection: close"
        answers.read(length)
        return not last


def test_no_request_that_was_accepted_fails(tmp_path: Path) -> None:
    with serving_process(tmp_path, drain_wait_s="3") as (process, url):
        clients = [Load(url, f"s{n}") for n in range(8)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        with httpx.Client(base_url=url, timeout=30) as http, http.stream("GET", "/stream/default/live") as live:
            lines = live.iter_lines()
            assert any(line.startswith("event: append") for line in lines)
            process.send_signal(signal.SIGTERM)
            while http.get("/health/ready").status_code == 200:
                pass
            assert http.get("/health/live").status_code == 200
            assert http.get("/memory/default/s0").status_code == 200
            for _ in lines:  # the stream ends in order
                pass
        for thread in threads:
            thread.join(30)
        assert process.wait(30) == 0
    assert [client.broken for client in clients] == [[]] * 8
    with Carryover.open(load({}, home=tmp_path, embedder="none").settings, work=False) as memory:
        kept = [memory.session(client.session).version for client in clients]
    assert kept == [client.acknowledged for client in clients]
    assert min(kept) > 0


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with serving_process(tmp_path, drain_wait_s="600") as (process, url):
        process.send_signal(signal.SIGTERM)
        with httpx.Client(base_url=url) as http:
            while http.get("/health/ready").status_code == 200:
                pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
