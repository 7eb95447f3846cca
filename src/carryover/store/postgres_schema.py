"""What only PostgreSQL has besides the tables: the text index, row-level security, and partitions of the stream.

Large tables are partitioned where they are made (migration 0001): by the tenant's hash, so that the numbers of a
session's turns stay unique in the database, and the stream by time, so that its past can be dropped whole.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from carryover.store.tables import events, metadata

PARTS = 8  # of a table that is partitioned by tenant
_AHEAD = 2  # months of the stream that have their partition before they begin

_PREPARE = (
    # No row-level security here: its operators may not use a GIN index. It holds no word that can be read, and the
    # numbers it answers say nothing until they are looked up in `chunks`.
    "CREATE TABLE IF NOT EXISTS chunks_text (tenant text NOT NULL, n bigint NOT NULL, size integer NOT NULL, "
    "created_at bigint NOT NULL, words tsvector NOT NULL, PRIMARY KEY (tenant, n)) PARTITION BY HASH (tenant)",
    *(
        f"CREATE TABLE IF NOT EXISTS chunks_text_{part} PARTITION OF chunks_text "
        f"FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {part})"
        for part in range(PARTS)
    ),
    "CREATE INDEX IF NOT EXISTS chunks_text_by_word ON chunks_text USING gin (words)",
    # Counted over and over: room in each page keeps the new row beside the old one.
    "CREATE TABLE IF NOT EXISTS frequencies (tenant text NOT NULL, word text NOT NULL, chunks bigint NOT NULL, "
    "PRIMARY KEY (tenant, word)) WITH (fillfactor = 70)",
    # Rows that every append rewrites: dead ones are cleared away before they are a fifth of the table.
    *(
        f"ALTER TABLE {name} SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01)"
        for name in ("sessions", "jobs", "counters")
    ),
    "CREATE OR REPLACE FUNCTION turns_never_change() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'turns are never updated'; END $$",
    "CREATE OR REPLACE TRIGGER turns_never_change BEFORE UPDATE ON turns "
    "FOR EACH ROW EXECUTE FUNCTION turns_never_change()",
    "CREATE OR REPLACE FUNCTION audit_never_changes() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit log is only ever added to'; END $$",
    "CREATE OR REPLACE TRIGGER audit_never_changes BEFORE UPDATE OR DELETE ON audit "
    "FOR EACH ROW EXECUTE FUNCTION audit_never_changes()",
)
# The tenant of the transaction (`postgres.enter`), or all of them for what is nobody's own. Nothing set: no rows.
_OWN = "(tenant = current_setting('app.tenant', true) OR current_setting('app.tenant', true) = '*')"


def prepare(conn: sa.Connection) -> None:
    """The text index, the trigger on turns, row-level security and the stream's next partitions are there."""
    for statement in _PREPARE:
        conn.exec_driver_sql(statement)
    secured = {row[0] for row in conn.exec_driver_sql("SELECT tablename FROM pg_policies WHERE policyname = 'tenants'")}
    for name in [*(table.name for table in metadata.sorted_tables if "tenant" in table.c), "frequencies"]:
        if name in secured or conn.exec_driver_sql(f"SELECT to_regclass('{name}')").scalar() is None:
            continue
        secure(conn, name)
    extend(conn, datetime.now(UTC))


def secure(conn: sa.Connection, name: str) -> None:
    """Each transaction sees and writes its own tenant's rows of the table, and no others."""
    conn.exec_driver_sql(f'ALTER TABLE "{name}" ENABLE ROW LEVEL SECURITY')
    conn.exec_driver_sql(f'ALTER TABLE "{name}" FORCE ROW LEVEL SECURITY')  # for the owner too
    conn.exec_driver_sql(f'CREATE POLICY tenants ON "{name}" USING {_OWN} WITH CHECK {_OWN}')


def extend(conn: sa.Connection, now: datetime) -> None:
    """This month of the stream and the next ones have their partitions; what has none goes to the default one."""
    conn.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {events.name}_default PARTITION OF {events.name} DEFAULT")
    for ahead in range(_AHEAD + 1):
        first, after = _month(now, ahead), _month(now, ahead + 1)
        if _can_be_made(conn, first):
            conn.exec_driver_sql(
                f"CREATE TABLE {_name(first)} PARTITION OF {events.name} "
                f"FOR VALUES FROM ({_id(first)}) TO ({_id(after)})"
            )


def missing(conn: sa.Connection, now: datetime) -> list[str]:
    """The partitions that this month and the next should have, and that `extend` would make."""
    return [_name(_month(now, ahead)) for ahead in range(_AHEAD) if _can_be_made(conn, _month(now, ahead))]


def drop_before(conn: sa.Connection, at: datetime) -> list[str]:
    """Partitions of the stream that hold only what happened before then are gone; their names."""
    wanted = (
        "SELECT relid::regclass::text FROM pg_partition_tree('events') WHERE isleaf "
        "AND relid::regclass::text ~ '^events_[0-9]{6}$' ORDER BY 1"
    )
    named = conn.exec_driver_sql(wanted).scalars().all()
    gone = [name for name in named if _month(datetime.strptime(name[-6:], "%Y%m").replace(tzinfo=UTC), 1) <= at]
    for name in gone:
        conn.exec_driver_sql(f"DROP TABLE {name}")
    return gone


def _can_be_made(conn: sa.Connection, first: datetime) -> bool:
    """Whether the month has no partition, and none of its events in the default one."""
    if conn.exec_driver_sql(f"SELECT to_regclass('{_name(first)}')").scalar() is not None:
        return False
    within = f"id >= {_id(first)} AND id < {_id(_month(first, 1))}"
    return conn.exec_driver_sql(f"SELECT 1 FROM {events.name}_default WHERE {within} LIMIT 1").first() is None


def _month(now: datetime, ahead: int) -> datetime:
    months = now.year * 12 + now.month - 1 + ahead
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def _name(first: datetime) -> str:
    return f"{events.name}_{first:%Y%m}"


def _id(at: datetime) -> int:
    """The lowest id of an event of that moment: ids are microseconds, or a little more."""
    return int(at.timestamp()) * 1_000_000
