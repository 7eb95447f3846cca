"""Bringing the schema up to date; a database that is newer than this program is left alone."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from carryover.core.errors import StoreUnavailable
from carryover.store.dialect import Dialect
from carryover.store.tables import metadata

HEAD = "0001"  # the newest revision under `migrations/versions`; a test compares the two
_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(engine: sa.Engine, dialect: Dialect) -> None:
    """The schema is at HEAD. Two processes may do this at once: the second waits and finds nothing to do.

    Raises StoreUnavailable when the schema is newer than this program, or another program's.
    """
    with engine.connect() as conn, conn.begin():
        if current(conn) == HEAD:
            return
    with engine.connect().execution_options(writing=True) as conn, conn.begin():
        found = current(conn)
        if found == HEAD:
            return
        _refuse_newer(found)
        if found is None:
            _refuse_foreign(conn)
        _run(conn)
        dialect.prepare(conn)


def require_current(engine: sa.Engine) -> None:
    """Raises StoreUnavailable unless the schema is at HEAD."""
    with engine.connect() as conn, conn.begin():
        found = current(conn)
    _refuse_newer(found)
    if found != HEAD:
        raise StoreUnavailable(
            f"the schema is at {found or 'nothing'} and this program needs {HEAD}; run `carryover db upgrade`"
        )


def current(conn: sa.Connection) -> str | None:
    """The revision that the database is at, None for an empty one."""
    if not sa.inspect(conn).has_table("alembic_version"):
        return None
    return conn.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def revisions() -> list[str]:
    """All known revisions, oldest first."""
    return sorted(path.name.partition("_")[0] for path in (_SCRIPTS / "versions").glob("[0-9]*.py"))


def _refuse_newer(found: str | None) -> None:
    if found is not None and found not in revisions():
        raise StoreUnavailable(
            f"the schema is at {found}, which this version of carryover does not know "
            f"(it knows up to {HEAD}); upgrade carryover"
        )


def _refuse_foreign(conn: sa.Connection) -> None:
    theirs = sorted(set(sa.inspect(conn).get_table_names()) & set(metadata.tables))
    if theirs:
        raise StoreUnavailable(
            f"another program keeps tables here that carryover would need ({', '.join(theirs)}); choose another path"
        )


def _run(conn: sa.Connection) -> None:
    # Alembic is slow to import and needed once in the life of a database.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
