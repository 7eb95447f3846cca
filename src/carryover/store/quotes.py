"""Whether every quote of a source stands, character by character, in one of the turns that it cites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from carryover.store import openable
from carryover.store.derived import SHOWN
from carryover.store.logged import Entry, Key
from carryover.store.parts import parts
from carryover.store.store import Tx
from carryover.store.tables import sources

_COLUMNS = tuple(sources.c[name] for name in ("agent", "session", "finding", "n", "first", "last", "quote"))


@dataclass(slots=True)
class _Quote:
    """A quote that is being looked for; `blind` once one of its turns was met that nobody can read."""

    finding: str
    first: int
    last: int
    text: str
    blind: bool = False


class Quotes:
    """Compares the sources of a tenant with its turns, which it is handed page by page."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._faults: list[str] = []
        self._key: Key = ("", "")
        self._coming: list[_Quote] = []  # of the session, the last first
        self._open: list[_Quote] = []

    def take(self, page: Sequence[Entry]) -> None:
        found = _cited(self._tx, {entry.key for entry in page} - {self._key})
        for entry in page:
            if entry.key != self._key:
                self._tell(self._open)
                self._key, self._open = entry.key, []
                self._coming = sorted(found.get(entry.key, ()), key=lambda one: -one.first)
            if self._coming or self._open:
                self._look(entry)

    def end(self) -> list[str]:
        """What was quoted and not said, once all turns were handed in."""
        self._tell(self._open)
        return self._faults

    def _look(self, entry: Entry) -> None:
        seq = entry.link.seq
        while self._coming and self._coming[-1].first <= seq:
            self._open.append(self._coming.pop())
        if not self._open:
            return
        text = entry.text
        left: list[_Quote] = []
        over: list[_Quote] = []
        for quote in self._open:
            quote.blind = quote.blind or text is None
            if text is None or quote.text not in text:
                (left if seq < quote.last else over).append(quote)
        self._tell(over)
        self._open = left

    def _tell(self, missed: Iterable[_Quote]) -> None:
        agent, session = self._key
        for quote in missed:
            if not quote.blind and len(self._faults) < SHOWN:
                self._faults.append(
                    f"finding {quote.finding!r} of tenant {self._tx.tenant!r} quotes what turns {quote.first} to "
                    f"{quote.last} of session {session!r} of agent {agent!r} do not say; run `carryover consolidate "
                    f"{session} --agent {agent} --again --force`, or restore the session from a backup"
                )


def _cited(tx: Tx, keys: Iterable[Key]) -> dict[Key, list[_Quote]]:
    """What is quoted of these sessions."""
    by_agent: dict[str, list[str]] = {}
    for agent, session in sorted(keys):
        by_agent.setdefault(agent, []).append(session)
    found: dict[Key, list[_Quote]] = {}
    wanted = sa.select(*_COLUMNS).where(sources.c.tenant == tx.tenant, sources.c.quote != "")
    for agent, named in by_agent.items():
        for part in parts(named):
            rows = tx.conn.execute(wanted.where(sources.c.agent == agent, sources.c.session.in_(part))).all()
            for row, (quote,) in openable.those(tx, sources, rows):
                found.setdefault((row.agent, row.session), []).append(_Quote(row.finding, row.first, row.last, quote))
    return found
