"""Opening a store, and the transactions in which everything happens."""

from __future__ import annotations

import importlib
import random
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import ConnectionPoolEntry

from carryover.core import telemetry
from carryover.core.clock import OffsetClock
from carryover.core.errors import CarryoverError, Invalid, KeyLost, StoreUnavailable
from carryover.core.ports import Clock
from carryover.core.scope import Scope
from carryover.store import faults, migrate
from carryover.store.dialect import Dialect
from carryover.store.faults import guarded
from carryover.store.marked import Seals, is_sealed, readable, said
from carryover.store.news import Change
from carryover.store.tables import secrets

# Loaded when a URL names them: the driver of one is no business of those who use another.
DIALECTS = {
    "sqlite": ("carryover.store.sqlite", "Sqlite"),
    "postgresql": ("carryover.store.postgres", "Postgres"),
}
SEALING = "sealing"  # the row of `secrets` that says that new sessions are sealed
POOL = 16  # connections that a process keeps open
# How long to wait before a transaction that was undone is run again; then its caller is told.
_PAUSES_S = (0.005, 0.02, 0.1, 0.4)

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Tx:
    """One transaction, in one scope, at one moment; the first argument of every function of the store."""

    conn: sa.Connection
    dialect: Dialect
    scope: Scope
    now: int
    writing: bool = False
    sealing: Seals | None = None  # None: nothing is sealed, and nothing sealed can be read
    index: Literal["none", "hashed", "plain"] = "hashed"  # how text indexes are to say words
    # What the commit will set in motion: streams (tenant, agent) that go on, and kinds of jobs to run now.
    streams: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    due: set[str] = field(default_factory=set[str])

    @property
    def tenant(self) -> str:
        return self.scope.tenant

    def within(self, scope: Scope) -> Tx:
        """The same transaction seen from another scope: one commit may serve several tenants."""
        if scope.tenant != self.scope.tenant:
            self.dialect.widen(self.conn)
        return replace(self, scope=scope)

    def insert(self, table: sa.Table) -> Any:
        return self.dialect.insert(table)

    def new_key(self) -> bytes | None:
        """The id of a key for what begins now; None where nothing is sealed. Raises KeyLost when none can be made."""
        return self._sealing.draw(self.tenant) if self.seals else None

    @property
    def seals(self) -> bool:
        """Whether what begins now is sealed."""
        if self.sealing is None or not self.sealing.wanted:
            return False
        if not self.sealing.begun:
            found = self.conn.execute(sa.select(secrets.c.name).where(secrets.c.name == SEALING)).first()
            self.sealing.begun = found is not None
        return self.sealing.begun

    def closed(self, key: bytes | None, place: str, text: str) -> str:
        """The text as it is kept in this place: sealed with the key of this id, or readable. What is empty stays so."""
        if key is None or not text:
            return readable(text)
        return self._sealing.sealed(self.tenant, key, place, text.encode("utf-8", "surrogatepass"))

    def opened(self, place: str, kept: str) -> str | None:
        """The text that is kept in this place; None where its key was dropped: it is erased.

        Raises KeyLost when the key should be there and is not, DataLoss for what is damaged.
        """
        return self.opened_all([(place, kept)])[0]

    def opened_all(self, records: Sequence[tuple[str, str]]) -> list[str | None]:
        """The same for many, of each its place and what is kept there; the keyring is asked once."""
        sealed = [record for record in records if is_sealed(record[1])]
        if not sealed:
            return [said(kept) for _, kept in records]
        found = iter(self._sealing.opened(self.tenant, sealed))
        return [_text(next(found)) if is_sealed(kept) else said(kept) for _, kept in records]

    def hashed(self, key: bytes | None, text: str) -> str:
        """What two equal texts have in common, and without the key tells nobody which text it is."""
        return text if key is None or not text else self._sealing.hashed(key, text)

    @property
    def _sealing(self) -> Seals:
        if self.sealing is None:
            raise KeyLost("what is kept here is sealed, and no keyring was opened with it; open it by its settings")
        return self.sealing


class Store:
    """A database, open. Close it, or leave its `with`."""

    def __init__(self, url: str, dialect: Dialect, engine: sa.Engine, clock: Clock | None) -> None:
        self.url = url
        self.dialect = dialect
        self.engine = engine
        # Unless it is told a clock, a store goes by its database's: processes on several machines then agree.
        self._database_clock: OffsetClock | None = None
        if clock is None:
            clock = self._database_clock = OffsetClock()
        self.clock = clock
        # Where one transaction may write at a time: one writer of this process after the other, on a connection that
        # stays. Without it writers would poll the database's own lock.
        self._turn: AbstractContextManager[Any] = nullcontext() if dialect.concurrent else threading.Lock()
        self._writer: sa.Connection | None = None
        self._watching = threading.Lock()
        self._watcher: Any = None  # a connection that never writes, and so sees the changes of all others
        # Called after each commit of this process, in the thread that made it: they must be quick and not raise.
        self.listeners: list[Callable[[Change], None]] = []
        self.sealing: Seals | None = None  # of what is kept of sessions; closed with the store
        self.index: Literal["none", "hashed", "plain"] = "hashed"

    @classmethod
    def open(cls, url: str, *, clock: Clock | None = None, upgrade: bool = True, pool: int = POOL) -> Store:
        """The store at `url` (`sqlite:///path`, `postgresql://user@host/database`), its schema brought up to date.

        Without `upgrade` the schema is left alone, and has to be one that this program may work with. Raises Invalid
        for a URL that cannot be, StoreUnavailable when the database cannot be opened.
        """
        store = cls.at(url, clock=clock, pool=pool)
        try:
            with guarded():
                if upgrade:
                    migrate.upgrade(store.engine, store.dialect)
                else:
                    migrate.require_current(store.engine, store.dialect)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def at(cls, url: str, *, clock: Clock | None = None, pool: int = POOL) -> Store:
        """The store at `url`, whatever its schema is; nothing was asked of the database yet.

        Raises Invalid for a URL that cannot be.
        """
        dialect = _dialect(url)
        try:
            engine = dialect.engine(url, pool)
        except exc.ArgumentError as cause:
            raise Invalid(
                f"database_url {url!r} is no URL ({cause}); write it as sqlite:///path", field="database_url"
            ) from cause
        return cls(url, dialect, engine, clock)

    def close(self) -> None:
        """All connections are closed; the store cannot be used afterwards."""
        if self.sealing is not None:
            self.sealing.close()
        with self._turn:
            if self._writer is not None:
                self._give_up(self._writer)
        with self._watching:
            if self._watcher is not None:
                self._watcher.close()
                self._watcher = None
        # What another thread still uses is closed when it gives it back: the pool that it goes to is nobody's by then.
        event.listen(self.engine.pool, "checkin", _close_late)
        self.engine.dispose()

    def reopen(self, engine: sa.Engine) -> None:
        """The same database by way of another engine; nobody uses the store meanwhile."""
        self.close()
        self.engine = engine

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def read(self, scope: Scope) -> Generator[Tx]:
        """One consistent view of the database; nothing is changed."""
        with telemetry.span("transaction", mode="read"), guarded(), self._transaction(scope, writing=False) as tx:
            yield tx

    @property
    def clock_ahead_ms(self) -> int:
        """By how much the database's clock was ahead of this machine's when it last told the time."""
        return 0 if self._database_clock is None else self._database_clock.ahead_ms

    def generation(self) -> int | None:
        """A number that is another once anything in the database has changed, whoever changed it.

        None where the engine cannot say. It costs a few microseconds; what was read after it was asked for is still
        true while it stays the same.
        """
        if self.dialect.concurrent:
            return None
        with self._watching, guarded():
            if self._watcher is None:
                self._watcher = self.engine.raw_connection()
            with closing(self._watcher.cursor()) as cursor:
                return self.dialect.generation(cursor)

    def settle(self) -> None:
        """After an erasure: no file of the database holds what was erased, unless readers were too busy just now.

        Upkeep does it again every hour.
        """
        self._tend(self.dialect.settle)

    def rewrite(self) -> bool:
        """No page of the database's files holds what is gone; False where that would take too long, or others write."""
        return self._tend(self.dialect.rewrite)

    def shrink(self) -> None:
        """After much was dropped: the files of the database become smaller, where that is quickly done."""
        self._tend(self.dialect.shrink)

    def _tend(self, do: Callable[[Any], Made]) -> Made:
        with self._turn, guarded():
            conn = self.engine.raw_connection()
            try:
                with closing(conn.cursor()) as cursor:
                    return do(cursor)
            finally:
                conn.close()

    @contextmanager
    def write(self, scope: Scope) -> Generator[Tx]:
        """All that is written inside is on disk when the block is left, or none of it if it raises.

        Raises StoreUnavailable with the fact `unknown` when the database did not say which of the two.
        """
        told = telemetry.span("transaction", mode="write")
        with self._turn, told, guarded(), self._transaction(scope, writing=True) as tx:
            yield tx
        change = Change(frozenset(tx.streams), frozenset(tx.due))
        for listener in self.listeners:
            listener(change)

    def transact(self, scope: Scope, work: Callable[[Tx], Made]) -> Made:
        """What `work` answers, once all that it wrote is on disk; it is run again where it was undone in passing.

        This is the one place that tries again: after a deadlock, two that began the same thing, a connection that
        broke before the commit was sent. `work` must do nothing but write to its transaction. A commit whose outcome
        is unknown is not repeated.
        """
        for pause_s in _PAUSES_S:
            try:
                with self.write(scope) as tx:
                    return work(tx)
            except (StoreUnavailable, exc.IntegrityError) as failure:
                if not faults.is_passing(failure):
                    raise
            telemetry.count("transactions_retried")
            time.sleep(pause_s * random.uniform(0.5, 1.5))
        with self.write(scope) as tx:
            return work(tx)

    @contextmanager
    def _transaction(self, scope: Scope, *, writing: bool) -> Generator[Tx]:
        conn, transaction, now = self._begin(scope, writing)
        try:
            yield Tx(conn, self.dialect, scope, now, writing, self.sealing, self.index)
        except CarryoverError:
            self._take_back(conn, transaction)
            raise
        except BaseException:
            self._give_up(conn)
            raise
        try:
            transaction.commit()
        except BaseException as cause:
            self._give_up(conn)
            if writing and self.dialect.concurrent and faults.is_unknown(cause):
                raise faults.unknown(cause) from cause
            raise
        self._give_back(conn)

    def _begin(self, scope: Scope, writing: bool) -> tuple[sa.Connection, sa.RootTransaction, int]:
        """A connection with an open transaction, and the moment that it goes by."""
        try:
            return self._enter(scope, writing)
        except exc.DBAPIError as cause:
            if not cause.connection_invalidated:
                raise
        # It lay in the pool when its server went away, and nothing was done on it. The others are made anew as well.
        return self._enter(scope, writing)

    def _enter(self, scope: Scope, writing: bool) -> tuple[sa.Connection, sa.RootTransaction, int]:
        conn = self._connection(writing)
        try:
            transaction = conn.begin()
            theirs = self.dialect.enter(conn, scope.tenant, writing=writing)
        except BaseException:
            self._give_up(conn)
            raise
        if theirs is None or self._database_clock is None:
            return conn, transaction, self.clock.now()
        self._database_clock.set(theirs)
        return conn, transaction, theirs

    def _connection(self, writing: bool) -> sa.Connection:
        if not writing or self.dialect.concurrent:
            return self.engine.connect()
        self._writer = self._writer or self.engine.connect()
        return self._writer

    def _take_back(self, conn: sa.Connection, transaction: sa.RootTransaction) -> None:
        """Nothing of it was done. After a refusal of ours the connection is mostly in order."""
        try:
            transaction.rollback()
        except exc.DBAPIError:
            self._give_up(conn)
        else:
            self._give_back(conn)

    def _give_back(self, conn: sa.Connection) -> None:
        if conn is not self._writer:
            conn.close()

    def _give_up(self, conn: sa.Connection) -> None:
        """Whatever state the connection is in, nobody gets it again."""
        with suppress(exc.SQLAlchemyError):
            conn.invalidate()
        conn.close()
        if conn is self._writer:
            self._writer = None


def _text(plain: bytes | None) -> str | None:
    return None if plain is None else plain.decode("utf-8", "surrogatepass")


def _dialect(url: str) -> Dialect:
    name = url.partition(":")[0].partition("+")[0]
    if name not in DIALECTS or "://" not in url.replace("sqlite:", "sqlite://", 1):
        raise Invalid(
            f"database_url {url.partition('@')[2] or url!r} is of no known engine; "
            f"begin it with one of: {', '.join(DIALECTS)}",
            field="database_url",
        )
    module, kind = DIALECTS[name]
    try:
        return getattr(importlib.import_module(module), kind)()
    except ModuleNotFoundError as cause:
        if (cause.name or "").partition(".")[0] == "carryover":
            raise
        raise Invalid(
            f"database_url names {name}, whose driver is not installed; run `pip install 'carryover-memory[postgres]'`",
            field="database_url",
        ) from cause


def _close_late(_connection: object, entry: ConnectionPoolEntry) -> None:
    entry.close()
