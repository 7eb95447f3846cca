"""Turns are inserted and read, never updated."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

import carryover
from carryover.core.scope import Scope
from carryover.core.session import Draft
from carryover.store import turns
from carryover.store.store import Store
from carryover.store.tables import turns as table
from logbook import Book

_CHANGES = re.compile(r"\bUPDATE\s+\"?turns\b|\bREPLACE\s+INTO\s+\"?turns\b", re.IGNORECASE)
_UPSERTS = re.compile(r"\bINTO\s+\"?turns\b.*\bDO\s+UPDATE\b", re.IGNORECASE | re.DOTALL)


def _refuse_changes(_c: Any, _cursor: Any, statement: str, _p: Any, context: Any, _m: bool) -> None:
    if context is not None and context.execution_options.get("tries_the_trigger"):
        return
    if _CHANGES.search(statement) or _UPSERTS.search(statement):
        raise AssertionError(f"turns are never updated: {statement}")


# From the moment this file is collected: every statement that any test of the suite executes is looked at.
sa.event.listen(sa.Engine, "before_cursor_execute", _refuse_changes)


@pytest.fixture
def book(store: Store) -> Book:
    return Book(store)


@pytest.mark.parametrize("column", [column.name for column in table.columns])
def test_the_database_itself_refuses_to_change_a_turn(book: Book, column: str) -> None:
    book.append("s", "one")
    change = table.update().where(table.c.tenant == "acme").values({column: table.c[column]})
    with pytest.raises(exc.DBAPIError, match="turns are never updated"), book.store.write(Scope("acme")) as tx:
        tx.conn.execute(change, execution_options={"tries_the_trigger": True})


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE turns SET role = 'x'",
        'UPDATE "turns" SET role = 1',
        "INSERT INTO turns (seq) VALUES (1) ON CONFLICT DO UPDATE SET seq = 2",
    ],
)
def test_the_suite_notices_a_statement_that_would(statement: str) -> None:
    with pytest.raises(AssertionError):
        _refuse_changes(None, None, statement, None, None, False)


def test_no_source_says_update_of_turns() -> None:
    found: list[str] = []
    for path in Path(next(iter(carryover.__path__))).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "update" and isinstance(node.value, ast.Name):
                found += [f"{path.name}:{node.lineno}"] if node.value.id in ("turns", "bodies") else []
    assert found == []


def test_reading_by_place(book: Book) -> None:
    book.append("s", *(f"turn {n}" for n in range(1, 8)))
    book.append("other", "elsewhere")
    with book.store.read(book.scope) as tx:
        assert [t.seq for t in turns.after(tx, "default", "s", 2, 3)] == [3, 4, 5]
        assert [t.seq for t in turns.after(tx, "default", "s", 7, 3)] == []
        assert [t.seq for t in turns.last(tx, "default", "s", 2)] == [6, 7]
        assert [t.seq for t in turns.last(tx, "default", "s", 100)] == [1, 2, 3, 4, 5, 6, 7]
        assert [t.content for t in turns.between(tx, "default", "s", 2, 3)] == ["turn 2", "turn 3"]
        assert turns.last(tx, "default", "unknown", 3) == []
    with book.store.read(Scope("other-tenant")) as tx:
        assert turns.after(tx, "default", "s", 0, 10) == []


def test_keys_are_found_however_many_there_are(book: Book) -> None:
    many = [f"key {n}" for n in range(2500)]
    book.append("s", *(Draft("user", key, idempotency_key=key) for key in many))
    book.append("other", Draft("user", "x", idempotency_key="key 7"))
    with book.store.read(book.scope) as tx:
        asked = [("default", "s", key) for key in [*many, "unknown"]] + [("default", "other", "key 7")]
        found = turns.keyed(tx, asked)
        assert len(found) == 2501
        assert found["default", "s", "key 2499"][0] == 2500
        assert found["default", "other", "key 7"][0] == 1
        assert turns.keyed(tx, []) == {}
