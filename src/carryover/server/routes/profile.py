"""Personas: what models are told of a user, and the profile in which the user sees and corrects it."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from carryover.core.errors import TooMany
from carryover.core.persona import Fitted, Profile
from carryover.core.text import digest
from carryover.server import answers, profile_page
from carryover.server.bodies import body, members
from carryover.server.deps import Admin, OfAgent, OfUser, OwnReader, OwnWriter, Reader, enter, named
from carryover.server.gate import step_aside
from carryover.server.openapi import gives, takes
from carryover.server.profile_body import LinkIn, Refit, edit_of
from carryover.server.routes.context import MARKDOWN, prefers_markdown
from carryover.server.routes.memory import WAITING

router = APIRouter(tags=["personas"])

# What stands in a profile is nobody's but the user's: no cache between keeps it.
_PRIVATE = {"Cache-Control": "no-store", "Vary": "Accept, Authorization"}


@router.get("/profile", **gives("Profile"))
async def profile(request: Request, user: OfUser = None) -> Response:
    """A user's profile: what models are told, and every line with its weight, its edits and its newest quotes.

    A browser that asks for HTML gets the page, which holds nothing of anybody until it is opened with a link or a key.
    """
    if profile_page.wanted(request):
        return profile_page.page()
    memory = await enter(request, "read", by_link=True)
    return _answer(await run_in_threadpool(memory.profiles.show, user))


@router.patch("/profile", **gives("Profile"), **takes("ProfileEdit", header="If-Match"))
def edit(
    request: Request, memory: OwnWriter, given: Annotated[dict[str, Any], Depends(members)], user: OfUser = None
) -> Response:
    """The user's decisions about their profile: they hold whatever is noticed or fitted later.

    `pins`, `removed` and `texts` replace what was there, `weights` merge and null clears one. With `If-Match` or
    `expected_version` only if nothing has changed since that version (409 otherwise).
    """
    return _answer(memory.profiles.edit(**edit_of(request, given, user)))


@router.delete("/profile", **gives("ProfileDeleted"))
def erase(memory: OwnWriter, user: OfUser = None) -> Response:
    """Nothing is left of what was noticed of the user and of what they decided, and none of it can be restored.

    Their key is dropped, so that backups cannot be read either, and links that were made before open nothing.
    """
    counts = memory.profiles.erase(user)
    receipt = {"user_id": user or memory.scope.user, "counts": counts}
    return answers.answer({"message": "deleted", "receipt": receipt}, 200, _PRIVATE)


@router.get("/profile/choices", **gives("ChoiceList"))
def choices(memory: OwnReader) -> Response:
    """Lines that a user may pin though nothing of the kind was noticed, in the order in which they are told."""
    return answers.answer({"choices": memory.profiles.choices()}, 200, _PRIVATE)


@router.post("/profile/link", **gives("Link"), **takes(LinkIn, required=False))
def link(memory: Reader, asked: Annotated[LinkIn, Depends(body(LinkIn))]) -> Response:
    """A link that opens one user's profile, and nothing else, for a short time; its token is in the fragment.

    It may do no more than the key that it is made with: with `write` false it only shows.
    """
    made = memory.profiles.link(asked.user_id, ttl_s=asked.ttl_s, write=asked.write)
    return answers.answer(made, 200, _PRIVATE)


@router.get("/profile/overview", **gives("Overview"))
def overview(memory: Admin) -> Response:
    """How the tenant's personas stand: only what at least as many users share as the floor demands."""
    return answers.answer(memory.profiles.overview(), 200, _PRIVATE)


@router.post("/profile/refit", **gives("Fitted", more={202: "FitAccepted"}), **takes(Refit, required=False))
async def refit(request: Request, memory: Admin, asked: Annotated[Refit, Depends(body(Refit))]) -> Response:
    """The tenant's codebook is fitted anew, now: what came of it, or (`wait` false) the job that does it."""
    if asked.wait:
        step_aside(request)
        if request.app.state.waiting.statistics().tasks_waiting >= WAITING:
            raise TooMany("too many wait for jobs; ask with `wait` false, or retry", retry_after=5)

    def run() -> Fitted | None:
        return memory.profiles.refit(wait=asked.wait, timeout_s=asked.timeout_s)

    fitted = await to_thread.run_sync(run, limiter=request.app.state.waiting if asked.wait else None)
    if fitted is None:
        return answers.answer({"job": {"kind": "fit", "status": "due"}}, 202, {"Location": "/profile/overview"})
    return answers.answer(fitted)


@router.get("/persona", **gives("Persona"))
def persona(
    request: Request,
    memory: Reader,
    user: OfUser = None,
    session: Annotated[str | None, Query(alias="session_id", description="the session whose model is told")] = None,
    agent: OfAgent = None,
) -> Response:
    """What a model is told of a user, in 150 tokens at most; with `Accept: text/markdown` that text alone.

    In a session it stays as it was at the session's first request; `tail` tells what the user has changed since.
    """
    told = memory.profiles.persona(user, session_id=session, agent=named(None, agent))
    alone = prefers_markdown(request.headers.get("accept", ""))
    tag = told.etag if alone or not told.tail else digest(told.text, told.tail)
    headers = {**answers.etag(tag), "Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
    if answers.is_known(request, tag):
        return Response(None, 304, headers)
    if alone:
        return Response(told.text, 200, headers, media_type=MARKDOWN)
    return answers.answer(told, 200, headers)


def _answer(shown: Profile) -> Response:
    # The version is for `If-Match`: a fit may tell the same version in other lines, so no answer is 304.
    return answers.answer(shown, 200, {**answers.etag(shown.version), **_PRIVATE})
