"""The logs of a tenant from end to end, opened, a page at a time: for those who compare everything with them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from carryover.core.errors import CarryoverError, DataLoss
from carryover.core.text import plain
from carryover.store import turns as turn_store
from carryover.store.store import Tx
from carryover.store.tables import bodies, turns
from carryover.store.turns import Link

_ROWS, _CHARACTERS = 2_000, 8_000_000  # of a page, at most
_FETCH = 100
_SAME = (bodies.c[name] == turns.c[name] for name in ("tenant", "agent", "session", "seq"))
_EVERY = sa.select(
    *(column for column in turns.c if column.name != "tenant"),
    sa.select(bodies.c.body).where(*_SAME).correlate(turns).scalar_subquery().label("body"),
).order_by(turns.c.agent, turns.c.session, turns.c.seq)

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A turn as its log has it; `fault` says why it cannot be opened, and `damaged` that its bytes are the reason."""

    link: Link
    fault: str = ""
    damaged: bool = False

    @property
    def key(self) -> Key:
        return self.link.row["agent"], self.link.row["session"]

    @property
    def is_dropped(self) -> bool:
        """Whether the key that it was sealed with is dropped: nobody can read it any more."""
        return self.link.is_sealed and self.link.row["body"] is None and not self.fault

    @property
    def text(self) -> str | None:
        """What a reader would read of it; None where nobody can."""
        body = self.link.row["body"]
        if body is None or self.fault:
            return None
        try:
            return plain(json.loads(body))
        except (RecursionError, ValueError):
            return ""


def pages(tx: Tx) -> Iterator[list[Entry]]:
    """All turns of the tenant by agent and session, in order; a session may go on over many pages."""
    page: list[Any] = []
    size = 0
    wanted = _EVERY.where(turns.c.tenant == tx.tenant).execution_options(yield_per=_FETCH)
    for row in tx.conn.execute(wanted):
        page.append(row)
        size += len(row.body or "")
        if len(page) == _ROWS or size > _CHARACTERS:
            yield _entries(tx, page)
            page, size = [], 0
    if page:
        yield _entries(tx, page)


def _entries(tx: Tx, page: Sequence[Any]) -> list[Entry]:
    found: list[Entry] = []
    for _, rows in groupby(page, key=lambda row: (row.agent, row.session)):
        found += _opened(tx, list(rows))
    return found


def _opened(tx: Tx, rows: Sequence[Any]) -> list[Entry]:
    """The rows of a session, opened all at once; one by one where one of them cannot be."""
    try:
        return [Entry(link) for link in turn_store.links(tx, rows[0].agent, rows[0].session, rows)]
    except CarryoverError as failure:
        if len(rows) > 1:
            return [entry for row in rows for entry in _opened(tx, [row])]
        link = Link(rows[0].seq, rows[0]._asdict(), is_sealed=True)
        return [Entry(link, failure.message, damaged=isinstance(failure, DataLoss))]
