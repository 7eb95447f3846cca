"""Reading the log: a session, its turns, its last turns, and lists of sessions."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, cast

from carryover.core.errors import Invalid
from carryover.core.scope import Scope
from carryover.core.session import Session, Turn
from carryover.store import sessions, turns
from carryover.store.store import Store

PAGE = 1000  # the most that one list answers


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
        yield from found
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


def at_most(limit: int, field: str = "limit") -> int:
    """`limit`, once it is known to be from 1 to 1000. Raises Invalid."""
    if not 1 <= limit <= PAGE:
        raise Invalid(f"{field} is {limit}; use 1 to {PAGE}", field=field)
    return limit


def make_cursor(*place: int | str) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def read_cursor(cursor: str, types: tuple[type, ...]) -> Any:
    """The place that a cursor stands for. Raises Invalid for one that we did not make."""
    try:
        place: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        json.dumps(place, ensure_ascii=False).encode()  # half of a surrogate pair is no text that we made
    except (binascii.Error, ValueError):
        place = None
    if not isinstance(place, list) or tuple(map(_kind, cast("list[object]", place))) != types:
        raise Invalid(f"cursor {cursor[:40]!r} is not one of ours; pass next_cursor as it was answered", field="cursor")
    return tuple(cast("list[object]", place))


def _kind(part: object) -> type | None:
    """The type of a part of a cursor; None for a number that no database holds."""
    return None if isinstance(part, int) and abs(part) >= 1 << 63 else type(part)
