"""The pace of sites, and what is kept with an upload that was fetched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the column."""
    op.add_column("uploads", sa.Column("details", sa.JSON()))
    op.create_table(
        "site_pace",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text()),
        sa.Column("strikes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site", name="site_pace_pkey"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop them: code of the schema before knows nothing of them."""
    op.drop_table("site_pace")
    op.drop_column("uploads", "details")
