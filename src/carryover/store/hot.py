"""Statements of the append path: compiled once by SQLAlchemy, then given to the driver as they are.

An append runs seven of them; what SQLAlchemy does around each execution costs ten times the statement itself. It
still takes the long way while somebody listens to the engine's statements, so that a listener misses none.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc


@lru_cache(maxsize=64)
def _compiled(
    statement: Any, dialect: Any, names: tuple[str, ...]
) -> tuple[str, tuple[str, ...] | None, dict[str, Any]]:
    """Its text, the order of its parameters (None: by name), and those whose values stand in the statement itself."""
    made = statement.compile(dialect=dialect, column_keys=[name for name in names if name in statement.table.c])
    fixed = {name: value for name, value in made.params.items() if name not in names}
    return str(made), None if made.positiontup is None else tuple(made.positiontup), fixed


def write(conn: sa.Connection, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    """The insert was run once a row; every row names the same parameters, whose values the driver takes as they are.

    `statement` must be one that stays: a constant, or what a cache made.
    """
    text, order, fixed = _compiled(statement, conn.dialect, tuple(rows[0]))
    full = [{**fixed, **row} for row in rows] if fixed else rows
    given: Any = full if order is None else [tuple(row[name] for name in order) for row in full]
    if heard(conn):
        conn.exec_driver_sql(text, given if len(given) > 1 else given[0])
        return
    with closing(conn.connection.cursor()) as cursor, wrapped(conn, text):
        cursor.executemany(text, given)


@lru_cache(maxsize=64)
def _asked(statement: Any, dialect: Any) -> tuple[str, tuple[str, ...] | None]:
    made = statement.compile(dialect=dialect)
    return str(made), None if made.positiontup is None else tuple(made.positiontup)


def read(conn: sa.Connection, statement: Any, asked: dict[str, Any]) -> Sequence[Any]:
    """The rows that the query finds; all its parameters are named in `asked`."""
    text, order = _asked(statement, conn.dialect)
    given: Any = asked if order is None else tuple(asked[name] for name in order)
    if heard(conn):
        return conn.exec_driver_sql(text, given).all()
    with closing(conn.connection.cursor()) as cursor, wrapped(conn, text):
        cursor.execute(text, given)
        return cursor.fetchall()


def heard(conn: sa.Connection) -> bool:
    """Whether somebody listens to the statements of this engine."""
    return bool(conn.engine.dispatch.before_cursor_execute)


@contextmanager
def wrapped(conn: sa.Connection, text: str) -> Generator[None]:
    """An error of the driver leaves as SQLAlchemy's of the same name, as it would on the long way."""
    failures: Any = conn.dialect.loaded_dbapi.Error
    try:
        yield
    except failures as cause:
        raise exc.DBAPIError.instance(text, None, cause, failures, dialect=conn.dialect) from cause
