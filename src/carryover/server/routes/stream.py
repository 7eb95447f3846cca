"""The activity stream: pages of it, filtered, and live."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from carryover.core.errors import Invalid
from carryover.core.event import Action, Filter
from carryover.server import answers
from carryover.server.deps import AgentId, Cursor, Limit, OfUser, Reader, When, moment
from carryover.server.live import Live
from carryover.server.openapi import gives

router = APIRouter(tags=["log"])


def wanted(
    action: Annotated[Action | None, Query(description="only this action")] = None,
    session_id: Annotated[str | None, Query(max_length=128, description="only of this session")] = None,
    user: OfUser = None,
    since: When = None,
    until: When = None,
) -> Filter:
    return Filter(action, session_id, user, moment(since, "since"), moment(until, "until"))


Wanted = Annotated[Filter, Depends(wanted)]


@router.get("/stream/{agent_id}", **gives("StreamResponse"))
def newest(memory: Reader, agent_id: AgentId, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """What happened, newest first."""
    return answers.answer(memory.events(agent=agent_id, limit=limit, cursor=cursor))


@router.get("/stream/{agent_id}/filter", **gives("StreamResponse"))
def filtered(memory: Reader, agent_id: AgentId, want: Wanted, limit: Limit = 20, cursor: Cursor = None) -> Response:
    """What happened and was asked for, newest first."""
    return answers.answer(memory.events(agent=agent_id, want=want, limit=limit, cursor=cursor))


@router.get("/stream/{agent_id}/live", **gives("Event", media="text/event-stream"))
async def live(
    request: Request,
    memory: Reader,
    agent_id: AgentId,
    want: Wanted,
    after: Annotated[int | None, Query(ge=0, lt=2**63, description="start after this event")] = None,
    last_event_id: Annotated[str | None, Header(description="where the last connection broke off")] = None,
) -> Response:
    """What happens from now on, or after `Last-Event-ID`, as server-sent events: no gap, no event twice."""
    if last_event_id:
        if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19):
            raise Invalid(f"Last-Event-ID {last_event_id[:40]!r} is no event's id; leave it out", field="Last-Event-ID")
        after = int(last_event_id)
    memory.scope.require_inside(agent_id, memory.scope.user, f"agent {agent_id!r}")
    state = request.app.state
    reader = Live(memory, state.bell, agent_id, want, lambda: state.doors.scope(request))
    return StreamingResponse(
        reader.follow(after), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )
