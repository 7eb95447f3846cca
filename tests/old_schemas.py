"""Databases as programs of before left them: the schema of a revision, filled with what was really written."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from carryover.core.chunk import Chunk
from carryover.core.scope import EVERY_TENANT
from carryover.store import migrate, postgres_schema, sqlite
from carryover.store.dialect import Dialect
from carryover.store.store import Store
from carryover.store.tables import metadata

_NEWER = "audit"  # triggers are on a table that older schemas do not have


def make(url: str, revision: str, filled: Store) -> dict[str, list[str]]:
    """At `url`, which is empty, is the schema of this revision, with all that fits into it of the other database.

    The tables and their columns.
    """
    shape: dict[str, list[str]] = {}
    with Store.at(url) as store, store.engine.connect() as conn, conn.begin():
        store.dialect.enter(conn, EVERY_TENANT.tenant, writing=True)
        config = Config()
        config.set_main_option("script_location", str(migrate._SCRIPTS))
        config.attributes["connection"] = conn
        command.upgrade(config, revision)
        _prepare(store.dialect, conn)
        compatible = {"tenant": "*", "name": migrate.COMPATIBLE + revision, "value": int(revision)}
        there = set(sa.inspect(conn).get_table_names())
        for name in sorted(there & metadata.tables.keys()):
            table = sa.Table(name, sa.MetaData(), autoload_with=conn)
            shape[name] = [column.name for column in table.c]
            rows = _rows(filled, name, shape[name])
            if rows:
                conn.execute(table.insert(), rows)
        if "counters" in there:
            conn.execute(sa.insert(metadata.tables["counters"]), compatible)
        _index(filled, store.dialect, conn)
    return shape


def _prepare(dialect: Dialect, conn: sa.Connection) -> None:
    module: Any = sqlite if dialect.name == "sqlite" else postgres_schema
    newest = module._PREPARE
    try:
        module._PREPARE = tuple(
            statement for statement in newest if _NEWER not in statement and "audit_" not in statement
        )
        dialect.prepare(conn)
    finally:
        module._PREPARE = newest


def _rows(filled: Store, name: str, columns: list[str]) -> list[dict[str, Any]]:
    table = metadata.tables[name]
    wanted = sa.select(*(table.c[column] for column in columns))
    if name == "counters":
        wanted = wanted.where(table.c.tenant != "*")
    with filled.read(EVERY_TENANT) as tx:
        return [dict(row) for row in tx.conn.execute(wanted).mappings()]


def _index(filled: Store, dialect: Dialect, conn: sa.Connection) -> None:
    rows = _rows(filled, "chunks", [column.name for column in metadata.tables["chunks"].c])
    for row in rows:
        chunk = Chunk(**{_field(name): value for name, value in row.items() if name != "tenant"})
        dialect.index(conn, row["tenant"], [chunk])


def _field(column: str) -> str:
    return f"{column}_id" if column in ("agent", "session", "user") else column
