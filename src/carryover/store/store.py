"""Opening a store, and the transactions in which everything happens."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from carryover.core.clock import SystemClock
from carryover.core.errors import CarryoverError, Invalid, StoreUnavailable
from carryover.core.ports import Clock
from carryover.core.scope import Scope
from carryover.store import migrate
from carryover.store.dialect import Dialect
from carryover.store.sqlite import Sqlite

DIALECTS: dict[str, Callable[[], Dialect]] = {"sqlite": Sqlite}


@dataclass(frozen=True, slots=True)
class Tx:
    """One transaction, in one scope, at one moment; the first argument of every function of the store."""

    conn: sa.Connection
    dialect: Dialect
    scope: Scope
    now: int

    @property
    def tenant(self) -> str:
        return self.scope.tenant

    def within(self, scope: Scope) -> Tx:
        """The same transaction seen from another scope: one commit may serve several tenants."""
        return replace(self, scope=scope)

    def insert(self, table: sa.Table) -> Any:
        return self.dialect.insert(table)


class Store:
    """A database, open. Close it, or leave its `with`."""

    def __init__(self, url: str, dialect: Dialect, engine: sa.Engine, clock: Clock) -> None:
        self.url = url
        self.dialect = dialect
        self.clock = clock
        self.engine = engine
        # One writer at a time in this process, in turn: without it writers would poll the database's own lock.
        self._writing = threading.Lock()
        self._writer: sa.Connection | None = None
        self._watching = threading.Lock()
        self._watcher: Any = None  # a connection that never writes, and so sees the changes of all others
        # Called after each commit of this process, in the thread that made it: they must be quick and not raise.
        self.listeners: list[Callable[[], None]] = []

    @classmethod
    def open(cls, url: str, *, clock: Clock | None = None, upgrade: bool = True) -> Store:
        """The store at `url` (`sqlite:///path`), its schema brought up to date.

        Raises Invalid for a URL that cannot be, StoreUnavailable when the database cannot be opened.
        """
        name = url.partition(":")[0].partition("+")[0]
        if name not in DIALECTS:
            raise Invalid(
                f"database_url {url.partition('@')[2] or url!r} is of no known engine; "
                f"begin it with one of: {', '.join(DIALECTS)}",
                field="database_url",
            )
        dialect = DIALECTS[name]()
        try:
            engine = dialect.engine(url)
        except exc.ArgumentError as cause:
            raise Invalid(
                f"database_url {url!r} is no URL ({cause}); write it as sqlite:///path", field="database_url"
            ) from cause
        store = cls(url, dialect, engine, clock or SystemClock())
        try:
            with guarded():
                if upgrade:
                    migrate.upgrade(store.engine, dialect)
                else:
                    migrate.require_current(store.engine)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """All connections are closed; the store cannot be used afterwards."""
        with self._writing:
            self._drop_writer()
        with self._watching:
            if self._watcher is not None:
                self._watcher.close()
                self._watcher = None
        self.engine.dispose()

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.invalidate()  # whatever state it is in, nobody gets it again
            self._writer.close()
            self._writer = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def read(self, scope: Scope) -> Generator[Tx]:
        """One consistent view of the database; nothing is changed."""
        with guarded(), self.engine.connect() as conn, conn.begin():
            yield Tx(conn, self.dialect, scope, self.clock.now())

    def generation(self) -> int | None:
        """A number that is another once anything in the database has changed, whoever changed it.

        None where the engine cannot say. It costs a few microseconds; what was read after it was asked for is still
        true while it stays the same.
        """
        with self._watching, guarded():
            if self._watcher is None:
                self._watcher = self.engine.raw_connection()
            with closing(self._watcher.cursor()) as cursor:
                return self.dialect.generation(cursor)

    def settle(self) -> None:
        """After an erasure: no file of the database holds what was erased, unless readers were too busy just now.

        Upkeep does it again every hour.
        """
        with self._writing, guarded():
            conn = self.engine.raw_connection()
            try:
                with closing(conn.cursor()) as cursor:
                    self.dialect.settle(cursor)
            finally:
                conn.close()

    @contextmanager
    def write(self, scope: Scope) -> Generator[Tx]:
        """All that is written inside is on disk when the block is left, or none of it if it raises."""
        with self._writing, guarded():
            conn = self._writer = self._writer or self.engine.connect().execution_options(writing=True)
            try:
                with conn.begin():
                    yield Tx(conn, self.dialect, scope, self.clock.now())
            except CarryoverError:
                raise  # a refusal of ours: the transaction was rolled back in order
            except BaseException:
                self._drop_writer()
                raise
        for listener in self.listeners:
            listener()


@contextmanager
def guarded() -> Generator[None]:
    """Errors of the database's driver leave as StoreUnavailable, with what to do about them."""
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as cause:
        if isinstance(cause, (exc.IntegrityError, exc.ProgrammingError, exc.DataError)):
            raise
        reason = str(getattr(cause, "orig", None) or cause)
        raise StoreUnavailable(
            f"the database could not do it ({reason}); nothing was saved, {_remedy(reason)}", retry_after=1
        ) from cause
    except sqlite3.Error as cause:
        raise StoreUnavailable(
            f"the database could not do it ({cause}); nothing was saved, {_remedy(str(cause))}", retry_after=1
        ) from cause


_REMEDIES = {
    "full": "free some disk space and retry",
    "locked": "another process is writing; retry",
    "unable to open": "check that the folder exists and can be written",
    "readonly": "check the permissions of the file and its folder",
    "malformed": "restore the file from a backup, or run `carryover db check`",
    "not a database": "choose another path: this file is not a carryover database",
}


def _remedy(reason: str) -> str:
    return next((remedy for sign, remedy in _REMEDIES.items() if sign in reason), "retry")
