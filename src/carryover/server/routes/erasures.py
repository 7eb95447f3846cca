"""Erasures with their receipts, and legal holds."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from carryover.core.erasure import Selection
from carryover.runtime import Carryover
from carryover.server import answers
from carryover.server.bodies import body
from carryover.server.deps import Admin, AgentId, Reader, UserId, Writer
from carryover.server.erasure_body import Erase, PlaceHold
from carryover.server.openapi import gives, takes

router = APIRouter(tags=["erasure"])

ErasureId = Annotated[str, Path(alias="id", max_length=128, description="an erasure")]
HoldId = Annotated[str, Path(alias="id", max_length=128, description="a legal hold")]


@router.post("/erasures/preview", **gives("Preview"), **takes(Erase))
def preview(memory: Reader, asked: Annotated[Erase, Depends(body(Erase))]) -> Response:
    """What an erasure would take now, by table, and which legal holds forbid it; nothing is changed."""
    return answers.answer(memory.erasures.preview(**_named(asked.selection)))


@router.post("/erasures", **gives("Receipt"), **takes(Erase))
def erase(memory: Writer, asked: Annotated[Erase, Depends(body(Erase))]) -> Response:
    """What is selected is gone, with all that was made of it: the signed receipt.

    Erasing again counts zeros. A legal hold forbids it with 423, naming the hold and its reason.
    """
    return answers.answer(memory.erasures.erase(**_named(asked.selection)))


@router.get("/erasures/key", **gives("ErasureKey"))
def key(memory: Reader) -> Response:
    """The public key that receipts are checked with."""
    return answers.answer(memory.erasures.key())


@router.get("/erasures/{id}", **gives("Receipt"))
def receipt(memory: Reader, id: ErasureId) -> Response:
    """What is kept of a receipt: all but the names of what was erased."""
    return answers.answer(memory.erasures.receipt(id))


@router.delete("/agents/{agent_id}", **gives("Deleted"))
def erase_agent(memory: Writer, agent_id: AgentId) -> Response:
    """All sessions of the agent are gone, and all else that is kept of it."""
    return _deleted(memory, Selection(agent_id=agent_id))


@router.delete("/users/{user_id}", **gives("Deleted"))
def erase_user(memory: Writer, user_id: UserId) -> Response:
    """All sessions of the user are gone, over all agents, and all that is known of them."""
    return _deleted(memory, Selection(user_id=user_id))


@router.get("/holds", **gives("LegalHolds"))
def holds(
    memory: Admin, released: Annotated[bool, Query(description="true: also those that were released")] = False
) -> Response:
    """The legal holds in force, the newest first."""
    return answers.answer({"holds": memory.holds.list(released=released)})


@router.post("/holds", **gives("LegalHold"), **takes(PlaceHold))
def place(memory: Admin, asked: Annotated[PlaceHold, Depends(body(PlaceHold))]) -> Response:
    """What lies in all that is named may not be erased from now on, by anybody and by no expiry."""
    named = {"session": asked.session_id, "agent": asked.agent_id, "user": asked.user_id}
    return answers.answer(memory.holds.place(asked.reason, **named))


@router.delete("/holds/{id}", **gives("LegalHold"))
def release(memory: Admin, id: HoldId) -> Response:
    """The hold keeps nothing any more; that it was there stays in the audit log."""
    return answers.answer(memory.holds.release(id))


def _deleted(memory: Carryover, asked: Selection) -> Response:
    return answers.answer({"message": "deleted", "receipt": memory.erasures.erase(**_named(asked))})


def _named(asked: Selection) -> dict[str, Any]:
    run = None if asked.first is None else (asked.first, asked.last)
    named = {"agent": asked.agent_id, "session": asked.session_id, "user": asked.user_id}
    return {**named, "since": asked.since, "until": asked.until, "turns": run}
