"""How the server is, and what it offers."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from carryover.core.errors import CarryoverError, StoreUnavailable
from carryover.server import answers, pages
from carryover.server.deps import Reader
from carryover.server.errors import Stopping
from carryover.server.openapi import gives
from carryover.server.version import VERSION
from carryover.store import migrate
from carryover.store.redis import Redis
from carryover.store.store import Store, guarded

PATIENCE_S = 2  # with the store; whoever asks whether a server is ready will not wait much longer

router = APIRouter(tags=["server"])


@router.get("/health", **gives("Health", more={503: "Health"}))
async def health(request: Request) -> Response:
    """How store, cache and queue are; 503 when down. The queue is that of the caller's tenant, if it sends a key."""
    state = request.app.state
    memory, known = state.memory, True
    try:
        memory = memory.seen_by(await state.doors.scope(request))
    except CarryoverError:
        known = False  # how the server is, anybody may ask; how much a tenant has to do, nobody without a key
    log = memory.engine.log
    store = {"engine": memory.engine.store.dialect.name, "appends": log.requests, "commits": log.commits}
    cache = {**_cache(state.memory.engine.redis), "keys": state.doors.known}
    try:
        found = await run_in_threadpool(memory.health)
    except StoreUnavailable as cause:
        down = {"status": "down", "store": {**store, "status": "down", "reason": cause.message}, "cache": cache}
        return answers.answer({**down, "queue": {}, "notes": (), "version": VERSION}, 503, {"Retry-After": "1"})
    shown = {"status": found.status, "store": {**store, "status": "ok"}, "cache": cache}
    shown["queue"] = found.queue if known else {}
    return answers.answer({**shown, "notes": found.notes, "version": VERSION})


@router.get("/health/live", **gives("Live"))
async def live(request: Request) -> Response:
    """This process answers; nothing else was asked."""
    return answers.answer({"status": "ok", "version": VERSION})


@router.get("/health/ready", **gives("Live", more={503: "Problem"}))
async def ready(request: Request) -> Response:
    """Requests are welcome: the store answers, its schema is this program's, and the server is not about to stop."""
    state = request.app.state
    if state.gate.closing:
        raise Stopping()
    await state.readiness.ask()
    return answers.answer({"status": "ok", "version": VERSION})


class Readiness:
    """Asks the store whether it can be used; one question at a time, however many ask."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._asking: asyncio.Future[None] | None = None

    async def ask(self) -> None:
        """Raises StoreUnavailable when the store does not answer in time, or is not at this program's schema."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(run_in_threadpool(self._look))
        done, _ = await asyncio.wait((self._asking,), timeout=PATIENCE_S)
        if not done:
            raise StoreUnavailable(f"the database did not answer in {PATIENCE_S} s; look after it", retry_after=1)
        self._asking.result()

    def _look(self) -> None:
        with guarded():
            migrate.require_current(self._store.engine, self._store.dialect)


@router.get("/", **gives("Index"))
def index(request: Request) -> Response:
    """What this is, and where to go on."""
    return answers.answer(
        {
            "service": "carryover",
            "version": VERSION,
            "links": {"docs": "/docs", "openapi": "/openapi.json", "health": "/health"},
            "routes": [
                {"method": method.upper(), "path": path, "does": operation["summary"]}
                for path, operations in _document(request)["paths"].items()
                for method, operation in operations.items()
            ],
        }
    )


@router.get("/openapi.json", include_in_schema=False)
def document(request: Request, memory: Reader) -> Response:
    """The OpenAPI document of all routes."""
    return answers.answer(_document(request))


@router.get("/docs", include_in_schema=False)
def docs(request: Request, memory: Reader) -> Response:
    """The routes as one page that loads nothing from elsewhere."""
    return HTMLResponse(pages.page(_document(request)), headers=pages.HEADERS)


def _document(request: Request) -> dict[str, Any]:
    return request.app.openapi()


def _cache(redis: Redis | None) -> dict[str, str]:
    if redis is None:
        return {"engine": "memory", "status": "ok"}
    return {"engine": "redis", "status": "away" if redis.away else "ok"}
