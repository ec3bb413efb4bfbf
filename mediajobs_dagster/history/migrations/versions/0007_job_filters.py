"""Indexes for lists of jobs by the machine and the duration of their attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SQLITE_STATISTICS = {
    "job_history_of_host": "1000000 50000 1",
    "job_history_of_duration": "1000000 20 1",
}
"""What they are is told in 0001."""


def upgrade() -> None:
    """Make them."""
    for name, column in (("job_history_of_host", "host"), ("job_history_of_duration", "duration_ms")):
        is_of_job = sa.text("job_id IS NOT NULL")
        op.create_index(name, "job_history", [column, "job_id"], sqlite_where=is_of_job, postgresql_where=is_of_job)
    if op.get_context().dialect.name == "sqlite":
        statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
        rows = [{"tbl": "job_history", "idx": name, "stat": figures} for name, figures in _SQLITE_STATISTICS.items()]
        op.bulk_insert(statistics, rows)
        op.execute("ANALYZE sqlite_schema")  # has this connection read them


def downgrade() -> None:
    """Drop them."""
    op.drop_index("job_history_of_host", table_name="job_history")
    op.drop_index("job_history_of_duration", table_name="job_history")
