"""Strategies: what is set for conversations and agents, and the views that come of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from carryover.core.strategy import Effective
from carryover.core.strategy_wire import show_effective
from carryover.server import answers
from carryover.server.bodies import ViewIn, body, members
from carryover.server.deps import AgentId, Id, OfAgent, Reader, Writer, named
from carryover.server.openapi import gives, takes
from carryover.server.sent import Sent

router = APIRouter(prefix="/api/v1", tags=["strategies"])

Given = Annotated[dict[str, Any], Depends(members)]


@router.get("/conversations/{id}/memory", **gives("Effective"))
def conversation(memory: Reader, id: Id, agent: OfAgent = None) -> Response:
    """The strategy of a conversation: what is set for it, what is in force, and who said each field."""
    return _answer(memory.strategies.effective(id, agent=named(None, agent)))


@router.patch("/conversations/{id}/memory", **gives("Effective"), **takes("StrategySet", header="If-Match"))
def set_conversation(request: Request, memory: Writer, id: Id, given: Given, agent: OfAgent = None) -> Response:
    """The fields that are given are set for the conversation; null clears one, which is inherited again.

    With `If-Match` or `expected_version` only if nothing else was set since that version (409 otherwise).
    """
    fields, expected = _asked(request, given)
    set_ = memory.strategies.set_conversation
    return _answer(set_(id, fields, agent=named(None, agent), expected_version=expected))


@router.get("/agents/{agent_id}/memory", **gives("Effective"))
def agent(memory: Reader, agent_id: AgentId) -> Response:
    """The strategy of an agent: what is set for all of its conversations, and what is in force where they set none."""
    return _answer(memory.strategies.agent(agent_id))


@router.put("/agents/{agent_id}/memory", **gives("Effective"), **takes("StrategySet", header="If-Match"))
def set_agent(request: Request, memory: Writer, agent_id: AgentId, given: Given) -> Response:
    """The fields that are given are set for the agent, and no others; for admins, and keys narrowed to the agent.

    With `If-Match` or `expected_version` only if nothing else was set since that version (409 otherwise).
    """
    fields, expected = _asked(request, given)
    return _answer(memory.strategies.set_agent(agent_id, fields, expected_version=expected))


@router.post("/conversations/{id}/view", **gives("View"), **takes(ViewIn, required=False, header="If-None-Match"))
def view(
    request: Request, memory: Reader, id: Id, asked: Annotated[ViewIn, Depends(body(ViewIn))], agent: OfAgent = None
) -> Response:
    """What a model should see of a conversation; 304 where the caller has it already (`If-None-Match`).

    `memory_strategy` overrides what is set, field by field, this once. With `dry_run` nothing is made or counted
    because of it.
    """
    shown = memory.strategies.view(
        id,
        agent=named(asked.agent_id, agent),
        strategy=asked.strategy,
        format=asked.provider,
        dry_run=asked.dry_run,
    )
    tag = answers.etag(shown.etag)
    if answers.is_known(request, shown.etag):
        return Response(None, 304, tag)
    sent: Sent = request.app.state.sent
    return Response(sent.body(memory.scope.tenant, shown), 200, tag, media_type=answers.JSON)


def _answer(effective: Effective) -> Response:
    return answers.encoded(show_effective(effective), 200, answers.etag(effective.version))


def _asked(request: Request, given: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
    """The fields that are given, and the version that is expected. Raises Malformed or Invalid."""
    fields = dict(given)
    expected = answers.expected(request, fields)
    return fields, expected
