"""A connection that is given up rather than cancelled.

With synchronous replication, a COMMIT that is cancelled while it waits for the standby has happened on the primary
and nowhere else: whoever looks is told of a write that a fail-over takes back. So nothing here ever sends a cancel
request. A server that does not answer in time loses its connection, and the caller is told that the outcome is
unknown.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import Diagnostic
from psycopg.pq import TransactionStatus

PATIENCE_S = 10.0  # for the answer to one statement; a paused server would else hold its callers for ever
_CONNECT_S = 3  # for each host of the URL
_WARNING = "01000"


class Connection(psycopg.Connection[Any]):
    """PostgreSQL, one statement at a time."""

    patience_s: float | None = PATIENCE_S
    _committing = False
    _doubtful = False

    def wait(self, gen: Generator[Any, Any, Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, timeout or self.patience_s)
        except BaseException:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()  # the answer may still come, but nobody would know to what
            raise

    def cancel_safe(self, *, timeout: float = 30.0) -> None:
        """The wait was interrupted, by Ctrl+C for one: nothing is cancelled, the connection is given up."""
        self.pgconn.finish()

    def commit(self) -> None:
        """The transaction is on disk, here and on the standby that the server waits for.

        Raises OperationalError when the server gave up waiting for the standby: then nobody knows.
        """
        if self.pgconn.transaction_status == TransactionStatus.INERROR:
            # COMMIT would roll back and say nothing.
            raise psycopg.errors.InFailedSqlTransaction("a statement of this transaction failed before its commit")
        self._committing, self._doubtful = True, False
        try:
            super().commit()
        finally:
            self._committing = False
        if self._doubtful:
            raise psycopg.OperationalError("the server stopped waiting for its standby")

    def _noticed(self, notice: Diagnostic) -> None:
        # Somebody cancelled the wait on the server: COMMIT then succeeds with a warning.
        self._doubtful = self._doubtful or (self._committing and notice.sqlstate == _WARNING)


def connect(uri: str) -> Connection:
    """A connection to the first host of the URI that takes writes, unless the URI says otherwise."""
    named = conninfo_to_dict(uri)
    defaults: dict[str, Any] = {
        "connect_timeout": _CONNECT_S,
        "target_session_attrs": "read-write",
        "application_name": "carryover",
        # A peer that is gone without a word is noticed by the kernel as well.
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
    }
    missing = {name: value for name, value in defaults.items() if name not in named}
    # BEGIN is ours (`postgres.enter`). No prepared statements: a pooler hands each transaction to another session.
    opened = Connection.connect(uri, autocommit=True, prepare_threshold=None, **missing)
    opened.add_notice_handler(opened._noticed)  # pyright: ignore[reportPrivateUsage]
    return opened
