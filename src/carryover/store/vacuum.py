"""After an erasure of what was not sealed: rows that are gone leave the pages that they stood in."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import exc

from carryover.store.store import Store
from carryover.store.trust_tables import metadata

_PATIENCE_MS = 5_000
# The planner's samples of a table that has become empty are not taken anew; PostgreSQL can forget them since 18.
_FORGETS = 180_000
_CLEAR = sa.text("""
    SELECT pg_clear_attribute_stats(n.nspname::text, c.relname::text, a.attname::text, of.heirs)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
    CROSS JOIN (VALUES (false), (true)) AS of(heirs)
    WHERE a.attnum > 0 AND NOT a.attisdropped AND (c.oid = to_regclass(:name)
        OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(:name)))
""")
_WAL = "the write-ahead log of PostgreSQL, and archives of it, hold what was not sealed until they are recycled"
_PAGES = "pages of PostgreSQL hold what was not sealed until they are used again; VACUUM FULL writes them anew"
_FILE = "pages of the database's file may hold what was not sealed; run VACUUM on it when nobody writes"
_NOT_NOW = "rows that are gone leave their pages when autovacuum comes by: this role may not, or the tables are in use"


def vacuum(store: Store, counts: Mapping[str, int]) -> tuple[str, ...]:
    """The tables that rows went from are vacuumed, where the role may; what remains for all that, in words."""
    if not store.dialect.concurrent:
        return () if store.rewrite() else (_FILE,)
    touched = {name for name, count in counts.items() if count and name in metadata.tables}
    touched |= {"erasures", "holds"}  # which are not counted
    if "chunks" in touched:
        touched |= {"chunks_text", "frequencies"}  # their words left too
    try:
        with store.engine.connect() as conn:
            store.dialect.unhurried(conn)
            autocommit = conn.execution_options(isolation_level="AUTOCOMMIT")
            version = int(autocommit.exec_driver_sql("SHOW server_version_num").scalar_one())
            # Autovacuum makes way for who waits; its samples may be of before.
            autocommit.exec_driver_sql(f"SET lock_timeout = {_PATIENCE_MS}")
            try:
                for name in sorted(touched):
                    if version >= _FORGETS:
                        autocommit.execute(_CLEAR, {"name": name})
                    autocommit.exec_driver_sql(f'VACUUM (ANALYZE) "{name}"')
            finally:
                autocommit.exec_driver_sql("RESET lock_timeout")
    except exc.DBAPIError:
        return _WAL, _PAGES, _NOT_NOW
    return _WAL, _PAGES
