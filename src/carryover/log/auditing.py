"""Reading the audit log."""

from __future__ import annotations

from carryover.core.audit import AuditFilter, AuditPage
from carryover.core.errors import Forbidden
from carryover.core.paging import at_most
from carryover.core.scope import Scope
from carryover.store import audit
from carryover.store.store import Store


def lines(store: Store, scope: Scope, want: AuditFilter | None, *, limit: int, cursor: str | None) -> AuditPage:
    """Lines of the tenant's audit log, newest first; that they were read is one of the next. Raises Forbidden."""
    scope.require("admin")
    if scope.agent is not None or scope.user is not None:
        raise Forbidden("this key is narrowed and may not read the audit log; use one that is not")
    with store.read(scope) as tx:
        found = audit.listed(tx, want, limit=at_most(limit), cursor=cursor)
    audit.record(store, scope, action="audit.read", subject="audit log")
    return found
