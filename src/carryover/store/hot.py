"""Statements of the append path: compiled once by SQLAlchemy, then given to the driver as they are.

An append runs seven of them; what SQLAlchemy does around each execution costs ten times the statement itself. It
still takes the long way while somebody listens to the engine's statements, so that a listener misses none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
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
    names = tuple(rows[0])
    if len(rows) > 1 and conn.dialect.name == "postgresql":
        for text, given in _by_arrays(conn.dialect, statement, names, rows):
            _run(conn, text, [given])
        return
    text, order, fixed = _compiled(statement, conn.dialect, names)
    full = [{**fixed, **row} for row in rows] if fixed else rows
    each: list[Any] = list(full) if order is None else [tuple(row[name] for name in order) for row in full]
    _run(conn, text, each)


def _run(conn: sa.Connection, text: str, given: Sequence[Any]) -> None:
    """The statement was run, once for each set of parameters."""
    if heard(conn):
        conn.exec_driver_sql(text, list(given) if len(given) > 1 else given[0])
        return
    cursor = conn.connection.cursor()
    try:
        if len(given) > 1:
            cursor.executemany(text, given)
        else:
            cursor.execute(text, given[0])
    except conn.dialect.loaded_dbapi.Error as cause:
        raise _said_long(conn, text, cause) from cause
    finally:
        cursor.close()


def _by_arrays(
    dialect: Any, statement: Any, names: tuple[str, ...], rows: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """All rows by one statement, a column an array: the server plans it once and answers once.

    A parameter that is no column is said once a statement, so rows that differ in one go apart.
    """
    columns = [name for name in names if name in statement.table.c]
    beside = [name for name in names if name not in statement.table.c]
    text, fixed = _unnested(statement, dialect, names)
    alike: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        alike.setdefault(tuple(row[name] for name in beside), []).append(row)
    for said, group in alike.items():
        arrays = {name: [row[name] for row in group] for name in columns}
        yield text, {**fixed, **arrays, **dict(zip(beside, said, strict=True))}


@lru_cache(maxsize=64)
def _unnested(statement: Any, dialect: Any, names: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """The insert with arrays in place of its values, and the parameters whose values stand in the statement."""
    text, _, fixed = _compiled(statement, dialect, names)
    head, values, rest = re.split(r" VALUES (\(.*?\))(?= ON CONFLICT|$)", text, maxsplit=1)
    inserted = re.findall(r"%\((\w+)\)s", values)
    types = (statement.table.c[name].type.compile(dialect=dialect) for name in inserted)
    arrays = ", ".join(f"%({name})s::{type}[]" for name, type in zip(inserted, types, strict=True))
    return f"{head} SELECT * FROM unnest({arrays}){rest}", fixed


@lru_cache(maxsize=64)
def _asked(statement: Any, dialect: Any) -> tuple[str, tuple[str, ...] | None, dict[str, Any]]:
    """Its text, the order of its parameters (None: by name), and those whose values stand in the statement itself."""
    made = statement.compile(dialect=dialect)
    fixed = {name: value for name, value in made.params.items() if value is not None}
    return str(made), None if made.positiontup is None else tuple(made.positiontup), fixed


def listed(engine: str, column: Any, name: str) -> sa.ColumnElement[bool]:
    """The column is one of a list that `read` is given under the name: one parameter, however many they are."""
    given: sa.BindParameter[Any] = sa.bindparam(name)
    if engine == "postgresql":
        return column == sa.any_(given)
    return column.in_(sa.select(sa.func.json_each(given).table_valued("value").c.value))


def read(conn: sa.Connection, statement: Any, asked: dict[str, Any]) -> Sequence[Any]:
    """The rows that the query finds; what it leaves open is named in `asked`, lists among it (`listed`).

    `statement` must be one that stays: a constant, or what a cache made.
    """
    text, order, fixed = _asked(statement, conn.dialect)
    asked = fixed | asked
    if conn.dialect.name == "sqlite":
        asked = {name: json.dumps(value) if isinstance(value, list) else value for name, value in asked.items()}
    return rows(conn, text, asked if order is None else tuple(asked[name] for name in order))


def rows(conn: sa.Connection, text: str, given: Any) -> Sequence[Any]:
    """The rows that a query in the driver's own words finds."""
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


@contextmanager
def together(conn: sa.Connection) -> Generator[None]:
    """Statements inside that answer nothing are sent without waiting for each other, where the driver can do that.

    They were all run when the block is left.
    """
    driver: Any = conn.connection.driver_connection
    if heard(conn) or not hasattr(driver, "pipeline"):
        yield
        return
    try:
        with driver.pipeline():
            yield
    except conn.dialect.loaded_dbapi.Error as cause:
        raise _said_long(conn, "", cause) from cause


def heard(conn: sa.Connection) -> bool:
    """Whether somebody listens to the statements of this engine."""
    return bool(conn.engine.dispatch.before_cursor_execute)


def _said_long(conn: sa.Connection, text: str, cause: Exception) -> BaseException:
    """An error of the driver as SQLAlchemy's of the same name: what the long way would raise."""
    driver = conn.connection.driver_connection
    return exc.DBAPIError.instance(
        text,
        None,
        cause,
        conn.dialect.loaded_dbapi.Error,
        connection_invalidated=bool(getattr(driver, "closed", False)),
        dialect=conn.dialect,
    )
