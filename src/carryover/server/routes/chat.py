"""The reference chat: a user's turn and its answer, whole or as it is made, and the runs that made answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from carryover.chat.verbs import Chat
from carryover.core.chat_wire import show_answer
from carryover.server import answers
from carryover.server.answering import answering, sent, whole
from carryover.server.bodies import body
from carryover.server.chat_body import ChatIn, request_of
from carryover.server.deps import Cursor, Id, Limit, OfAgent, Reader, Writer, named
from carryover.server.gate import step_aside
from carryover.server.openapi import gives, takes

router = APIRouter(prefix="/api/v1", tags=["chat"])

Asked = Annotated[ChatIn, Depends(body(ChatIn))]


@router.post("/chat", **gives("ChatAnswer"), **takes(ChatIn))
async def chat(request: Request, memory: Writer, asked: Asked) -> Response:
    """A user's turn, and what a model answers it; both are in the log.

    Whatever fails, the user's turn stays there; sent again with the same `idempotency_key` it is answered anew.
    """
    step_aside(request)
    events = answering(memory, request_of(asked), request.app.state.chats)
    return answers.encoded(show_answer(await whole(request, events)))


@router.post("/chat/stream", **gives("ChatEvent", media="text/event-stream"), **takes(ChatIn))
async def stream(request: Request, memory: Writer, asked: Asked) -> Response:
    """The same as server-sent events: `run`, then `text`, `tool_call`, `tool_output` and `memory_compaction` as they
    happen, at the end `done` with the answer, or `error` with a problem document. Hanging up ends the answer.
    """
    step_aside(request)
    events = answering(memory, request_of(asked), request.app.state.chats)
    first = await anext(events)  # what is refused before anything was saved has a status of its own
    return StreamingResponse(sent(first, events), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.get("/conversations/{id}/runs", **gives("RunList"))
def runs(memory: Reader, id: Id, agent: OfAgent = None, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """Runs of a conversation, newest first."""
    found, next_cursor = Chat(memory).runs(id, agent=named(None, agent), limit=limit, cursor=cursor)
    return answers.answer({"runs": found, "next_cursor": next_cursor})


@router.get("/conversations/{id}/runs/{run}", **gives("RunDetail"))
def run(
    memory: Reader,
    id: Id,
    run: Annotated[str, Path(max_length=128, description="a run")],
    agent: OfAgent = None,
) -> Response:
    """A run with all its events; outputs of tools are as they were, whatever a view made of them."""
    return answers.answer(Chat(memory).run(id, run, agent=named(None, agent)))
