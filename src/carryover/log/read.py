"""Reading the log: a session, its turns, its last turns, and lists of sessions."""

from __future__ import annotations

from collections.abc import Iterator

from carryover.core.paging import PAGE, at_most, make_cursor, read_cursor
from carryover.core.scope import Scope
from carryover.core.session import Session, Turn
from carryover.store import sessions, turns
from carryover.store.store import Store


def session(store: Store, scope: Scope, agent_id: str, session_id: str) -> Session:
    """The session without its turns. Raises NotFound."""
    scope.require("read")
    with store.read(scope) as tx:
        return sessions.shown(sessions.get(tx, agent_id, session_id), tx.now)


def page(
    store: Store, scope: Scope, agent_id: str, session_id: str, *, after: int = 0, limit: int = 100
) -> tuple[Session, list[Turn]]:
    """The session and at most `limit` turns that follow `after`, as of one moment. Raises NotFound or Invalid."""
    scope.require("read")
    limit = at_most(limit)
    with store.read(scope) as tx:
        head = sessions.get(tx, agent_id, session_id)
        return sessions.shown(head, tx.now), turns.after(tx, agent_id, session_id, max(after, 0), limit)


def every(store: Store, scope: Scope, agent_id: str, session_id: str, through: int) -> Iterator[Turn]:
    """All turns up to `through`, read page by page: a long session is never in memory whole."""
    seen = 0
    while seen < through:
        _, found = page(store, scope, agent_id, session_id, after=seen, limit=min(PAGE, through - seen))
        if not found:
            return
        yield from (turn for turn in found if turn.seq <= through)  # some before it may have been erased
        seen = found[-1].seq


def window(store: Store, scope: Scope, agent_id: str, session_id: str, last_n: int = 10) -> tuple[Session, list[Turn]]:
    """The session and its last `last_n` turns, in order. Raises NotFound or Invalid."""
    scope.require("read")
    last_n = at_most(last_n, "last_n")
    with store.read(scope) as tx:
        head = sessions.get(tx, agent_id, session_id)
        return sessions.shown(head, tx.now), turns.last(tx, agent_id, session_id, last_n)


def listed(
    store: Store,
    scope: Scope,
    agent_id: str | None,
    *,
    user_id: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[Session], str | None]:
    """Sessions, the one that changed last first, and the cursor of the next page (None: there is none)."""
    scope.require("read")
    limit = at_most(limit)
    before = read_cursor(cursor, (int, str, str)) if cursor else None
    with store.read(scope) as tx:
        heads = sessions.listed(tx, agent_id, user=user_id, limit=limit + 1, before=before)
        shown = [sessions.shown(head, tx.now) for head in heads[:limit]]
    more = len(heads) > limit
    if not more:
        return shown, None
    last = shown[-1]
    return shown, make_cursor(last.updated_at, last.session_id, last.agent_id)
