"""The activity stream: pages of what happened, and what happens next."""

from __future__ import annotations

from carryover.core.errors import NotFound
from carryover.core.event import Event, Filter, Page
from carryover.core.paging import at_most, make_cursor, read_cursor
from carryover.core.scope import Scope
from carryover.store import events
from carryover.store.store import Store

__all__ = ["Filter", "Page", "after", "newest", "now"]


def newest(
    store: Store, scope: Scope, agent_id: str, want: Filter | None = None, *, limit: int = 50, cursor: str | None = None
) -> Page:
    """Newest first. Raises Invalid for a limit or cursor that cannot be."""
    _reach(scope, agent_id)
    limit = at_most(limit)
    before = read_cursor(cursor, (int,))[0] if cursor else None
    with store.read(scope) as tx:
        found = events.newest(tx, agent_id, want or Filter(), limit=limit + 1, before=before)
    more = len(found) > limit
    return Page(tuple(found[:limit]), make_cursor(found[limit - 1].id) if more else None)


def after(
    store: Store, scope: Scope, agent_id: str, id: int, want: Filter | None = None, *, limit: int = 500
) -> list[Event]:
    """What followed the event with this id, oldest first: no event is left out, none comes twice."""
    _reach(scope, agent_id)
    with store.read(scope) as tx:
        return events.after(tx, agent_id, want or Filter(), id=id, limit=limit)


def now(store: Store, scope: Scope, agent_id: str) -> int:
    """The id of the newest event: where someone who asks for news from now on begins."""
    _reach(scope, agent_id)
    with store.read(scope) as tx:
        if scope.user is None:
            return events.last_id(tx, agent_id)
        # When others were served last is theirs: whoever is narrowed to a user begins after the last of their own.
        own = events.newest(tx, agent_id, Filter(), limit=1)
        return own[0].id if own else 0


def _reach(scope: Scope, agent_id: str) -> None:
    scope.require("read")
    if scope.agent not in (None, agent_id):
        raise NotFound(f"agent {agent_id!r} does not exist here; this key is narrowed to another one")
