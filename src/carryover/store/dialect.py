"""What differs between databases, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from carryover.core.chunk import Chunk, ChunkKind
from carryover.core.clock import EARLIEST, LATEST
from carryover.store.hashed import Wording
from carryover.store.news import Channel


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which chunks of a tenant a search admits: `since` <= created_at < `before`; None admits all."""

    agent: str | None = None
    user: str | None = None
    session: str | None = None
    kinds: tuple[ChunkKind, ...] | None = None
    since: int | None = None
    before: int | None = None

    def marks(self) -> Iterator[tuple[str, str]]:
        """What is asked of a chunk's owners (`hashed.owners`), but for its kind."""
        asked = ("a", self.agent), ("u", self.user), ("s", self.session)
        return ((sign, value) for sign, value in asked if value is not None)

    @property
    def moments(self) -> tuple[int, int] | None:
        """The first moment that is admitted and the first one after it that is not; None where all are admitted."""
        if self.since is None and self.before is None:
            return None
        return EARLIEST if self.since is None else self.since, LATEST + 1 if self.before is None else self.before


class Dialect(Protocol):
    """One database engine."""

    name: str
    # Whether several transactions may write at once. Where one at a time may, what it reads stays true by that;
    # elsewhere what it decides on has to be locked, and another server may stand by that a commit waits for.
    concurrent: bool
    # Whether the numbers of chunks are unique over all tenants, because one text index holds them all.
    one_index: bool

    def engine(self, url: str, pool: int) -> sa.Engine:
        """An engine whose commits are on disk when they return; it keeps so many connections open."""
        ...

    def enter(self, conn: sa.Connection, tenant: str, *, writing: bool) -> int | None:
        """The transaction that `conn.begin()` announced is open, for the rows of this tenant (`*`: of all).

        One that does not write sees one state of the database. Answers the database's time in UTC milliseconds,
        None where that is this machine's own.
        """
        ...

    def widen(self, conn: sa.Connection) -> None:
        """From here on the open transaction is for the rows of all tenants."""
        ...

    def channel(self, url: str) -> Channel | None:
        """How processes on this database tell each other of their commits; None where it has no way for that."""
        ...

    def generation(self, cursor: Any) -> int | None:
        """A number that the driver's cursor sees change once another connection has changed anything.

        None where the engine cannot say.
        """
        ...

    def settle(self, cursor: Any) -> None:
        """What was erased leaves the files that the engine writes ahead of the database, unless it is too busy now."""
        ...

    def shrink(self, cursor: Any) -> None:
        """Where much of its files is free, the engine gives it back, as long as nobody has to wait for that."""
        ...

    def rewrite(self, cursor: Any) -> bool:
        """The files are written anew, so that no page holds what is gone; False where that would take too long now."""
        ...

    def unhurried(self, conn: sa.Connection) -> None:
        """Statements of the open transaction may take their time."""
        ...

    def upgrading(self, conn: sa.Connection) -> None:
        """From here to the end of the transaction nobody else changes the schema; statements may take their time."""
        ...

    def prepare(self, conn: sa.Connection) -> None:
        """The text index and the trigger that keeps turns from being updated; may run twice."""
        ...

    def insert(self, table: sa.Table) -> Any:
        """An insert with `on_conflict_do_update` and `on_conflict_do_nothing`."""
        ...

    def allocate(self, conn: sa.Connection, tenant: str, count: int) -> int:
        """The first of `count` fresh chunk numbers, which grow and are never used twice in the tenant."""
        ...

    def event_ids(self, conn: sa.Connection, tenant: str, agent: str, count: int, floor: int) -> int:
        """The first of `count` fresh event ids of the agent, above `floor` and all that were ever committed.

        Whoever commits later has higher ones.
        """
        ...

    def tend_events(self, conn: sa.Connection, now: int, keep_ms: int | None) -> None:
        """There is room for the events to come, and those older than `keep_ms` (None: of any age are kept) are gone.

        An engine that keeps them in parts by time drops whole parts, so some stay a while longer.
        """
        ...

    def index(self, conn: sa.Connection, tenant: str, rows: Sequence[Chunk]) -> None:
        """The chunks are found by their `terms`, as they keep them (`hashed`), under this tenant alone."""
        ...

    def unindex(self, conn: sa.Connection, tenant: str, rows: Sequence[Chunk]) -> None:
        """The chunks, given as they were added, are not found any more."""
        ...

    def purge(self, conn: sa.Connection) -> None:
        """Nothing of what was unindexed is left in the text index, not even in parts that only await clean-up."""
        ...

    def matching(
        self,
        conn: sa.Connection,
        wording: Wording,
        weights: Mapping[str, float],
        usual: float,
        bounds: Bounds,
        k: int,
    ) -> list[tuple[int, float]]:
        """The best `k` chunks that hold any of the terms: their numbers and BM25 scores, higher is better.

        `weights` are the terms with their inverse document frequencies, `usual` is how many terms a chunk mostly has.
        Where a great many hold one, an engine may score the newest of them alone.
        """
        ...

    def frequency(
        self, conn: sa.Connection, wording: Wording, terms: Sequence[str], most: int | None = None
    ) -> dict[str, int]:
        """In how many indexed chunks of the tenant each term occurs; it may stop counting at `most`."""
        ...
