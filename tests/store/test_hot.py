"""The short way to the driver does what the long way does, faults included."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from carryover.core.scope import Scope
from carryover.store import hot, sessions
from carryover.store.store import Store
from carryover.store.tables import counters
from logbook import Book

ACME = Scope("acme")


@pytest.fixture(params=[True, False], ids=["long", "short"])
def heard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(hot, "heard", lambda _conn: request.param)
    return request.param


def test_an_append_reads_and_writes_the_same_either_way(store: Store, heard: bool) -> None:
    book = Book(store)
    book.append("s", "one", "two")
    book.append("s", "three")
    assert [turn.content for turn in book.turns("s")] == ["one", "two", "three"]
    with store.read(ACME) as tx:
        assert sessions.find(tx, [("a", "nobody")]) == {}


def test_a_refused_row_is_sqlalchemys_error_and_nothing_stays(store: Store, heard: bool) -> None:
    add = sa.insert(counters)
    row: dict[str, Any] = {"tenant": "acme", "name": "once", "value": 1}
    with pytest.raises(exc.IntegrityError), store.write(ACME) as tx:
        hot.write(tx.conn, add, [row, row])
    with store.read(ACME) as tx:
        found = sa.select(counters.c.value).where(counters.c.tenant == "acme", counters.c.name == "once")
        assert tx.conn.execute(found).all() == []


def test_values_of_the_statement_itself_are_given_with_each_row(store: Store, heard: bool) -> None:
    new = store.dialect.insert(counters)
    raised = new.on_conflict_do_update(index_elements=["tenant", "name"], set_={"value": counters.c.value + 41})
    with store.write(ACME) as tx:
        for _ in range(2):
            hot.write(tx.conn, raised, [{"tenant": "acme", "name": "n", "value": 1}])
        found = sa.select(counters.c.value).where(counters.c.tenant == "acme", counters.c.name == "n")
        assert tx.conn.execute(found).scalar_one() == 42
