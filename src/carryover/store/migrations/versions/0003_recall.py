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
    op.add_column("snapshots", sa.Column("topics", sa.Text(), nullable=False, server_default="[]"))
