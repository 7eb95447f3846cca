"""After an erasure of what was not sealed: rows that are gone leave the pages that they stood in."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import exc

from carryover.store.store import Store
from carryover.store.trust_tables import metadata

_WAL = "the write-ahead log of PostgreSQL, and archives of it, hold what was not sealed until they are recycled"
_PAGES = "pages of PostgreSQL hold what was not sealed until they are used again; VACUUM FULL writes them anew"
_FILE = "pages of the database's file may hold what was not sealed; run VACUUM on it when nobody writes"
_NOT_NOW = "rows that are gone leave their pages when autovacuum comes by: this role may not, or the tables are in use"


def vacuum(store: Store, counts: Mapping[str, int]) -> tuple[str, ...]:
    """The tables that rows went from are vacuumed, where the role may; what remains for all that, in words."""
    if not store.dialect.concurrent:
        return () if store.rewrite() else (_FILE,)
    touched = sorted(name for name, count in counts.items() if count and name in metadata.tables)
    try:
        with store.engine.connect() as conn:
            store.dialect.unhurried(conn)
            autocommit = conn.execution_options(isolation_level="AUTOCOMMIT")
            for name in touched:
                autocommit.exec_driver_sql(f'VACUUM (ANALYZE, SKIP_LOCKED) "{name}"')
    except exc.DBAPIError:
        return _WAL, _PAGES, _NOT_NOW
    return _WAL, _PAGES
