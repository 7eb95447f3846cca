"""How many requests are worked on at a time, and whose: no tenant's crowd makes another tenant wait.

So many run; of the others each tenant has a line of its own, and the lines are served in turn (fair queueing: Nagle,
RFC 970). When all lines together are too long, the longest sends its newest away.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carryover.core.errors import TooMany
from carryover.server.errors import problem

RUNNING = 64  # as many as there are threads for requests, so that nobody waits for one of those
SHARED_S = 1.0  # for so long after two tenants came in turn neither may take more than its share
SHARE = 4  # requests of one tenant that run while others are about
EXEMPT = ("/health", "/metrics")  # what tells how the server is must not wait with what it tells of
_RETRY_S = 1

Headers = Iterable[tuple[bytes, bytes]]


class Gate:
    """Around the application. `most` requests run or wait; once it is `closing`, answers end their connections."""

    def __init__(self, tenant_of: Callable[[Headers], str], most: int) -> None:
        self.closing = False
        self._tenant_of = tenant_of
        self._most = most
        self._running: Counter[str] = Counter()
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}  # in the order of their turns
        self._inside = 0  # all that run
        self._outside = 0  # all that wait
        self._last = ""
        self._shared_until = 0.0

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application behind this gate."""

        async def passed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"].startswith(EXEMPT):
                await app(scope, receive, _Answer(self, None, send) if self.closing else send)
                return
            first = await receive()  # a body that is slow to arrive keeps nobody from running
            place = scope["place"] = _Place(self, self._tenant_of(scope["headers"]))
            try:
                await place.take()
            except TooMany as refusal:
                await problem(refusal)(scope, receive, _Answer(self, None, send))
                return
            try:
                await app(scope, _Body(place, first, receive), _Answer(self, place, send))
            finally:
                place.leave()

        return passed

    async def enter(self, tenant: str) -> None:
        """The tenant's request may run. Raises TooMany when too many wait, and this tenant's most of all."""
        if tenant != self._last:
            self._last, self._shared_until = tenant, time.monotonic() + SHARED_S
        if tenant not in self._lines and self._has_room(tenant):
            self._seat(tenant)
            return
        if self._inside + self._outside >= self._most:
            self._make_room(tenant)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(tenant, deque()).append(turn)
        self._outside += 1
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(tenant)  # its turn came just as it gave up
            elif turn in (line := self._lines.get(tenant, ())):
                self._withdraw(tenant, line.index(turn))
            raise

    def leave(self, tenant: str) -> None:
        """One request of the tenant runs no longer; whoever's turn it is runs instead."""
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        self._inside -= 1
        if self._lines:
            self._call_next()

    def _call_next(self) -> None:
        while (tenant := next((one for one in self._lines if self._has_room(one)), None)) is not None:
            line = self._lines.pop(tenant)
            turn = line.popleft()
            if line:
                self._lines[tenant] = line  # at the end of the round
            self._outside -= 1
            self._seat(tenant)
            turn.set_result(None)

    def _seat(self, tenant: str) -> None:
        self._running[tenant] += 1
        self._inside += 1

    def _has_room(self, tenant: str) -> bool:
        if self._inside >= RUNNING:
            return False
        return self._running[tenant] < SHARE or time.monotonic() >= self._shared_until

    def _make_room(self, tenant: str) -> None:
        longest = max(self._lines, key=lambda one: len(self._lines[one]), default=tenant)
        if longest == tenant or len(self._lines[longest]) <= len(self._lines.get(tenant, ())) + 1:
            raise _too_many()
        newest = self._lines[longest][-1]
        self._withdraw(longest, -1)
        newest.set_exception(_too_many())

    def _withdraw(self, tenant: str, at: int) -> None:
        del self._lines[tenant][at]
        if not self._lines[tenant]:
            del self._lines[tenant]
        self._outside -= 1


class _Place:
    """Where one request stands: it runs, or it does not."""

    def __init__(self, gate: Gate, tenant: str) -> None:
        self._gate = gate
        self._tenant = tenant
        self._taken = False

    async def take(self) -> None:
        if not self._taken:
            await self._gate.enter(self._tenant)
            self._taken = True

    def leave(self) -> None:
        if self._taken:
            self._taken = False
            self._gate.leave(self._tenant)


class _Body:
    """The request's body: the first part is there, and for the others the request steps aside."""

    def __init__(self, place: _Place, first: Message, receive: Receive) -> None:
        self._place = place
        self._first: Message | None = first
        self._receive = receive
        self._more = first.get("more_body", False)

    async def __call__(self) -> Message:
        if self._first is not None:
            message, self._first = self._first, None
            return message
        if not self._more:
            return await self._receive()
        self._place.leave()
        message = await self._receive()
        self._more = message.get("more_body", False)
        await self._place.take()
        return message


class _Answer:
    """The answer. Once it begins the request has run: sending it, or a stream that never ends, holds up nobody."""

    def __init__(self, gate: Gate, place: _Place | None, send: Send) -> None:
        self._gate = gate
        self._place = place
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._place is not None:
                self._place.leave()
            if self._gate.closing:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
        await self._send(message)


def step_aside(request: Request) -> None:
    """The request only waits from here on, for work that is not its own, and lets others run."""
    place: _Place | None = request.scope.get("place")
    if place is not None:
        place.leave()


def _too_many() -> TooMany:
    return TooMany(f"the server has more requests than it can bear; wait {_RETRY_S} s and retry", retry_after=_RETRY_S)
