"""News by way of PostgreSQL's own LISTEN and NOTIFY, where there is no Redis.

Never within the transaction that it tells of: a transaction that notifies holds one lock of the whole database while
it commits, so that all of them would commit one after the other. The teller has a connection and transactions of its
own, and tells of many commits at once. Behind a pooler that deals out sessions by transaction nothing is heard.
"""

from __future__ import annotations

import base64
import logging
import time

import psycopg

from carryover.store.postgres_connection import Connection, connect

logger = logging.getLogger(__name__)

CHANNEL = "carryover_news"
_LONGEST = 7_900  # characters of a payload
_EVERYWHERE = b'["", [], [], true]'  # stands for an entry that is too long: look everywhere
_REST_S = 0.02  # between two notifications of one process
_BLOCK_S = 0.25


class PostgresChannel:
    """Two connections to the database, one for each direction."""

    def __init__(self, url: str) -> None:
        self._uri = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._telling: Connection | None = None
        self._hearing: Connection | None = None

    @property
    def away(self) -> bool:
        return self._hearing is None

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        return (psycopg.Error,)

    def tell(self, entry: bytes) -> bool:
        payload = base64.b64encode(entry).decode()
        if len(payload) > _LONGEST:
            payload = base64.b64encode(_EVERYWHERE).decode()
        try:
            self._telling = self._telling or connect(self._uri)
            self._telling.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
        except psycopg.Error as cause:
            logger.debug("news could not be told: %s", cause)
            self._telling = _closed(self._telling)
            return False
        time.sleep(_REST_S)
        return True

    def join(self) -> None:
        self._hearing = _closed(self._hearing)
        opened = connect(self._uri)
        try:
            opened.execute(f"LISTEN {CHANNEL}")
        except psycopg.Error:
            opened.close()
            raise
        self._hearing = opened

    def heard(self) -> list[bytes]:
        if self._hearing is None:
            return []
        told = self._hearing.notifies(timeout=_BLOCK_S, stop_after=1)
        return [base64.b64decode(notice.payload) for notice in told]

    def failed(self, cause: Exception) -> None:
        logger.debug("news cannot be heard: %s", cause)
        self._hearing = _closed(self._hearing)

    def close(self) -> None:
        self._telling, self._hearing = _closed(self._telling), _closed(self._hearing)


def _closed(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()
