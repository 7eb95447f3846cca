"""PostgreSQL databases for tests: a used one is emptied and lent again, for making one takes as long as many tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4

import psycopg

from servers.postgres import Server

# What a test may have done besides writing rows; a database that it did this to is dropped.
_SHAPE = """
SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
       (SELECT count(*) FROM pg_class WHERE relrowsecurity AND relforcerowsecurity),
       (SELECT count(*) FROM pg_attribute), (SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_policy),
       (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_db_role_setting), (SELECT count(*) FROM pg_roles),
       (SELECT string_agg(c.relname || coalesce(array_to_string(c.relacl, ','), ''), ';' ORDER BY c.relname)
          FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relacl IS NOT NULL),
       (SELECT string_agg(schema::text, ';') FROM (SELECT * FROM alembic_version) AS schema)
"""
_TABLES = """
SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE nspname IN ('public', 'carryover_keys') AND relkind IN ('r', 'p')
   AND NOT relispartition AND relname <> 'alembic_version'
"""

_BUT = {"public.counters": " WHERE tenant <> '*'"}


@dataclass
class Databases:
    """Copies of the database `template`, which is migrated and empty but for what its migrations wrote."""

    server: Server
    _free: list[str] = field(default_factory=list[str])
    _shape: object = None

    def lend(self) -> str:
        """The name of a database that is as the template."""
        if self._free:
            return self._free.pop()
        name = f"test_{uuid4().hex}"
        self.server.create(name, template="template")
        if self._shape is None:
            with self._connected(name) as conn:
                self._shape = conn.execute(_SHAPE).fetchone()
        return name

    def take_back(self, name: str) -> None:
        """The database is emptied; one that is not as it was otherwise is dropped."""
        with self._connected(name) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            same = conn.execute(_SHAPE).fetchone() == self._shape
            if same:
                tables = [row[0] for row in conn.execute(_TABLES)]
                # What the migrations themselves counted stays.
                emptied = [f"DELETE FROM {name}{_BUT.get(name, '')}" for name in tables]
                # Without triggers: one of them lets nobody delete from the audit log.
                conn.execute("; ".join(["SET session_replication_role = replica", *emptied]))  # type: ignore[arg-type]
        if same:
            self._free.append(name)
        else:
            self.server.drop(name)

    def _connected(self, name: str) -> psycopg.Connection:
        return psycopg.connect(self.server.url(name, "postgres"), autocommit=True)
