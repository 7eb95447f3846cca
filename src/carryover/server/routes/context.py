"""What the next session is told: the hot route of memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carryover.core import telemetry
from carryover.core.clock import parse_time
from carryover.core.context import Reach, Wanted
from carryover.core.errors import Invalid
from carryover.core.scope import DEFAULT, Scope
from carryover.core.wire import encode
from carryover.runtime import Carryover, told
from carryover.server import answers
from carryover.server.deps import enter

REACHES: tuple[Reach, ...] = ("session", "agent", "user")
MARKDOWN = "text/markdown"


async def context(request: Request) -> Response:
    """`GET /sessions/{id}/context`"""
    memory = await enter(request, "read")
    wanted = _wanted(request)
    if wanted.query is not None:
        # It searches, and may compute an embedding.
        return _answer(request, await run_in_threadpool(_shown, memory, wanted))
    kept: Kept = request.app.state.contexts
    key = (memory.scope, wanted)
    generation = memory.engine.store.generation()
    shown = kept.get(key, generation)
    telemetry.count("cache", cache="contexts", outcome="miss" if shown is None else "hit")
    if shown is None:
        shown = await run_in_threadpool(_shown, memory, wanted)
        kept.put(key, generation, shown)
    return _answer(request, shown)


@dataclass(frozen=True, slots=True)
class Shown:
    """A context as it is sent, in both of its forms."""

    etag: str
    markdown: bytes
    document: bytes


class Kept:
    """Answers that are still true because nothing has been written since: asked again, they cost no query."""

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Scope, Wanted], tuple[int, Shown]] = OrderedDict()

    def get(self, key: tuple[Scope, Wanted], generation: int | None) -> Shown | None:
        found = self._kept.get(key)
        return found[1] if found is not None and found[0] == generation else None

    def put(self, key: tuple[Scope, Wanted], generation: int | None, shown: Shown) -> None:
        if generation is None:
            return
        self._kept[key] = (generation, shown)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


def _answer(request: Request, shown: Shown) -> Response:
    headers = {**answers.etag(shown.etag), "Vary": "Accept"}
    if answers.is_known(request, shown.etag):
        return Response(status_code=304, headers=headers)
    if prefers_markdown(request.headers.get("accept", "")):
        return Response(shown.markdown, 200, headers, media_type=MARKDOWN)
    return Response(shown.document, 200, headers, media_type=answers.JSON)


ROUTES = [Route("/sessions/{id}/context", context, methods=["GET"])]


def _finding(finding: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in finding.items() if value is not None}


def _shown(memory: Carryover, wanted: Wanted) -> Shown:
    found = told(memory, wanted)
    document = encode(found)
    document["findings"] = [_finding(finding) for finding in document["findings"]]
    return Shown(found.etag, found.markdown.encode(), answers.json_bytes(document))


def _wanted(request: Request) -> Wanted:
    params = request.query_params
    reach = params.get("scope", "agent")
    if reach not in REACHES:
        raise Invalid(f"scope {reach[:40]!r} is unknown; use one of {', '.join(REACHES)}", field="scope")
    budget = params.get("max_tokens", "500")
    if not (budget.isascii() and budget.isdigit() and len(budget) < 10):
        raise Invalid(f"max_tokens {budget[:40]!r} is no number; use 1 or more", field="max_tokens")
    as_of, repo = params.get("as_of"), params.get("repo")
    return Wanted(
        session_id=request.path_params["id"],
        agent_id=params.get("agent_id", DEFAULT),
        user_id=params.get("user_id"),
        reach=reach,
        max_tokens=int(budget),
        query=params.get("query"),
        as_of=None if as_of is None else parse_time(as_of, "as_of"),
        repos=(repo,) if repo else (),
    )


def prefers_markdown(accept: str) -> bool:
    """Whether `Accept` names Markdown, and names it before JSON."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return MARKDOWN in kinds and (answers.JSON not in kinds or kinds.index(MARKDOWN) < kinds.index(answers.JSON))
