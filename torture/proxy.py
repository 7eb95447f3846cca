"""A line to a server that repeats requests, delays them, lets later ones pass, and loses answers."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

_KINDS = ("whole", "repeated", "repeated later", "delayed", "answer lost", "answer cut", "never sent")
_WEIGHTS = (55, 10, 8, 9, 8, 5, 5)


class Proxy(ThreadingHTTPServer):
    """What became of requests is counted in `done`."""

    daemon_threads = True

    def __init__(self, target: str, chance: random.Random) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.chance, self.done = target, chance, Counter[str]()
        self.late: list[threading.Timer] = []
        self.http = httpx.Client(base_url=target, timeout=20, limits=httpx.Limits(max_connections=64))
        self._drawing = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def drawn(self) -> tuple[str, float]:
        """What is done to the next request, and for how long."""
        with self._drawing:
            kind = self.chance.choices(_KINDS, _WEIGHTS)[0]
            self.done[kind] += 1
            return kind, self.chance.uniform(0.02, 0.4)


@contextmanager
def between(target: str, chance: random.Random) -> Generator[Proxy]:
    """The proxy answers inside the block; on leaving it, what was to be repeated later has been."""
    proxy = Proxy(target, chance)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
        for timer in list(proxy.late):
            timer.join()
    finally:
        proxy.shutdown()
        proxy.server_close()
        proxy.http.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name: self.headers[name] for name in ("content-type", "authorization") if name in self.headers}

        asked = self.command, self.path  # by the time that it is repeated, the connection may carry another request

        def send() -> httpx.Response | None:
            try:
                return self.server.http.request(*asked, content=body, headers=headers)
            except httpx.TransportError:
                return None

        kind, wait_s = self.server.drawn()
        if kind == "never sent":
            self.close_connection = True
            return
        if kind == "delayed":
            time.sleep(wait_s)
        if kind == "repeated later":
            timer = threading.Timer(wait_s, send)
            self.server.late.append(timer)
            timer.start()
        if kind == "repeated":
            send()
        answer = send()
        if answer is None or kind == "answer lost":
            self.close_connection = True
            return
        self._answer(answer, cut=kind == "answer cut")

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _pass

    def _answer(self, answer: httpx.Response, *, cut: bool) -> None:
        try:
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers.get("content-type", "application/json"))
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content[: len(answer.content) // 2] if cut else answer.content)
        except ConnectionError:
            cut = True
        self.close_connection = self.close_connection or cut

    def log_message(self, format: str, *args: object) -> None:
        pass
