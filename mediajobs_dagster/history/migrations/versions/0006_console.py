"""Tables of the console."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SQLITE_STATISTICS: dict[str, dict[str, str]] = {
    "jobs": {"jobs_by_change": "1000000 2 1"},
    "requests": {"sqlite_autoindex_requests_1": "100000 1", "requests_by_time": "100000 2"},
}


def upgrade() -> None:
    """Make the tables."""
    _create_requests()
    _index_changes()
    if op.get_context().dialect.name == "sqlite":
        _write_sqlite_statistics()


def downgrade() -> None:
    """Drop the tables: code of schema 0005 knows nothing of them."""
    op.drop_index("jobs_by_change", table_name="jobs")
    op.drop_table("requests")


def _write_sqlite_statistics() -> None:
    # What they are is told in 0001.
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    rows = [
        {"tbl": table, "idx": index, "stat": figures}
        for table, indexes in _SQLITE_STATISTICS.items()
        for index, figures in indexes.items()
    ]
    op.bulk_insert(statistics, rows)
    op.execute("ANALYZE sqlite_schema")  # has this connection read them


# --- the HTTP API ----------------------------------------------------------------------------------------------------


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("asked", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("answer", sa.Text()),
        sa.PrimaryKeyConstraint("key", name="requests_pkey"),
    )
    op.create_index("requests_by_time", "requests", ["at"])


def _index_changes() -> None:
    op.create_index("jobs_by_change", "jobs", ["updated_at", "id"])
