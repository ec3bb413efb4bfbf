"""What is to be told to a collector of traces, and what caused a job.

Of earlier jobs it is not known what caused them, or when a run was given them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SQLITE_STATISTICS = {"trace_outbox_due": "1000 2 1"}
"""What they are is told in 0001."""


def upgrade() -> None:
    """Make the table and the columns."""
    op.add_column("jobs", sa.Column("caused_by_span", sa.String()))
    op.add_column("jobs", sa.Column("assigned_at", sa.DateTime(timezone=True)))
    op.create_table(
        "trace_outbox",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("attempt_id", sa.String()),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("attempts_before", sa.Integer(), nullable=False),
        sa.Column("job_status", sa.String()),
        sa.Column("assigned_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="trace_outbox_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("trace_outbox_due", "trace_outbox", ["due_at", "id"])
    if op.get_context().dialect.name == "sqlite":
        statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
        rows = [{"tbl": "trace_outbox", "idx": name, "stat": stat} for name, stat in _SQLITE_STATISTICS.items()]
        op.bulk_insert(statistics, rows)
        op.execute("ANALYZE sqlite_schema")  # has this connection read them


def downgrade() -> None:
    """Drop them: code of schema 0007 knows nothing of them."""
    op.drop_table("trace_outbox")
    op.drop_column("jobs", "assigned_at")
    op.drop_column("jobs", "caused_by_span")
