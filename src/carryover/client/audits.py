"""Reading the audit log: what is sent, and how the answer reads."""

from __future__ import annotations

import json

from carryover.client.wire import Call, bounds, get
from carryover.core.audit import AuditFilter, AuditLine, AuditPage
from carryover.core.wire import decode


def lines(want: AuditFilter | None, *, limit: int, cursor: str | None) -> Call[AuditPage]:
    want = want or AuditFilter()
    said = {"action": want.action, "who": want.who, "subject": want.subject}
    times = bounds({"since": want.since, "until": want.until})
    return get("/audit", _lines, **said, **times, limit=limit, cursor=cursor)


def _lines(_: int, raw: bytes) -> AuditPage:
    data = json.loads(raw)
    return [decode(AuditLine, line) for line in data["lines"]], data["next_cursor"]
