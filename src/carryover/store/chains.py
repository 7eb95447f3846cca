"""Whether every session's log is the one that was written: its hash chain holds from the first link to the last.

What older programs wrote has no link. The chain goes on over such turns as if they were not there, so a program of the
version before may write to a session in between; the numbers of the linked turns still say where they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from carryover.core import chain
from carryover.core.session import ERASED
from carryover.store.derived import SHOWN, name_of, same
from carryover.store.logged import Entry, Key
from carryover.store.store import Tx
from carryover.store.tables import sessions, turns


@dataclass(slots=True)
class Tally:
    """What was read of the logs, in turns."""

    turns: int = 0
    linked: int = 0  # the others are of older programs
    sealed: int = 0
    erased: int = 0
    dropped: int = 0  # sealed with a key that is dropped

    def add(self, other: Tally) -> None:
        for name in Tally.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Chains:
    """Follows the chains of a tenant's logs, whose turns it is handed page by page."""

    def __init__(self, tenant: str) -> None:
        self.tally = Tally()
        self.faults: list[str] = []
        self._tenant = tenant
        self._key: Key = ("", "")
        self._before: bytes | None = None
        self._lost: dict[str, int] = {}  # turns that cannot be opened, by the reason

    def take(self, page: Sequence[Entry]) -> None:
        for entry in page:
            if entry.key != self._key:
                self._key, self._before = entry.key, None
            self._count(entry)
            kept: bytes | None = entry.link.row["chain"]
            if kept is None:
                continue
            leaf = _leaf(entry)
            if leaf is not None and chain.link(self._before, leaf) != kept:
                self._say(entry, "is not as it was written, or something was put in, taken out or moved before it")
            self._before = bytes(kept)  # from here on as it says itself: one fault is told once

    def end(self) -> list[str]:
        """Everything that is wrong, in words."""
        return [*self.faults, *(f"{n} turns of tenant {self._tenant!r}: {why}" for why, n in self._lost.items())]

    def _count(self, entry: Entry) -> None:
        tally = self.tally
        tally.turns += 1
        tally.linked += entry.link.row["chain"] is not None
        tally.sealed += entry.link.is_sealed
        tally.erased += entry.link.row["kind"] == ERASED
        tally.dropped += entry.is_dropped
        if entry.damaged:
            self._say(entry, "is damaged")
        elif entry.fault:
            self._lost[entry.fault] = self._lost.get(entry.fault, 0) + 1

    def _say(self, entry: Entry, what: str) -> None:
        if len(self.faults) < SHOWN:
            agent, session = entry.key
            where = f"turn {entry.link.seq} of session {session!r} of agent {agent!r} of tenant {self._tenant!r}"
            self.faults.append(f"{where} {what}; restore the session from a backup")


def ends(tx: Tx) -> list[str]:
    """In `EVERY_TENANT`, the sessions whose logs do not end with the link that their rows name."""
    keys = [turns.c[name] for name in ("tenant", "agent", "session")]
    tops = sa.select(*keys, sa.func.max(turns.c.seq).label("seq")).where(
        turns.c.tenant.is_not(None), turns.c.chain.is_not(None)
    )
    last = tops.group_by(*keys).subquery()
    linked = sa.select(turns.c.tenant, turns.c.agent, turns.c.session, turns.c.seq, turns.c.chain)
    linked = linked.join_from(turns, last, same(turns, last, seq=True)).subquery()
    wanted = sa.select(sessions.c.tenant, sessions.c.agent, sessions.c.session, sessions.c.version)
    wanted = wanted.join_from(sessions, linked, same(sessions, linked), isouter=True)
    wanted = wanted.where(sessions.c.chain.is_distinct_from(linked.c.chain))
    return [
        f"the log of {name_of(row)} does not end as it was written: turns are missing from its end, or were put there; "
        "restore the session from a backup"
        for row in tx.conn.execute(wanted.limit(SHOWN))
    ]


def _leaf(entry: Entry) -> bytes | None:
    """What stands for the turn in its chain; None where nobody can tell any more."""
    row = entry.link.row
    if row["kind"] == ERASED:
        return _bytes(row["digest"]) if row["digest"] else None  # what was lost before it was erased left no leaf
    if row["body"] is None or entry.fault:
        return None
    return b"" if row["salt"] is None else chain.leaf(bytes(row["salt"]), row)


def _bytes(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""
