"""Sessions: their lists, their turns, their life."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response, StreamingResponse

from carryover.core.erasure import run_of
from carryover.core.paging import PAGE, make_cursor, read_cursor
from carryover.core.session import Session, Turn
from carryover.core.wire import encode
from carryover.runtime import Carryover
from carryover.server import answers
from carryover.server.bodies import Hold, Named, Ttl, body
from carryover.server.deps import AgentId, Cursor, Id, Limit, OfAgent, OfUser, Reader, SessionId, Writer, named
from carryover.server.openapi import gives, takes

router = APIRouter(tags=["log"])

After = Annotated[int, Query(ge=0, lt=2**53, description="only turns whose `seq` is greater")]


@router.get("/sessions/{id}/turns", **gives("SessionResponse"))
def turns(
    memory: Reader,
    id: Id,
    agent: OfAgent = None,
    after: After = 0,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """The turns of a session in order, those after `after` (or `cursor`)."""
    after = read_cursor(cursor, (int,))[0] if cursor else after
    session, found = memory.turns(id, agent=named(None, agent), after=after, limit=limit)
    more = bool(found) and found[-1].seq < session.version
    return answers.with_turns(session, found, next_cursor=make_cursor(found[-1].seq) if more else None)


@router.post("/sessions/{id}/close", **gives("SessionResponse"), **takes(Named, required=False))
def close(memory: Writer, id: Id, asked: Annotated[Named, Depends(body(Named))], agent: OfAgent = None) -> Response:
    """The conversation is over: its consolidation is due now."""
    return answers.answer(memory.close_session(id, agent=named(asked.agent_id, agent)))


@router.post("/sessions/{id}/hold", **gives("SessionResponse"), **takes(Hold, required=False))
def hold(memory: Writer, id: Id, asked: Annotated[Hold, Depends(body(Hold))], agent: OfAgent = None) -> Response:
    """The session stays active: no consolidation before then, unless a later append or close says otherwise."""
    return answers.answer(memory.hold_session(id, agent=named(asked.agent_id, agent), seconds=asked.seconds))


@router.get("/memory/{agent_id}/sessions", **gives("SessionListResponse"))
def sessions(
    memory: Reader, agent_id: AgentId, user: OfUser = None, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """The sessions of an agent, the one that changed last first."""
    found, next_cursor = memory.sessions(agent=agent_id, user=user, limit=limit, cursor=cursor)
    return answers.answer({"sessions": found, "next_cursor": next_cursor})


@router.get("/memory/{agent_id}/{session_id}", **gives("SessionResponse"))
def session(
    memory: Reader,
    agent_id: AgentId,
    session_id: SessionId,
    turns: Annotated[bool, Query(description="false: the session without its turns")] = True,
) -> Response:
    """The session with all its turns; a long one comes page by page."""
    if not turns:
        return answers.of_session(memory.session(session_id, agent=agent_id))
    shown, first = memory.turns(session_id, agent=agent_id, limit=PAGE)
    pieces = answers.turns_text(encode(shown), _every(memory, shown, first))
    if shown.version <= len(first):
        return Response("".join(pieces), 200, answers.etag(shown.version), media_type=answers.JSON)
    return StreamingResponse(_gathered(pieces), 200, answers.etag(shown.version), media_type=answers.JSON)


@router.put("/memory/{agent_id}/{session_id}/ttl", **gives("SessionResponse"), **takes(Ttl))
def ttl(
    memory: Writer, agent_id: AgentId, session_id: SessionId, asked: Annotated[Ttl, Depends(body(Ttl))]
) -> Response:
    """The session erases itself after so many seconds of silence; null: never."""
    return answers.answer(memory.set_ttl(session_id, asked.seconds, agent=agent_id))


@router.delete("/memory/{agent_id}/{session_id}", **gives("Deleted"))
def delete(
    memory: Writer,
    agent_id: AgentId,
    session_id: SessionId,
    turns: Annotated[str | None, Query(description="only these turns, first..last, like `3..9`")] = None,
) -> Response:
    """The session and everything derived from it is gone; with `turns`, only what was said in these."""
    run = run_of(turns)
    if run is None:
        receipt = memory.delete_session(session_id, agent=agent_id)
    else:
        receipt = memory.erasures.erase(session=session_id, agent=agent_id, turns=run)
    return answers.answer({"message": "deleted", "receipt": receipt})


def _every(memory: Carryover, shown: Session, found: list[Turn]) -> Iterator[Turn]:
    """All turns up to the version that was shown, read page by page."""
    while found:
        yield from (turn for turn in found if turn.seq <= shown.version)  # some before it may have been erased
        seen = found[-1].seq
        if seen >= shown.version:
            return
        limit = min(PAGE, shown.version - seen)
        _, found = memory.turns(shown.session_id, agent=shown.agent_id, after=seen, limit=limit)


def _gathered(pieces: Iterator[str], size: int = 64 << 10) -> Iterator[str]:
    """The pieces in portions worth sending."""
    portion: list[str] = []
    length = 0
    for piece in pieces:
        portion.append(piece)
        length += len(piece)
        if length >= size:
            yield "".join(portion)
            portion, length = [], 0
    yield "".join(portion)
