"""Codes of vectors, removals in order, due jobs by tenant, and secrets that processes share."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
compatible = "0002"  # the oldest HEAD whose program may work with the schema after this

_PARTS = 8
_BATCH = 2000
_READ = sa.text(
    'SELECT v.tenant, v.space, v.n, v.added, v.vector, c.agent, c.session, c."user", c.kind, c.role, c.created_at '
    "FROM vectors v JOIN chunks c ON c.tenant = v.tenant AND c.n = v.n "
    "WHERE (v.tenant, v.space, v.n) > (:tenant, :space, :n) ORDER BY v.tenant, v.space, v.n LIMIT :most"
)


def upgrade() -> None:
    op.create_index("jobs_by_tenant", "jobs", ["tenant", "due"], unique=False)
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.drop_index("vectors_by_generation", table_name="vectors")
    codes = op.create_table(
        "codes",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("space", sa.Text(), nullable=False),
        sa.Column("added", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "space", "added", "n"),
        sqlite_with_rowid=False,
        **_partitioned(),
    )
    op.create_table(
        "removals",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "generation", "n"),
        sqlite_with_rowid=False,
    )
    if _is_postgresql():
        for part in range(_PARTS):
            op.execute(
                f"CREATE TABLE codes_{part} PARTITION OF codes FOR VALUES WITH (MODULUS {_PARTS}, REMAINDER {part})"
            )
    _encode(codes)


def _encode(codes: sa.Table) -> None:
    """Vectors that were there before have their codes."""
    conn = op.get_bind()
    after: dict[str, Any] = {"tenant": "", "space": "", "n": 0}
    while rows := conn.execute(_READ, {**after, "most": _BATCH}).mappings().all():
        new = [{name: row[name] for name in row if name != "vector"} | {"code": _code(row["vector"])} for row in rows]
        conn.execute(sa.insert(codes), new)
        after = {name: rows[-1][name] for name in after}


def _code(vector: bytes) -> bytes:
    """The signs, packed; filled up to whole words of 64 bits. As `store.codes` had it when this was written."""
    import numpy as np  # needed where there are vectors: a new database has none

    bits = np.packbits(np.frombuffer(vector, "<f4") > 0).tobytes()
    return bits + bytes(-len(bits) % 8)


def _partitioned() -> dict[str, Any]:
    return {"postgresql_partition_by": "HASH (tenant)"} if _is_postgresql() else {}


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
