"""Trust: hash chains of turns, keys of sessions, erasures and their receipts, legal holds, the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
compatible = "0006"  # an older program goes on until something is sealed or held, which shuts it out


def upgrade() -> None:
    op.add_column("sessions", sa.Column("key", sa.LargeBinary(), nullable=True))
    op.add_column("sessions", sa.Column("chain", sa.LargeBinary(), nullable=True))
    op.add_column("turns", sa.Column("salt", sa.LargeBinary(), nullable=True))
    op.add_column("turns", sa.Column("chain", sa.LargeBinary(), nullable=True))
    op.add_column("keys", sa.Column("expires_at", sa.BigInteger(), nullable=True))
    op.add_column("keys", sa.Column("rate", sa.Text(), nullable=True))
    op.create_table(
        "erasures",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("tenant", "id", "state", "request", "receipt")),
        sa.Column("keys", sa.LargeBinary(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("begun_at", "changed_at")),
        sa.PrimaryKeyConstraint("tenant", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("erasures_by_state", "erasures", ["tenant", "state", "begun_at"], unique=False)
    op.create_table(
        "holds",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("tenant", "id")),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("agent", "session", "user")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("reason", "placed_by")),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "repeats",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("tenant", "hash")),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "hash"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("who", "via", "action", "subject", "outcome", "detail")
        ),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index("audit_by_time", "audit", ["tenant", "at"], unique=False)
