"""The audit log: each line is chained to the one before it, so that a line that was changed or taken out shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from carryover.core.audit import AuditFilter, AuditLine, AuditOutcome, AuditPage
from carryover.core.paging import make_cursor, read_cursor
from carryover.core.scope import Scope
from carryover.store import counters
from carryover.store.store import Store, Tx
from carryover.store.trust_tables import audit

_COUNTER = "audit"
_MOST_CHARS = 1_000  # of a subject or a detail
_READ = 5_000  # lines at a time
_NONE = "0:"  # the head while there are no lines
_MEMBERS = ("who", "via", "action", "subject", "outcome", "detail", "request_id")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the chain says: how many lines there are, its head, and what is wrong with them."""

    lines: int
    head: str  # the number of the last line and its chain: kept elsewhere, it proves the lines up to there
    faults: tuple[str, ...]


def note(tx: Tx, *, action: str, subject: str, outcome: AuditOutcome = "done", detail: str = "") -> None:
    """The act is in the tenant's audit log, once the transaction commits; who did it is what the scope says.

    Call it last in its transaction: other acts of the tenant wait from here until it ends. `subject` is ids, `detail`
    is facts and numbers: never content, never a secret.
    """
    n = counters.bump(tx, _COUNTER)  # the row stays locked: lines are numbered and chained in the order of commits
    by = tx.scope.by
    row = {
        "tenant": tx.tenant,
        "n": n,
        "at": tx.now,
        "who": by.who[:_MOST_CHARS],
        "via": by.via,
        "action": action,
        "subject": subject[:_MOST_CHARS],
        "outcome": outcome,
        "detail": detail[:_MOST_CHARS],
        "request_id": by.request_id,
    }
    before = sa.select(audit.c.chain).where(audit.c.tenant == tx.tenant, audit.c.n == n - 1)
    tx.conn.execute(sa.insert(audit).values(**row, chain=_link(tx.conn.execute(before).scalar(), row)))


def record(store: Store, scope: Scope, *, action: str, subject: str, detail: str = "") -> None:
    """The act is in the audit log: for acts that write nothing else. Raises StoreUnavailable: then it is not."""
    store.transact(scope, lambda tx: note(tx, action=action, subject=subject, detail=detail))


def listed(tx: Tx, want: AuditFilter | None = None, *, limit: int = 100, cursor: str | None = None) -> AuditPage:
    """Lines of the tenant, newest first, and the cursor of the next page."""
    chosen = sa.select(audit).where(audit.c.tenant == tx.tenant, *_chosen(want or AuditFilter()))
    if cursor is not None:
        (below,) = read_cursor(cursor, (int,))
        chosen = chosen.where(audit.c.n < below)
    rows = tx.conn.execute(chosen.order_by(audit.c.n.desc()).limit(limit + 1)).all()
    more = make_cursor(rows[limit - 1].n) if len(rows) > limit else None
    return [_line(row) for row in rows[:limit]], more


def verify(tx: Tx, head: str | None = None) -> Checked:
    """What the chain says of the tenant's lines; `head` is one of before, which must still stand.

    Whoever may write to the database could make a whole chain anew: against that, keep heads elsewhere.
    """
    faults: list[str] = []
    last, before, lines, stood = 0, None, 0, head is None or head == _NONE
    for row in _rows(tx):
        if row.n != last + 1:
            faults.append(_missing(last + 1, row.n - 1))
        elif row.chain != _link(before, row._mapping):
            faults.append(f"line {row.n} is not as it was written")
        last, before, lines = row.n, row.chain, lines + 1
        stood = stood or head == _head(row.n, row.chain)
    (count,) = counters.values(tx, [_COUNTER])
    if last < count:
        faults.append(_missing(last + 1, count))
    elif last > count:
        faults.append(f"there are lines up to {last}, and only {count} were counted")
    if not stood:
        faults.append(f"no line here has the head {head!r}")
    return Checked(lines, _NONE if before is None else _head(last, before), tuple(faults))


def _head(n: int, chain: bytes) -> str:
    return f"{n}:{chain.hex()}"


def _rows(tx: Tx) -> Iterator[Any]:
    known = 0
    while True:
        after = sa.select(audit).where(audit.c.tenant == tx.tenant, audit.c.n > known).order_by(audit.c.n).limit(_READ)
        rows = tx.conn.execute(after).all()
        yield from rows
        if len(rows) < _READ:
            return
        known = rows[-1].n


def _missing(first: int, last: int) -> str:
    return f"line {first} is missing" if first == last else f"lines {first} to {last} are missing"


def _chosen(want: AuditFilter) -> Iterator[sa.ColumnElement[bool]]:
    for name in ("action", "who", "subject"):
        wanted = getattr(want, name)
        if wanted is not None:
            yield audit.c[name] == wanted
    if want.since is not None:
        yield audit.c.at >= want.since
    if want.until is not None:
        yield audit.c.at < want.until


def _link(before: bytes | None, row: Any) -> bytes:
    said = [row["tenant"], row["n"], row["at"], *(row[name] for name in _MEMBERS)]
    return hashlib.blake2b((before or b"") + json.dumps(said).encode(), digest_size=32).digest()


def _line(row: Any) -> AuditLine:
    return AuditLine(n=row.n, at=row.at, **{name: getattr(row, name) for name in _MEMBERS})
