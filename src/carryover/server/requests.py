"""Around every request: its id, its span, its count and its one line in the log."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from carryover.core import telemetry
from carryover.jobs.logger import logger_for

_SANE = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_GONE = 499  # nobody's status but nginx's: the client had left before the answer began
UNMATCHED = "unmatched"  # what stands for the route where none was found: a path is no label

logger = logger_for(__name__)
_logger = logging.getLogger(__name__)


class Requests:
    """Outermost, so that a failure that nobody expected has an id and is counted too."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        # Routes that FastAPI does not serve itself leave no trace but what they call.
        own = (route for route in app.routes if isinstance(route, Route))
        self._templates: dict[Any, str] = {route.endpoint: route.path for route in own}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked, traceparent = _sent(scope["headers"])
        id = scope["request_id"] = asked or secrets.token_hex(8)
        answer = _Answer(send, id.encode())
        bound = bind_contextvars(request_id=id)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        try:
            with telemetry.span("request", method=method, request_id=id, traceparent=traceparent) as told:
                try:
                    await self._app(scope, receive, answer)
                except BaseException:
                    answer.status = answer.status or 500
                    raise
                finally:
                    route = self._route(scope)
                    told["route"], told["status"] = route, answer.status or _GONE
                    answer.tell(method, route)
        finally:
            reset_contextvars(**bound)

    def _route(self, scope: Scope) -> str:
        found = scope.get("route")
        return self._templates.get(scope.get("endpoint"), UNMATCHED) if found is None else found.path


class _Answer:
    """Passes the answer on, and sees its status and when it was sent."""

    __slots__ = ("_began", "_id", "_send", "_started", "_streamed", "status")

    def __init__(self, send: Send, id: bytes) -> None:
        self._send = send
        self._id = id
        self._started = self._began = time.perf_counter()
        self._streamed = False
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._began = time.perf_counter()
            message["headers"] = [*message["headers"], (b"x-request-id", self._id)]
        elif message.get("more_body"):
            self._streamed = True
        await self._send(message)

    def tell(self, method: str, route: str) -> None:
        """Once it is sent: the request is counted, and has its line."""
        status = self.status or _GONE
        seconds = (self._began if self._streamed else time.perf_counter()) - self._started
        telemetry.count("requests", method=method, route=route, status=status)
        telemetry.observe("request_seconds", seconds, method=method, route=route)
        if _logger.isEnabledFor(logging.INFO):
            logger.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 2))


def _sent(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str | None, str | None]:
    """The request id that the client chose, if it can stand in a log and a header, and its `traceparent`."""
    id = traceparent = None
    for name, value in headers:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            id = value.decode()
        elif name == b"traceparent":
            traceparent = value.decode("latin-1")
    return id, traceparent
