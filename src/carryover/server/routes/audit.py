"""The audit log, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from carryover.core.audit import AuditFilter
from carryover.server import answers
from carryover.server.deps import Admin, Cursor, Limit, When, moment
from carryover.server.openapi import gives

router = APIRouter(tags=["server"])

Only = Annotated[str | None, Query(max_length=1000)]


@router.get("/audit", **gives("AuditList"))
def audit(
    memory: Admin,
    action: Annotated[Only, Query(description="only this action, like `key.create`")] = None,
    who: Annotated[
        Only, Query(description="only what they did: `local`, `key ID`, `token SUBJECT`, `link USER`")
    ] = None,
    subject: Annotated[Only, Query(description="only what was done to it, like `user ana`")] = None,
    since: When = None,
    until: When = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Who did what that needs more than reading and writing, newest first; `carryover audit --verify` checks it."""
    want = AuditFilter(action, who, subject, moment(since, "since"), moment(until, "until"))
    found, following = memory.audit(want, limit=limit, cursor=cursor)
    return answers.answer({"lines": found, "next_cursor": following})
