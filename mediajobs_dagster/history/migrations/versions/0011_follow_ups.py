"""Jobs that follow a job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. No job has one yet. A constant default rewrites no row, on either engine."""
    op.add_column("jobs", sa.Column("follow_up", sa.JSON, nullable=False, server_default=sa.text("'[]'")))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("jobs", "follow_up")
