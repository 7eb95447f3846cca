"""How the server is, and what it offers."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from carryover.core.errors import CarryoverError, StoreUnavailable, Unauthorized
from carryover.server import answers
from carryover.server.deps import Reader
from carryover.server.openapi import gives
from carryover.server.pages import page

router = APIRouter(tags=["server"])


def version() -> str:
    try:
        return metadata.version("carryover-memory")
    except metadata.PackageNotFoundError:
        return "0+source"


VERSION = version()


@router.get("/health", **gives("Health", more={503: "Health"}))
async def health(request: Request) -> Response:
    """How store, cache and queue are; 503 when down. The queue is that of the caller's tenant, if it sends a key."""
    state = request.app.state
    memory = state.memory
    try:
        memory = memory.seen_by(await state.doors.scope(request))
    except (Unauthorized, CarryoverError):
        memory = state.memory
    log = memory.engine.log
    store = {"engine": memory.engine.store.dialect.name, "appends": log.requests, "commits": log.commits}
    cache = {"engine": "memory", "keys": state.doors.known}
    try:
        found = await run_in_threadpool(memory.health)
    except StoreUnavailable as cause:
        down = {"status": "down", "store": {**store, "status": "down", "reason": cause.message}, "cache": cache}
        return answers.answer({**down, "queue": {}, "version": VERSION}, 503, {"Retry-After": "1"})
    shown = {"status": found.status, "store": {**store, "status": "ok"}, "cache": cache, "queue": found.queue}
    return answers.answer({**shown, "version": VERSION})


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
    return HTMLResponse(page(_document(request)))


def _document(request: Request) -> dict[str, Any]:
    return request.app.openapi()
