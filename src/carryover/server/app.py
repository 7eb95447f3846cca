"""The application, and serving it: what is wired, on which address, and with an open door or not."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn
from anyio import to_thread
from fastapi import FastAPI
from starlette.routing import Route

from carryover.core.errors import Invalid
from carryover.core.scope import Scope
from carryover.runtime import Carryover
from carryover.server import answering, errors, openapi, profile_page, traces
from carryover.server.commits import Commits
from carryover.server.deps import Doors
from carryover.server.gate import RUNNING, Gate
from carryover.server.live import Bell
from carryover.server.metrics import Metrics
from carryover.server.requests import Requests
from carryover.server.routes import (
    audit,
    chat,
    context,
    erasures,
    health,
    metrics,
    patterns,
    profile,
    sessions,
    strategies,
    stream,
    turns,
)
from carryover.server.routes import memory as derived
from carryover.server.routes.context import Kept
from carryover.server.sent import Sent
from carryover.settings import Settings
from carryover.store import keys
from carryover.store.limits import Limits

GRACE_S = 15  # what is being answered when the server stops has so long to end
LAST_S = 0.1  # after it listens no more: what came in the last moment is read before idle connections are closed
# How long a thread that computes may keep another waiting that has an answer of the database in hand. A commit waits
# for a handful of answers, and at Python's 5 ms each of them would wait for the event loop.
SWITCH_S = 0.0005
KEEP_ALIVE_S = 75  # longer than clients keep idle connections, so that it is they who close them


def create_app(memory: Carryover, *, open_door: bool) -> FastAPI:
    """The application over this memory; with `open_door`, and as long as no key exists, callers need none."""

    traced = traces.exporting(memory.engine.settings.otlp_endpoint)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncGenerator[None]:
        bell: Bell = app.state.bell
        bell.hang(asyncio.get_running_loop())
        to_thread.current_default_thread_limiter().total_tokens = RUNNING
        app.state.waiting = derived.limiter()
        app.state.chats = answering.limiter()
        app.state.limits = Limits(memory.engine.settings.rate_limit, memory.engine.redis)
        leave = memory.engine.news.listen(bell.ring)
        with app.state.metrics.listening(), traced:
            yield
        bell.stop()
        leave()
        await app.state.limits.close()
        await app.state.doors.close()
        app.state.commits.close()

    app = FastAPI(
        title="carryover",
        version=health.VERSION,
        description="Session memory for AI agents: a lossless log, and what the next session needs of it.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=living,
    )
    app.state.memory = memory
    app.state.metrics = Metrics(memory.engine.store)
    app.state.bell = Bell()
    app.state.contexts = Kept()
    app.state.sent = Sent()
    app.state.commits = Commits(memory.engine.log)
    app.state.doors = Doors(memory, open_door=open_door)
    app.state.readiness = health.Readiness(memory.engine.store)
    app.state.gate = Gate(app.state.doors.tenant_of, memory.engine.settings.max_requests)
    app.add_middleware(app.state.gate.around)
    errors.install(app)
    app.router.routes.extend(_hot())
    for room in (sessions, stream, derived, strategies, chat, profile, patterns, erasures, audit, health, metrics):
        app.include_router(room.router)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    return app


class Server(uvicorn.Server):
    """uvicorn, that leaves without breaking anything off.

    Told to stop, it says so (`GET /health/ready`) and goes on serving for `drain_wait_s`, so that whoever sends
    requests here notices. Then it listens no more, ends live streams, and answers what it is answering.
    """

    def __init__(self, app: FastAPI) -> None:
        self._bell: Bell = app.state.bell
        self._gate: Gate = app.state.gate
        self._memory: Carryover = app.state.memory
        self._leave_at: float | None = None
        super().__init__(
            uvicorn.Config(
                Requests(app),
                access_log=False,
                log_config=None,
                server_header=False,
                lifespan="on",
                ws="none",
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins to leave; the second leaves at once."""
        if self._gate.closing:
            self.should_exit = self.force_exit = True
        self._gate.closing = True

    async def on_tick(self, counter: int) -> bool:
        worker = self._memory.engine.worker
        if self._gate.closing and self._leave_at is None:
            self._leave_at = time.monotonic() + self._memory.engine.settings.drain_wait_s
            worker.stop()
        if self._leave_at is not None and time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gate.closing = True
        self._bell.stop()
        for server in self.servers:
            server.close()
        await asyncio.sleep(LAST_S)
        await super().shutdown(sockets)
        if self.force_exit:
            self._memory.engine.worker.stop(now=True)


def run(settings: Settings, *, work: bool, say: Callable[[str], None]) -> None:
    """Serves in this process until it is told to stop (SIGINT, SIGTERM); with `work`, it runs due jobs too.

    `say` is told where it listens and whether the door is open. Raises Invalid when it may not or cannot listen
    there, StoreUnavailable when the database cannot be opened.
    """
    with Carryover.open(settings, work=work) as memory, bind(memory, say) as bound:
        serve(memory, bound)


def serve(memory: Carryover, bound: socket.socket) -> None:
    """Serves on the socket until a signal comes; it is closed then."""
    sys.setswitchinterval(SWITCH_S)
    Server(create_app(memory, open_door=is_loopback(memory.engine.settings.host))).run(sockets=[bound])


def bind(memory: Carryover, say: Callable[[str], None]) -> socket.socket:
    """The socket that the settings name, bound. Raises Invalid when it may not be, or cannot."""
    settings = memory.engine.settings
    has_keys = _has_keys(memory)
    if not is_loopback(settings.host) and not has_keys and settings.oidc is None:
        raise Invalid(
            f"{settings.host} can be reached from other machines and there is no API key yet; "
            "make one with `carryover keys create`, or listen on 127.0.0.1",
            field="host",
        )
    bound = _listen(settings.host, settings.port)
    host, port = bound.getsockname()[:2]
    say(f"carryover {health.VERSION} listens on http://{f'[{host}]' if ':' in host else host}:{port}")
    if not has_keys and settings.oidc is None:
        say(
            f"no API key exists: any program on this machine may use tenant {settings.tenant!r}; "
            "make one with `carryover keys create`"
        )
    return bound


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _has_keys(memory: Carryover) -> bool:
    with memory.engine.store.read(Scope(memory.scope.tenant)) as tx:
        return keys.exist(tx)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as cause:
        raise Invalid(
            f"cannot listen on {host}:{port} ({cause.strerror or cause}); choose another port or host", field="port"
        ) from cause


def _hot() -> list[Route]:
    return [*turns.ROUTES, *context.ROUTES, *profile_page.ROUTES]
