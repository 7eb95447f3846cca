"""Personas: sealed preferences, profiles and codes of users, and the codebooks of tenants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
compatible = "0006"  # an older program would erase a session and leave what was noticed in it


def upgrade() -> None:
    op.create_table(
        "preferences",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("tenant", "id", "user", "agent", "session")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("seq", "said_at")),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("preferences_by_user", "preferences", ["tenant", "user", "said_at"], unique=False)
    op.create_index("preferences_by_session", "preferences", ["tenant", "agent", "session"], unique=False)
    op.create_table(
        "profiles",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("tenant", "user")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("version", "edited", "updated_at")),
        sa.Column("edits", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "user"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "persona_codes",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("tenant", "user")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("version", "expires_at")),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user"),
        sqlite_with_rowid=False,
    )
    op.create_index("persona_codes_by_expiry", "persona_codes", ["tenant", "expires_at"], unique=False)
    op.create_table(
        "codebooks",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("space", "strategy", "why")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "version"),
    )
    op.create_table(
        "noticed",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("tenant", "agent", "session")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("through", "at")),
        sa.PrimaryKeyConstraint("tenant", "agent", "session"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "personas_shown",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("tenant", "agent", "session", "user")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("version", "edited", "shown_at")),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "agent", "session"),
        sqlite_with_rowid=False,
    )
    op.create_index("personas_shown_by_user", "personas_shown", ["tenant", "user"], unique=False)
