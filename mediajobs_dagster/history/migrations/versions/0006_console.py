"""Tables of the console."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mediajobs_dagster.history.migrations.measuring import (
    ENDED,
    FUNCTIONS,
    IS_OVER,
    LATENCY_MS,
    TRIGGERS,
    class_of,
    measuring_triggers,
)

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
    _create_metric_series()
    if op.get_context().dialect.name == "sqlite":
        _write_sqlite_statistics()


def downgrade() -> None:
    """Drop the tables: code of schema 0005 knows nothing of them."""
    op.drop_index("jobs_by_change", table_name="jobs")
    op.drop_table("requests")
    _drop_metric_series()


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


# --- metrics ---------------------------------------------------------------------------------------------------------


def _create_metric_series() -> None:
    op.create_table(
        "metric_series",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("labels", sa.String(), nullable=False),
        sa.Column("duration_class", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("sum_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", "duration_class", "slot", name="metric_series_pkey"),
        sqlite_with_rowid=False,
    )
    _count_jobs_of_before()
    for statement in measuring_triggers(op.get_context().dialect.name):
        op.execute(statement)


def _count_jobs_of_before() -> None:
    """Count the jobs there are, and how they ended. Through which statuses they went before is not known any more."""
    into = "INSERT INTO metric_series (name, labels, duration_class, slot, count, sum_ms) SELECT"
    took = LATENCY_MS[op.get_context().dialect.name].format(row="jobs")
    ended = f"FROM jobs WHERE {IS_OVER}"
    counted = "SELECT count(*) AS all_jobs FROM jobs"
    op.execute(f"{into} 'jobs.created_total', '', -1, 0, all_jobs, 0 FROM ({counted}) AS c WHERE all_jobs > 0")
    op.execute(f"{into} 'jobs.ended_total', {ENDED.format(row='jobs')}, -1, 0, count(*), 0 {ended} GROUP BY 2")
    op.execute(
        f"{into} 'jobs.total_latency_ms', '', {class_of('took.ms')}, 0, count(*), sum(took.ms) "
        f"FROM (SELECT {took} AS ms {ended}) AS took GROUP BY 3"
    )


def _drop_metric_series() -> None:
    is_postgres = op.get_context().dialect.name == "postgresql"
    for trigger in TRIGGERS:
        op.execute(f"DROP TRIGGER {trigger} ON jobs" if is_postgres else f"DROP TRIGGER {trigger}")
    if is_postgres:
        for function in FUNCTIONS:
            op.execute(f"DROP FUNCTION {function}")
    op.drop_table("metric_series")
