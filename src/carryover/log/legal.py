"""Legal holds: what they name cannot be erased, by anybody and by no expiry, until an admin releases them."""

from __future__ import annotations

from carryover.core.erasure import LegalHold
from carryover.core.errors import Forbidden, Invalid
from carryover.core.ids import check_id, check_session_id
from carryover.core.scope import DEFAULT, EVERY_TENANT, Scope
from carryover.store import audit, holds
from carryover.store.store import Store

LONGEST_REASON = 500


def place(
    store: Store,
    scope: Scope,
    *,
    session: str | None = None,
    agent: str | None = None,
    user: str | None = None,
    reason: str,
) -> LegalHold:
    """What is named may not be erased from now on. Raises Forbidden or Invalid."""
    _require(scope)
    if session is None and agent is None and user is None:
        raise Invalid("nothing is named; name a session, an agent or a user", field="session_id")
    if session is not None:
        check_session_id(session)
        agent = agent or DEFAULT
    for name, id in (("agent_id", agent), ("user_id", user)):
        if id is not None:
            check_id(id, name)
    reason = " ".join(reason.split())
    if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise Invalid(f"reason has {len(reason)} characters; use 1 to {LONGEST_REASON} that print", field="reason")
    with store.write(EVERY_TENANT) as tx:
        holds.require_known(tx)
    with store.write(scope) as tx:
        hold = holds.place(tx, agent=agent, session=session, user=user, reason=reason)
        audit.note(tx, action="hold.place", subject=hold.id)
        return hold


def listed(store: Store, scope: Scope, *, released: bool = False) -> list[LegalHold]:
    """The holds in force, the newest first; with `released` also those of before. Raises Forbidden."""
    _require(scope)
    with store.read(scope) as tx:
        found = holds.listed(tx, released=released)
    audit.record(store, scope, action="hold.list", subject="legal holds")
    return found


def release(store: Store, scope: Scope, id: str) -> LegalHold:
    """The hold keeps nothing any more. Raises Forbidden or NotFound."""
    _require(scope)
    with store.write(scope) as tx:
        hold = holds.release(tx, id)
        audit.note(tx, action="hold.release", subject=id)
        return hold


def _require(scope: Scope) -> None:
    scope.require("admin")
    if scope.agent is not None or scope.user is not None:
        raise Forbidden("this key is narrowed, and legal holds are of the whole tenant; use one that is not")
