"""Bringing the schema up to date, while programs of the version before still work with it.

Expand, then contract: a migration adds what the next program needs, and a later one takes away what the last program
needed. Each says with `compatible` which is the oldest HEAD whose program may go on after it; the database keeps that
number, for programs that do not know the migration yet.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import exc

from carryover.core.errors import StoreUnavailable
from carryover.core.scope import EVERY_TENANT
from carryover.store.dialect import Dialect
from carryover.store.tables import counters
from carryover.store.trust_tables import metadata

logger = logging.getLogger(__name__)

HEAD = "0007"  # the newest revision under `migrations/versions`; a test compares the two
COMPATIBLE = "compatible:"  # before a revision: the counter, of no tenant, that keeps the number
_SCRIPTS = Path(__file__).parent / "migrations"
PATIENCE_S = 60.0  # in all, for tables that are in use
_PAUSE_S = 1.0  # before the next attempt, by half more or less
_VALUE = re.compile(r'^(revision|compatible) = "(\d+)"', re.MULTILINE)
_IN_USE, _NOT_OURS = "55P03", "42501"  # SQLSTATEs: a lock was not to be had; the role may not


@dataclass(frozen=True, slots=True)
class Revision:
    """One migration: what it brings, and the oldest HEAD whose program may work with the schema after it."""

    id: str
    description: str
    compatible: str


@dataclass(frozen=True, slots=True)
class Schema:
    """What a database says of its schema; `revision` is None for an empty one."""

    revision: str | None
    compatible: str | None

    @property
    def is_newer(self) -> bool:
        """Whether a newer program made it."""
        return self.revision is not None and (self.revision > HEAD or self.revision not in revisions())

    @property
    def admits(self) -> bool:
        """Whether this program may work with it."""
        return self.revision == HEAD or (self.is_newer and self.compatible is not None and self.compatible <= HEAD)


def upgrade(engine: sa.Engine, dialect: Dialect) -> None:
    """The schema is at HEAD, or at a newer revision that this program may work with.

    Any number of processes may do this at once: one does it, the others wait and find nothing to do. Raises
    StoreUnavailable when the schema is too new, another program's, not this role's to change, or in use for too long.
    """
    found = look(engine, dialect)
    if found.admits:
        _warn(found)
        return
    _refuse_newer(found)
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            _upgrade(engine, dialect)
            return
        except exc.DBAPIError as cause:
            state = getattr(cause.orig, "sqlstate", None)
            if state == _NOT_OURS:
                raise _not_ours(found, cause) from cause
            if state != _IN_USE:
                raise
            if time.monotonic() > end:
                raise StoreUnavailable(
                    f"the schema stays at {found.revision}: a table was in use for {PATIENCE_S:.0f} seconds; "
                    "end what holds it (pg_stat_activity names it), then run `carryover db upgrade`"
                ) from cause
        logger.warning("a table is in use, so the schema cannot be changed yet; trying again")
        time.sleep(_PAUSE_S * random.uniform(0.5, 1.5))


def require_current(engine: sa.Engine, dialect: Dialect) -> None:
    """Raises StoreUnavailable unless this program may work with the schema as it is."""
    found = look(engine, dialect)
    if not found.admits:
        _refuse_newer(found)
        raise StoreUnavailable(
            f"the schema is at {found.revision or 'nothing'} and this program needs {HEAD}; run `carryover db upgrade`"
        )
    _warn(found)


def look(engine: sa.Engine, dialect: Dialect) -> Schema:
    """The state of the schema, which is left as it is."""
    with _opened(engine, dialect) as conn:
        return _schema(conn)


def shut_out(conn: sa.Connection, dialect: Dialect, below: str) -> None:
    """Programs that were made for a revision below this one may not work with the database any more.

    Within a transaction over every tenant. They are told when they start; those that run go on until then.
    """
    row = dialect.insert(counters).values(tenant=EVERY_TENANT.tenant, name=COMPATIBLE + HEAD, value=int(below))
    higher = sa.case((counters.c.value < int(below), int(below)), else_=counters.c.value)
    conn.execute(row.on_conflict_do_update(index_elements=["tenant", "name"], set_={"value": higher}))


def current(conn: sa.Connection) -> str | None:
    """The revision that the database is at, None for an empty one."""
    if not sa.inspect(conn).has_table("alembic_version"):
        return None
    return conn.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def revisions() -> list[str]:
    """All known revisions, oldest first."""
    return [path.name.partition("_")[0] for path in _scripts()]


def history() -> list[Revision]:
    """All known migrations, oldest first, as their scripts describe themselves."""
    return [_described(path) for path in _scripts()]


@contextmanager
def _opened(engine: sa.Engine, dialect: Dialect, *, writing: bool = False) -> Generator[sa.Connection]:
    with engine.connect() as conn, conn.begin():
        dialect.enter(conn, EVERY_TENANT.tenant, writing=writing)
        yield conn


def _upgrade(engine: sa.Engine, dialect: Dialect) -> None:
    with _opened(engine, dialect, writing=True) as conn:
        dialect.upgrading(conn)
        found = _schema(conn)
        if found.admits:
            return
        _refuse_newer(found)
        if found.revision is None:
            _refuse_foreign(conn)
        _run(conn)
        dialect.prepare(conn)
        _record(conn, dialect)


def _schema(conn: sa.Connection) -> Schema:
    revision = current(conn)
    if revision is None or not sa.inspect(conn).has_table(counters.name):
        return Schema(revision, None)
    here = counters.c.tenant == EVERY_TENANT.tenant, counters.c.name == COMPATIBLE + revision
    value = conn.execute(sa.select(counters.c.value).where(*here)).scalar()
    return Schema(revision, None if value is None else f"{value:04}")


def _record(conn: sa.Connection, dialect: Dialect) -> None:
    """The database says which programs may work with it: those that no migration so far has shut out."""
    oldest = int(max(revision.compatible for revision in history()))
    row = dialect.insert(counters).values(tenant=EVERY_TENANT.tenant, name=COMPATIBLE + HEAD, value=oldest)
    conn.execute(row.on_conflict_do_update(index_elements=["tenant", "name"], set_={"value": oldest}))


def _warn(found: Schema) -> None:
    if found.is_newer:
        logger.warning(
            "the schema is at %s and this program is made for %s: it works, upgrade it soon", found.revision, HEAD
        )


def _refuse_newer(found: Schema) -> None:
    if found.is_newer:
        needed = "" if found.compatible is None else f", and programs below {found.compatible} may not use it"
        raise StoreUnavailable(
            f"the schema is at {found.revision}, which this version of carryover does not know "
            f"(it knows up to {HEAD}){needed}; upgrade carryover"
        )


def _refuse_foreign(conn: sa.Connection) -> None:
    theirs = sorted(set(sa.inspect(conn).get_table_names()) & set(metadata.tables))
    if theirs:
        raise StoreUnavailable(
            f"another program keeps tables here that carryover would need ({', '.join(theirs)}); choose another path"
        )


def _not_ours(found: Schema, cause: exc.DBAPIError) -> StoreUnavailable:
    return StoreUnavailable(
        f"the schema is at {found.revision or 'nothing'}, this program needs {HEAD}, and this role may not change it "
        f"({str(cause.orig).partition(chr(10))[0]}); run `carryover db upgrade` as the role that owns the database"
    )


def _scripts() -> list[Path]:
    return sorted((_SCRIPTS / "versions").glob("[0-9]*.py"))


def _described(path: Path) -> Revision:
    # Read, not imported: a migration needs Alembic, which is slow to load.
    text = path.read_text("utf-8")
    said = text.removeprefix('"""').partition("\n")[0].removesuffix('"""')
    values = dict(_VALUE.findall(text))
    return Revision(values["revision"], said, values["compatible"])


def _run(conn: sa.Connection) -> None:
    # Alembic is slow to import and needed once in the life of a database.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
