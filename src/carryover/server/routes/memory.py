"""What is derived from sessions: consolidation, snapshots, findings, search; and what it consumed."""

from __future__ import annotations

from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from carryover.core.errors import TooMany
from carryover.core.extractor import Decision
from carryover.core.snapshot import Snapshot
from carryover.core.usage import Group
from carryover.server import answers
from carryover.server.bodies import Consolidate, Search, body, query_of
from carryover.server.deps import Admin, Id, Limit, OfAgent, Reader, When, Writer, moment, named
from carryover.server.gate import step_aside
from carryover.server.openapi import gives, takes

router = APIRouter(tags=["memory"])

Version = Annotated[int, Path(ge=0, lt=2**53, description="a snapshot's version")]
Seq = Annotated[int, Path(description="a turn")]
WAITING = 16  # consolidations that are waited for at once, so that they never hold all threads


@router.post(
    "/sessions/{id}/consolidate", **gives("Snapshot", more={202: "Accepted"}), **takes(Consolidate, required=False)
)
async def consolidate(
    request: Request,
    memory: Writer,
    id: Id,
    asked: Annotated[Consolidate, Depends(body(Consolidate))],
    agent: OfAgent = None,
) -> Response:
    """The session is consolidated now: its snapshot, or (`wait` false) the job that makes it.

    With `again` its turns are read anew from the first one: what comes of it is kept if it answers no less than the
    snapshot before (409 otherwise), or with `force` whatever it answers.
    """
    agent_id = named(asked.agent_id, agent)
    if asked.wait:
        step_aside(request)
        if request.app.state.waiting.statistics().tasks_waiting >= WAITING:
            raise TooMany("too many wait for a consolidation; ask with `wait` false, or retry", retry_after=5)

    def run() -> Snapshot | None:
        return memory.consolidate(
            id, agent=agent_id, wait=asked.wait, timeout_s=asked.timeout_s, again=asked.again, force=asked.force
        )

    made = await to_thread.run_sync(run, limiter=request.app.state.waiting if asked.wait else None)
    if made is not None:
        return answers.answer(made, 200, answers.etag(made.version))
    kind = "reconsolidate" if asked.again or asked.force else "consolidate"
    job = {"kind": kind, "agent_id": agent_id, "session_id": id, "status": "due"}
    return answers.answer({"job": job}, 202, {"Location": f"/sessions/{id}/snapshots?agent_id={agent_id}"})


@router.get("/sessions/{id}/snapshots", **gives("SnapshotList"))
def snapshots(memory: Reader, id: Id, agent: OfAgent = None, limit: Limit = 100) -> Response:
    """All snapshots of a session, newest first, without their findings."""
    return answers.answer({"snapshots": memory.snapshots(id, agent=named(None, agent), limit=limit)})


@router.get("/sessions/{id}/snapshots/{version}", **gives("Snapshot"))
def snapshot(memory: Reader, id: Id, version: Version, agent: OfAgent = None) -> Response:
    """One snapshot with its findings; it never changes."""
    found = memory.snapshot(id, version, agent=named(None, agent))
    return answers.answer(found, 200, answers.etag(found.version))


@router.get("/sessions/{id}/snapshots/{a}/diff/{b}", **gives("Diff"))
def diff(memory: Reader, id: Id, a: Version, b: Version, agent: OfAgent = None) -> Response:
    """What changed from one snapshot to another, and why."""
    return answers.answer(memory.diff(id, a, b, agent=named(None, agent)))


@router.get("/findings/{id}", **gives("FindingDetail"))
def finding(memory: Reader, id: Annotated[str, Path(max_length=128, description="a finding")]) -> Response:
    """A finding with its sources quoted, what it replaced, what replaced it, and why."""
    return answers.answer(memory.finding(id))


@router.get("/sessions/{id}/turns/{seq}/derived", **gives("Trace"))
def derived(memory: Reader, id: Id, seq: Seq, agent: OfAgent = None) -> Response:
    """Everything that was derived from a turn: findings, snapshots, chunks, and whether contexts reach it."""
    return answers.answer(memory.trace(id, seq, agent=named(None, agent)))


@router.post("/memory/search", **gives("Hits"), **takes(Search))
def search(memory: Reader, asked: Annotated[Search, Depends(body(Search))]) -> Response:
    """The turns and findings that answer the query best, with their sources."""
    return answers.answer(memory.search(query_of(asked)))


@router.get("/extractors", **gives("ExtractorList"))
def extractors(memory: Admin) -> Response:
    """How the tenant's extractors stand: the one that memory is made with, and what became of others."""
    return answers.answer({"extractors": memory.extractors()})


@router.post("/extractors/{name:path}/{decision}", **gives("ExtractorState"))
def decide_extractor(
    memory: Admin,
    name: Annotated[str, Path(description="an extractor with its version")],
    decision: Annotated[Decision, Path(description="what becomes of it; `try` compares it anew")],
) -> Response:
    """The extractor is promoted or refused by hand, or will be compared anew by the next worker."""
    return answers.answer(memory.decide_extractor(name, decision))


@router.get("/usage", **gives("UsageReport"))
def usage(
    memory: Reader,
    since: When = None,
    until: When = None,
    group: Annotated[Group, Query(description="what is summed apart")] = "tenant",
) -> Response:
    """What the tenant consumed in the period (default: the last 30 days), and how it stands with its caps."""
    return answers.answer(memory.usage(since=moment(since, "since"), until=moment(until, "until"), group=group))


def limiter() -> CapacityLimiter:
    return CapacityLimiter(WAITING)
