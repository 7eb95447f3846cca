"""Closing a store that is in use."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from carryover.core.scope import Scope
from carryover.store.store import Store


def test_what_another_thread_still_uses_is_closed_when_it_is_given_back(database_url: str) -> None:
    store = Store.open(database_url)
    begun, go = threading.Event(), threading.Event()
    used: list[Any] = []

    def use() -> None:
        with store.read(Scope("acme")) as tx:
            used.append(tx.conn.connection.dbapi_connection)
            begun.set()
            go.wait()

    reader = threading.Thread(target=use)
    reader.start()
    begun.wait()
    store.close()
    go.set()
    reader.join()
    with pytest.raises(Exception, match="closed"):
        used[0].execute("SELECT 1")
