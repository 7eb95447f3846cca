"""What Prometheus scrapes."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from carryover.server.deps import enter
from carryover.server.metrics import MEDIA
from carryover.server.openapi import gives

router = APIRouter(tags=["server"])


@router.get("/metrics", **gives("Metrics", media="text/plain"))
async def metrics(request: Request) -> Response:
    """Counts and measurements of the whole server, in Prometheus's text format; they name no tenant and no session."""
    state = request.app.state
    if not state.memory.engine.settings.metrics_open:
        await enter(request, "admin", limited=False)
    return Response(await run_in_threadpool(state.metrics.render), media_type=MEDIA)
