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


def upgrade() -> None:
    """Make the tables."""
    _create_metric_series()


def downgrade() -> None:
    """Drop the tables: code of schema 0005 knows nothing of them."""
    _drop_metric_series()


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
