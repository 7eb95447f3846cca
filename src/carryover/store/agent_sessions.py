"""The tables in which the OpenAI Agents SDK keeps sessions in a database of its user's: read, and never written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from carryover.core.clock import EARLIEST, LATEST, Time
from carryover.core.errors import Invalid
from carryover.store import foreign

TABLES = ("agent_messages", "sdk_agent_session_messages")  # what the SDK calls it, and what others do
_COLUMNS = {"id", "session_id", "message_data", "created_at"}
_FETCHED = 500  # rows that are held at once

Run = Callable[[sa.Select[*tuple[Any, ...]]], Iterator[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Kept:
    """A session as the table has it: how many rows, and the id of the newest."""

    session_id: str
    rows: int
    last: int


@dataclass(frozen=True, slots=True)
class Row:
    """One item as it was stored; `created_at` is None where the table says none that can be read."""

    id: int
    data: str
    created_at: Time | None


class AgentSessions:
    """An open table of items."""

    def __init__(self, table: str, run: Run) -> None:
        self.table = table
        self._run = run
        schema, _, name = table.rpartition(".")
        columns: list[sa.ColumnClause[Any]] = [sa.column(column) for column in sorted(_COLUMNS)]
        self._of = sa.table(name, *columns, schema=schema or None)

    def sessions(self) -> list[Kept]:
        """All sessions, the one that was begun first first."""
        of = self._of.c
        every = sa.select(of.session_id, sa.func.count(), sa.func.max(of.id)).group_by(of.session_id)
        return [Kept(*row) for row in self._run(every.order_by(sa.func.min(of.id)))]

    def rows(self, session_id: str, after: int = 0) -> Iterator[Row]:
        """The session's items whose ids are above `after`, in the order in which the SDK reads them."""
        of = self._of.c
        wanted = sa.select(of.id, of.message_data, of.created_at).where(of.session_id == session_id, of.id > after)
        for id, data, at in self._run(wanted.order_by(of.created_at, of.id)):
            yield Row(id, data if isinstance(data, str) else str(data), _moment(at))


@contextmanager
def opened(place: str, table: str | None = None) -> Generator[AgentSessions]:
    """The sessions in a SQLite file, or in the database that a URL names, as they are at one moment.

    Raises Invalid where there is no such database, table or driver.
    """
    url = _url(place)
    if url.get_backend_name() == "sqlite":
        with foreign.opened(_file(url)) as file:
            yield AgentSessions(_table(place, table, file.columns), lambda statement: _of_file(file, statement))
        return
    try:
        with _connected(url) as connection:
            found = sa.inspect(connection)

            def columns(name: str) -> list[str]:
                schema, _, own = name.rpartition(".")
                has = found.has_table(own, schema=schema or None)
                return [column["name"] for column in found.get_columns(own, schema=schema or None)] if has else []

            yield AgentSessions(
                _table(url.render_as_string(), table, columns), lambda statement: _of_server(connection, statement)
            )
    except ModuleNotFoundError as cause:
        raise Invalid(f"the driver of {url.drivername!r} is not installed ({cause.name}); install it") from cause
    except SQLAlchemyError as cause:
        said = str(cause).splitlines()[0]
        raise Invalid(f"{url.render_as_string()} cannot be read: {said}; check the URL") from cause


@contextmanager
def _connected(url: URL) -> Generator[sa.Connection]:
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            yield connection.execution_options(**_moment_of(engine))
    finally:
        engine.dispose()


def _url(place: str) -> URL:
    if "://" not in place:
        return URL.create("sqlite", database=place)
    try:
        url = make_url(place)
    except ArgumentError as cause:
        raise Invalid("the URL of the database cannot be read; write it as postgresql://user@host/name") from cause
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    return url


def _file(url: URL) -> Path:
    path = Path(url.database or "")
    if not path.is_file():
        raise Invalid(f"there is no file {str(path)!r}; name the SQLite file that the sessions are in")
    return path


def _table(place: str, named: str | None, columns: Callable[[str], list[str]]) -> str:
    wanted = (named,) if named else TABLES
    for name in wanted:
        if set(columns(name)) >= _COLUMNS:
            return name
    raise Invalid(
        f"{place} has no table {' or '.join(wanted)} with the columns {', '.join(sorted(_COLUMNS))}; "
        "name the one that holds the items with --table"
    )


def _moment_of(engine: sa.Engine) -> dict[str, Any]:
    """That all statements see one moment, where the database can be asked for that."""
    if engine.dialect.name == "postgresql":
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True, "yield_per": _FETCHED}
    return {"yield_per": _FETCHED}


def _of_server(connection: sa.Connection, statement: sa.Select[*tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    return (tuple(row) for row in connection.execute(statement))


def _of_file(file: foreign.Foreign, statement: sa.Select[*tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    compiled = statement.compile(dialect=sqlite.dialect())
    names: list[str] = getattr(compiled, "positiontup", None) or []
    return (tuple(row.values()) for row in file.rows(str(compiled), [compiled.params[name] for name in names]))


def _moment(value: Any) -> Time | None:
    """Milliseconds; what names no time zone is UTC, as the SDK's databases have it."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    at = int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)
    return at if EARLIEST <= at <= LATEST else None
