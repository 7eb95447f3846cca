"""Coding sessions: their digests, what recurs in them, and what is decided about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from carryover.core.digest import Outcome
from carryover.core.pattern import PatternState, Rollout
from carryover.core.step import Flavor
from carryover.server import answers
from carryover.server.bodies import Decided, Detect, Distribute, Edited, Withdraw, body
from carryover.server.deps import Admin, Cursor, Id, Limit, Reader, When, Writer, moment
from carryover.server.openapi import gives, takes

router = APIRouter(tags=["coding sessions"])

PatternId = Annotated[str, Path(alias="id", max_length=128, description="a pattern")]
Because = Annotated[Decided, Depends(body(Decided))]


@router.get("/digests", **gives("DigestList"))
def digests(
    memory: Reader,
    repo: Annotated[str | None, Query(description="only of this repository")] = None,
    flavor: Annotated[Flavor | None, Query(description="only of this coding agent")] = None,
    outcome: Annotated[Outcome | None, Query(description="only those that ended so")] = None,
    since: When = None,
    until: When = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Digests of coding sessions that ended in that time, newest first."""
    found, following = memory.coding.digests(
        repo=repo,
        flavor=flavor,
        outcome=outcome,
        since=moment(since, "since"),
        until=moment(until, "until"),
        limit=limit,
        cursor=cursor,
    )
    return answers.answer({"digests": found, "next_cursor": following})


@router.get("/digests/{id}", **gives("Digest"))
def digest(
    memory: Reader,
    id: Id,
    agent: Annotated[
        str | None, Query(alias="agent_id", description="whose session it is; default: whoever has one of that id")
    ] = None,
) -> Response:
    """The account of one coding session: outcome, tools, errors, tests, tokens, signals."""
    return answers.answer(memory.coding.digest(id, agent=agent))


@router.get("/patterns", **gives("PatternList"))
def patterns(
    memory: Reader, state: Annotated[PatternState | None, Query(description="only those in this state")] = None
) -> Response:
    """Patterns with their evidence and their shares of sessions, the highest score first."""
    return answers.answer({"patterns": memory.coding.patterns(state=state)})


@router.post("/patterns/detect", **gives("PatternList"), **takes(Detect, required=False))
def detect(memory: Writer, asked: Annotated[Detect, Depends(body(Detect))]) -> Response:
    """What recurs in these sessions is found, best first, and stands in the catalog as a candidate."""
    found = memory.coding.detect(
        min_frequency=asked.min_frequency,
        repo=asked.repo,
        flavor=cast("Flavor | None", asked.flavor),
        since=moment(asked.since, "since"),
    )
    return answers.answer({"patterns": found})


@router.get("/patterns/{id}", **gives("Pattern"))
def pattern(memory: Reader, id: PatternId) -> Response:
    """The newest version of a pattern, with its evidence."""
    found = memory.coding.pattern(id)
    return answers.answer(found, 200, answers.etag(found.version))


@router.get("/patterns/{id}/versions", **gives("PatternList"))
def versions(memory: Reader, id: PatternId) -> Response:
    """Every version of a pattern, newest first: who made it, when and why."""
    return answers.answer({"patterns": memory.coding.versions(id)})


@router.patch("/patterns/{id}", **gives("Pattern"), **takes(Edited))
def edit(memory: Admin, id: PatternId, said: Annotated[Edited, Depends(body(Edited))]) -> Response:
    """A pattern has another title or lesson; one that was rejected is a candidate again."""
    return answers.answer(memory.coding.edit(id, title=said.title, lesson=said.lesson, by=said.by, reason=said.reason))


@router.post("/patterns/{id}/approve", **gives("Pattern"), **takes(Decided, required=False))
def approve(memory: Admin, id: PatternId, because: Because) -> Response:
    """A pattern is approved: it may be told to agents."""
    return answers.answer(memory.coding.decide(id, "approve", by=because.by, reason=because.reason))


@router.post("/patterns/{id}/reject", **gives("Pattern"), **takes(Decided, required=False))
def reject(memory: Admin, id: PatternId, because: Because) -> Response:
    """A pattern is rejected, and stays so however often it is detected."""
    return answers.answer(memory.coding.decide(id, "reject", by=because.by, reason=because.reason))


@router.post("/patterns/measure", **gives("EffectList"), **takes(Decided, required=False))
def measure_all(memory: Writer, because: Because) -> Response:
    """Whether each pattern that is distributed helped, as of now."""
    return answers.answer({"effects": memory.coding.measure(by=because.by)})


@router.post("/patterns/{id}/measure", **gives("EffectList"), **takes(Decided, required=False))
def measure(memory: Writer, id: PatternId, because: Because) -> Response:
    """Whether a pattern that is distributed helped, as of now."""
    return answers.answer({"effects": memory.coding.measure(id, by=because.by)})


@router.post("/patterns/{id}/distribute", **gives("FileList"), **takes(Distribute, required=False))
def distribute(memory: Admin, id: PatternId, asked: Annotated[Distribute, Depends(body(Distribute))]) -> Response:
    """A pattern is told in repositories that the settings name; with `dry_run`, how their files would change."""
    said: dict[str, Any] = {name: getattr(asked, name) for name in Rollout.__dataclass_fields__}
    rollout = replace(Rollout(**said), repos=tuple(asked.repos), files=tuple(asked.files))
    return answers.answer({"files": memory.coding.distribute(id, rollout, by=asked.by, reason=asked.reason)})


@router.post("/patterns/{id}/withdraw", **gives("FileList"), **takes(Withdraw, required=False))
def withdraw(memory: Admin, id: PatternId, asked: Annotated[Withdraw, Depends(body(Withdraw))]) -> Response:
    """A pattern is taken out of every file that tells it, and is withdrawn."""
    files = memory.coding.withdraw(id, force=asked.force, dry_run=asked.dry_run, by=asked.by, reason=asked.reason)
    return answers.answer({"files": files})
