"""The application, and serving it: what is wired, on which address, and with an open door or not."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from starlette.routing import Route

from carryover.core.errors import Invalid
from carryover.core.scope import Scope
from carryover.runtime import Carryover
from carryover.server import errors, openapi
from carryover.server.commits import Commits
from carryover.server.deps import Doors
from carryover.server.live import Bell
from carryover.server.routes import context, health, sessions, stream, turns
from carryover.server.routes import memory as derived
from carryover.server.routes.context import Kept
from carryover.settings import Settings
from carryover.store import keys

GRACE_S = 15  # what is being answered when the server stops has so long to end
KEEP_ALIVE_S = 75  # longer than clients keep idle connections, so that it is they who close them


def create_app(memory: Carryover, *, open_door: bool) -> FastAPI:
    """The application over this memory; with `open_door`, and as long as no key exists, callers need none."""

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncGenerator[None]:
        bell: Bell = app.state.bell
        bell.hang(asyncio.get_running_loop())
        app.state.waiting = derived.limiter()
        listeners = memory.engine.store.listeners
        listeners.append(bell.ring)
        yield
        bell.stop()
        listeners.remove(bell.ring)
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
    app.state.bell = Bell()
    app.state.contexts = Kept()
    app.state.commits = Commits(memory.engine.log)
    app.state.doors = Doors(memory, open_door=open_door)
    errors.install(app)
    app.router.routes.extend(_hot())
    for room in (sessions, stream, derived, health):
        app.include_router(room.router)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    return app


class Server(uvicorn.Server):
    """uvicorn, that ends live streams first when it stops: it would wait for them."""

    def __init__(self, app: FastAPI) -> None:
        self._bell: Bell = app.state.bell
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                server_header=False,
                lifespan="on",
                ws="none",
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._bell.stop()
        await super().shutdown(sockets)


def run(settings: Settings, *, work: bool, say: Callable[[str], None]) -> None:
    """Serves until it is told to stop (SIGINT, SIGTERM); with `work`, this process runs due jobs too.

    `say` is told where it listens and whether the door is open. Raises Invalid when it may not or cannot listen
    there, StoreUnavailable when the database cannot be opened.
    """
    with Carryover.open(settings, work=work) as memory:
        local = is_loopback(settings.host)
        has_keys = _has_keys(memory)
        if not local and not has_keys:
            raise Invalid(
                f"{settings.host} can be reached from other machines and there is no API key yet; "
                "make one with `carryover keys create`, or listen on 127.0.0.1",
                field="host",
            )
        with _listen(settings.host, settings.port) as listening:
            host, port = listening.getsockname()[:2]
            say(f"carryover {health.VERSION} listens on http://{f'[{host}]' if ':' in host else host}:{port}")
            if not has_keys:
                say(
                    f"no API key exists: any program on this machine may use tenant {settings.tenant!r}; "
                    "make one with `carryover keys create`"
                )
            Server(create_app(memory, open_door=local)).run(sockets=[listening])


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
    return [*turns.ROUTES, *context.ROUTES]
