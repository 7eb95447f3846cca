"""Runs as they stand: one that nobody ended and nobody works on any more was interrupted."""

from __future__ import annotations

import os
import socket

from carryover.core.chat import Run, RunDetail, RunStatus
from carryover.core.errors import NotFound
from carryover.core.paging import at_most, make_cursor, read_cursor
from carryover.core.scope import Scope
from carryover.store import runs, sessions
from carryover.store.runs import Span
from carryover.store.store import Store

QUIET_S = 60.0  # from one event of a run to the next, where it does not say otherwise (`for_s`)


def listed(
    store: Store, scope: Scope, agent_id: str, session_id: str, *, limit: int, cursor: str | None
) -> tuple[list[Run], str | None]:
    """Runs of the session, newest first, and the cursor of the next page. Raises Forbidden, NotFound or Invalid."""
    scope.require("read")
    limit = at_most(limit)
    before = read_cursor(cursor, (int, str)) if cursor else None
    with store.read(scope) as tx:
        sessions.get(tx, agent_id, session_id)
        spans = runs.listed(tx, agent_id, session_id, limit=limit + 1, before=before)
        shown = [run_of(span, agent_id, session_id, tx.now) for span in spans[:limit]]
    more = len(spans) > limit
    return shown, make_cursor(shown[-1].started_at, shown[-1].run_id) if more else None


def detail(store: Store, scope: Scope, agent_id: str, session_id: str, run_id: str) -> RunDetail:
    """The run with its events. Raises Forbidden or NotFound."""
    scope.require("read")
    with store.read(scope) as tx:
        sessions.get(tx, agent_id, session_id)
        span = runs.find(tx, agent_id, session_id, run_id)
        if span is None:
            raise NotFound(f"session {session_id!r} has no run {run_id!r}; check both ids", session_id=session_id)
        happened = runs.events(tx, agent_id, session_id, run_id)
        return RunDetail(run_of(span, agent_id, session_id, tx.now), tuple(happened))


def run_of(span: Span, agent_id: str, session_id: str, now: int) -> Run:
    status = status_of(span, now)
    return Run(
        run_id=span.run_id,
        agent_id=agent_id,
        session_id=session_id,
        status=status,
        started_at=span.first.at,
        ended_at=span.last.at if span.is_over else None,
        model=span.first.payload["model"],
        reason=span.last.payload.get("reason") if status == "failed" else None,
    )


def status_of(span: Span, now: int) -> RunStatus:
    """What has become of the run by now."""
    if span.is_over:
        return "finished" if span.last.type == "run_finished" else "failed"
    quiet_ms = span.last.payload.get("for_s", QUIET_S) * 1000
    lives = now <= span.last.at + quiet_ms and not _is_dead(span.first.payload.get("by", ""))
    return "running" if lives else "interrupted"


def me() -> str:
    """Which process this is: `host:pid`."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _is_dead(process: str) -> bool:
    """Whether it is known that the process is no more; of another machine's it is not."""
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # somebody else's, but there
    return False
