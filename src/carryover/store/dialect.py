"""What differs between databases, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from carryover.core.chunk import Chunk, ChunkKind


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which chunks of a tenant a search admits: `since` <= created_at < `before`; None admits all."""

    agent: str | None = None
    user: str | None = None
    session: str | None = None
    kinds: tuple[ChunkKind, ...] | None = None
    since: int | None = None
    before: int | None = None


class Dialect(Protocol):
    """One database engine."""

    name: str

    def engine(self, url: str) -> sa.Engine:
        """An engine whose commits are on disk when they return.

        A transaction of a connection with the execution option `writing` excludes other writers from its first
        statement on, so that what it reads stays true until it commits.
        """
        ...

    def generation(self, cursor: Any) -> int | None:
        """A number that the driver's cursor sees change once another connection has changed anything.

        None where the engine cannot say.
        """
        ...

    def settle(self, cursor: Any) -> None:
        """What was erased leaves the files that the engine writes ahead of the database, unless it is too busy now."""
        ...

    def prepare(self, conn: sa.Connection) -> None:
        """The text index and the trigger that keeps turns from being updated; may run twice."""
        ...

    def insert(self, table: sa.Table) -> Any:
        """An insert with `on_conflict_do_update` and `on_conflict_do_nothing`."""
        ...

    def allocate(self, conn: sa.Connection, count: int) -> int:
        """The first of `count` fresh chunk numbers, which grow and are never used twice in the database."""
        ...

    def index(self, conn: sa.Connection, tenant: str, rows: Sequence[Chunk]) -> None:
        """The chunks are found by their `terms`, under this tenant alone."""
        ...

    def unindex(self, conn: sa.Connection, tenant: str, rows: Sequence[Chunk]) -> None:
        """The chunks, given as they were added, are not found any more."""
        ...

    def purge(self, conn: sa.Connection) -> None:
        """Nothing of what was unindexed is left in the text index, not even in parts that only await clean-up."""
        ...

    def matching(
        self, conn: sa.Connection, tenant: str, terms: Sequence[str], bounds: Bounds, k: int
    ) -> list[tuple[int, float]]:
        """The best `k` chunks that hold any of the terms: their numbers and BM25 scores, higher is better."""
        ...

    def frequency(self, conn: sa.Connection, tenant: str, terms: Sequence[str]) -> dict[str, int]:
        """In how many indexed chunks of the tenant each term occurs."""
        ...
