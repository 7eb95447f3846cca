"""Statements of the append path: compiled once by SQLAlchemy, then given to the driver as they are.

An append runs seven of them; what SQLAlchemy does around each execution costs ten times the statement itself. It
still takes the long way while somebody listens to the engine's statements, so that a listener misses none.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    cursor = conn.connection.cursor()
    try:
        cursor.executemany(text, given)
    except conn.dialect.loaded_dbapi.Error as cause:
        raise _said_long(conn, text, cause) from cause
    finally:
        cursor.close()


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
    cursor = conn.connection.cursor()
    try:
        cursor.execute(text, given)
        return cursor.fetchall()
    except conn.dialect.loaded_dbapi.Error as cause:
        raise _said_long(conn, text, cause) from cause
    finally:
        cursor.close()


def heard(conn: sa.Connection) -> bool:
    """Whether somebody listens to the statements of this engine."""
    return bool(conn.engine.dispatch.before_cursor_execute)


def _said_long(conn: sa.Connection, text: str, cause: Exception) -> BaseException:
    """An error of the driver as SQLAlchemy's of the same name: what the long way would raise."""
    return exc.DBAPIError.instance(text, None, cause, conn.dialect.loaded_dbapi.Error, dialect=conn.dialect)
