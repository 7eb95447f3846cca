"""What memory says about itself: verdicts, spaces, extractors, tiers, and what a session was about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
compatible = "0003"  # an older program would erase a session and leave what these tables say of it


def upgrade() -> None:
    op.add_column("snapshots", sa.Column("themes", sa.Text(), nullable=False, server_default="[]"))
    _extractors()
    _verdicts()
    _spaces()
    _tiers()


def _spaces() -> None:
    op.create_table(
        "spaces",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("space", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "space"),
        sqlite_with_rowid=False,
    )
    serving = sa.text("state = 'serving'")
    op.create_index("spaces_serving", "spaces", ["tenant"], unique=True, sqlite_where=serving, postgresql_where=serving)


def _verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("checker", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=False),
        sa.Column("holds", sa.Boolean(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "finding"),
    )
    op.create_index("verdicts_by_session", "verdicts", ["tenant", "agent", "session"], unique=False)


def _extractors() -> None:
    op.add_column("snapshots", sa.Column("extractor", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "extractors",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("against", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "name"),
        sqlite_with_rowid=False,
    )


def _tiers() -> None:
    op.create_table(
        "tiers",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=True),
        sa.Column("twin", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("freed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "finding", "since"),
    )
    op.create_index("tiers_by_session", "tiers", ["tenant", "agent", "session", "tier"], unique=False)
    _partial("tiers_told", "tiers", ["tenant", "user", "tier", "agent"], "text <> ''")
    _partial("findings_now", "findings", ["tenant", "agent", "session"], "until IS NULL")
    op.drop_index("findings_by_user", "findings")
    op.create_index("findings_by_user", "findings", ["tenant", "user", "until", "agent"], unique=False)
    _partial("findings_pinned", "findings", ["tenant", "user", "learned_at"], "pinned", "pinned = 1")


def _partial(name: str, table: str, columns: list[str], only: str, on_sqlite: str | None = None) -> None:
    on_sqlite = on_sqlite or only
    op.create_index(name, table, columns, unique=False, sqlite_where=sa.text(on_sqlite), postgresql_where=sa.text(only))
