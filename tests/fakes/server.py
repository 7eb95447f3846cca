"""What the fake providers share: the server, its log of requests, and the trouble that a test can order."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Ask:
    """A request as it came in; `schema` is set where structured output was asked for."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    model: str = ""
    system: str = ""
    prompt: str = ""
    schema: dict[str, Any] | None = None


@dataclass(frozen=True)
class Trouble:
    """How one request goes wrong: with an error status, a wait before the answer, other bytes, or a cut answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    raw: bytes | None = None
    cut: bool = False
    refused: bool = False


Answer = str | dict[str, Any] | Callable[[Ask], str | dict[str, Any]] | None


class BrokenOff(Exception):
    """What a stream raises to end in the middle: the connection is closed without its end."""


class FakeServer:
    """A context manager; `url` is set inside. What the answering function raises is raised again at its end."""

    def __init__(self, answer: Answer = None) -> None:
        self._usual = answer
        self.answer = answer
        self.requests: list[Ask] = []
        self.failures: list[Exception] = []
        self._trouble: deque[Trouble] = deque()
        self._lock = threading.Lock()
        self._over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail_next(self, status: int, times: int = 1, *, retry_after: float | None = None) -> None:
        """The next requests answer with this status."""
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        self._trouble.extend([Trouble(status=status, headers=headers)] * times)

    def hang_next(self, seconds: float, times: int = 1) -> None:
        """The next requests answer after so long (or when the server ends)."""
        self._trouble.extend([Trouble(wait_s=seconds)] * times)

    def garble_next(self, raw: bytes = b"<html>not JSON", times: int = 1) -> None:
        """The next requests answer 200 with these bytes."""
        self._trouble.extend([Trouble(raw=raw)] * times)

    def cut_next(self, times: int = 1) -> None:
        """The next answers stop in the middle, as if `max_tokens` were reached."""
        self._trouble.extend([Trouble(cut=True)] * times)

    def refuse_next(self, times: int = 1) -> None:
        """The model refuses the next requests."""
        self._trouble.extend([Trouble(refused=True)] * times)

    def reset(self) -> None:
        """As new: no requests, no trouble ahead, the usual answer."""
        with self._lock:
            self.answer = self._usual
            self.requests.clear()
            self._trouble.clear()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.failures and raised[0] is None:
            raise self.failures[0]

    # What a provider defines.

    def read(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> Ask | None:
        """The request in common terms; None when there is no such path."""
        raise NotImplementedError

    def reply(self, ask: Ask, said: str | dict[str, Any], trouble: Trouble) -> dict[str, Any]:
        """The body of a 200."""
        raise NotImplementedError

    def error(self, status: int) -> dict[str, Any]:
        """The body of an error."""
        raise NotImplementedError

    def stream(self, ask: Ask, said: Any, trouble: Trouble) -> Iterator[bytes]:
        """The pieces of a 200 to a request that asks for a stream."""
        raise NotImplementedError

    def respond(
        self, path: str, headers: Mapping[str, str], raw: bytes
    ) -> tuple[int, Mapping[str, str], bytes | Iterator[bytes]]:
        ask = self.read(path, headers, json.loads(raw))
        if ask is None:
            return 404, {}, json.dumps(self.error(404)).encode()
        with self._lock:
            self.requests.append(ask)
            trouble = self._trouble.popleft() if self._trouble else Trouble()
        if trouble.wait_s:
            self._over.wait(trouble.wait_s)
        if trouble.status != 200:
            return trouble.status, trouble.headers, json.dumps(self.error(trouble.status)).encode()
        if trouble.raw is not None:
            return 200, {}, trouble.raw
        if ask.body.get("stream"):
            return 200, {"content-type": "text/event-stream"}, self.stream(ask, self._said(ask), trouble)
        return 200, {}, json.dumps(self.reply(ask, self._said(ask), trouble)).encode()

    def _said(self, ask: Ask) -> str | dict[str, Any]:
        answer = self.answer(ask) if callable(self.answer) else self.answer
        if answer is not None:
            return answer
        return "ok" if ask.schema is None else smallest(ask.schema)


def smallest(schema: Mapping[str, Any]) -> Any:
    """A small value that fits a simple schema."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "null")
    if kind == "object":
        return {name: smallest(schema["properties"][name]) for name in schema.get("required", ())}
    return {"array": [], "string": "", "integer": 0, "number": 0.0, "boolean": False}.get(kind)


def tokens(text: str) -> int:
    return (len(text) + 3) // 4


def as_text(said: str | dict[str, Any], trouble: Trouble) -> str:
    text = said if isinstance(said, str) else json.dumps(said)
    return text[: len(text) // 2] if trouble.cut else text


def stamp() -> int:
    return int(time.time())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            status, extra, content = self.server.fake.respond(self.path, headers, raw)
        except Exception as failure:
            self.server.fake.failures.append(failure)
            status, extra, content = 500, {}, b"{}"
        whole = isinstance(content, bytes)
        length = (
            {"content-length": str(len(content))} if isinstance(content, bytes) else {"transfer-encoding": "chunked"}
        )
        try:
            self.send_response(status)
            for name, value in {"content-type": "application/json", **length, **extra}.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in (content,) if isinstance(content, bytes) else content:
                self.wfile.write(piece if whole else b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
            if not whole:
                self.wfile.write(b"0\r\n\r\n")
        except (ConnectionError, BrokenOff):
            self.close_connection = True  # the client gave up waiting, or is to see a line that breaks

    def log_message(self, format: str, *args: Any) -> None:
        pass
