"""Uploads, jobs, the history of attempts, and what is counted of them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from mediajobs_dagster.history.migrations.counting import FUNCTIONS, triggers

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_FREE = "status IN ('queued', 'failed') AND dispatch_id IS NULL"
_ASSIGNED = "dispatch_id IS NOT NULL"
_LEASED = "lease_expires_at IS NOT NULL"
_OF_A_JOB = "job_id IS NOT NULL"
_HAS_ERROR = "error_code IS NOT NULL"
_HAS_PARENT = "parent_job_id IS NOT NULL"


# What ANALYZE would find in a database of a million jobs: of each index, its rows, then how many of them share the
# first column, the first two, and so on. SQLite plans by these from the first row on, so its plans are good and never
# change; without them it takes a status for as selective as a job id.
# https://www.sqlite.org/optoverview.html#manual_control_of_query_plans_using_sqlite_stat_tables
_SQLITE_STATISTICS = {
    "uploads": {
        "sqlite_autoindex_uploads_1": "1000000 1",
        "sqlite_autoindex_uploads_2": "1000000 1",
        "uploads_by_time": "1000000 2 1",
        "uploads_of_trace": "1000000 2",
        "uploads_named": "1000000 2 1 1",
    },
    "timelines": {
        "sqlite_autoindex_timelines_1": "100000 1",
        "sqlite_autoindex_timelines_2": "100000 1",
        "timelines_by_time": "100000 2 1",
        "timelines_of_trace": "100000 2",
    },
    "jobs": {
        "sqlite_autoindex_jobs_1": "1000000 1",
        "sqlite_autoindex_jobs_2": "1000000 1",
        "jobs_by_time": "1000000 2 1",
        "jobs_of_type": "1000000 200000 2 1",
        "jobs_of_status": "1000000 300000 2 1",
        "jobs_of_type_and_status": "1000000 200000 60000 2 1",
        "jobs_of_error": "50000 5000 2 1 1 1",
        "jobs_of_trace": "1000000 20 2 1",
        "jobs_of_subject": "1000000 5 2 2 1",
        "jobs_of_parent": "500000 5 2 1",
        "jobs_to_assign": "5000 1000 500 1 1",
        "jobs_to_assign_of_trace": "5000 20 10 10 5 1",
        "jobs_due": "5000 1000 2",
        "jobs_of_dispatch": "500 20",
        "jobs_active": "500 100",
        "jobs_leased": "500 2",
    },
    "job_history": {
        "sqlite_autoindex_job_history_1": "1000000 1",
        "job_history_by_time": "1000000 2 1",
        "job_history_of_name": "1000000 200000 2 1",
        "job_history_of_status": "1000000 300000 2 1",
        "job_history_of_name_and_status": "1000000 200000 60000 2 1",
        "job_history_completed": "1000000 200000 60000 2",
        "job_history_of_error": "50000 5000 2 1 1 1",
        "job_history_of_trace": "1000000 20 2 1",
        "job_history_of_run": "1000000 50 2 1",
        "job_history_of_job": "1000000 2 1",
    },
}


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    """Create all tables."""
    _create_uploads()
    _create_timelines()
    _create_jobs()
    _create_job_history()
    _create_counts()
    _create_metrics()
    for statement in triggers(op.get_context().dialect.name):
        op.execute(statement)
    if op.get_context().dialect.name == "sqlite":
        _write_sqlite_statistics()


def downgrade() -> None:
    """Drop all tables, their triggers with them."""
    for table in (
        "metric_hosts",
        "metric_totals",
        "metric_entries",
        "upload_days",
        "job_counts",
        "job_history",
        "jobs",
        "timelines",
        "uploads",
    ):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        for function in FUNCTIONS:
            op.execute(f"DROP FUNCTION {function}")


def _create_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("storage_key", sa.String(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("etag", sa.String(), nullable=False),
        sa.Column("origin", sa.Text()),
        sa.Column("media_info", sa.JSON()),
        sa.Column("media_ms", sa.BigInteger()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="uploads_pkey"),
        sa.UniqueConstraint("origin", name="uploads_origin_key"),
    )
    op.create_index("uploads_by_time", "uploads", ["created_at", "id"])
    op.create_index("uploads_of_trace", "uploads", ["trace_id"])
    op.create_index("uploads_named", "uploads", ["filename", "etag", "id"])


def _create_timelines() -> None:
    op.create_table(
        "timelines",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("document", sa.JSON()),
        sa.Column("etag", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="timelines_pkey"),
        sa.UniqueConstraint("etag", name="timelines_etag_key"),
    )
    op.create_index("timelines_by_time", "timelines", ["created_at", "id"])
    op.create_index("timelines_of_trace", "timelines", ["trace_id"])


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("job_type", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("subject_day", sa.Date(), nullable=False),
        sa.Column("params", sa.JSON()),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("parent_job_id", sa.String()),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("allowance", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=False),
        sa.Column("dispatch_id", sa.String()),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error_code", sa.String()),
        sa.ForeignKeyConstraint(["parent_job_id"], ["jobs.id"], name="jobs_parent_job_id_fkey", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="jobs_pkey"),
        sa.UniqueConstraint("idempotency_key", name="jobs_idempotency_key_key"),
    )
    op.create_index("jobs_active", "jobs", ["job_type"], **_where(_ASSIGNED))
    op.create_index("jobs_by_time", "jobs", ["created_at", "id"])
    op.create_index("jobs_due", "jobs", ["job_type", "not_before"], **_where(_FREE))
    op.create_index("jobs_leased", "jobs", ["lease_expires_at"], **_where(_LEASED))
    op.create_index("jobs_of_dispatch", "jobs", ["dispatch_id"], **_where(_ASSIGNED))
    op.create_index(
        "jobs_of_error", "jobs", ["error_code", "created_at", "id", "job_type", "status"], **_where(_HAS_ERROR)
    )
    op.create_index("jobs_of_parent", "jobs", ["parent_job_id", "created_at", "id"], **_where(_HAS_PARENT))
    op.create_index("jobs_of_status", "jobs", ["status", "created_at", "id"])
    op.create_index("jobs_of_subject", "jobs", ["subject_id", "job_type", "created_at", "id"])
    op.create_index("jobs_of_trace", "jobs", ["trace_id", "created_at", "id"])
    op.create_index("jobs_of_type", "jobs", ["job_type", "created_at", "id"])
    op.create_index("jobs_of_type_and_status", "jobs", ["job_type", "status", "created_at", "id"])
    op.create_index(
        "jobs_to_assign", "jobs", ["job_type", sa.text("priority DESC"), "id", "not_before"], **_where(_FREE)
    )
    op.create_index(
        "jobs_to_assign_of_trace",
        "jobs",
        ["trace_id", "job_type", "subject_day", sa.text("priority DESC"), "id"],
        **_where(_FREE),
    )


def _create_job_history() -> None:
    op.create_table(
        "job_history",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String()),
        sa.Column("job_name", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String()),
        sa.Column("trace_id", sa.String()),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("duration_ms", sa.BigInteger()),
        sa.Column("queue_ms", sa.BigInteger()),
        sa.Column("rtf", sa.Double[float]()),
        sa.Column("ffmpeg_ms", sa.BigInteger()),
        sa.Column("bytes_in", sa.BigInteger()),
        sa.Column("bytes_out", sa.BigInteger()),
        sa.Column("cpu_seconds", sa.Double[float]()),
        sa.Column("max_rss_mb", sa.Double[float]()),
        sa.Column("host", sa.String()),
        sa.Column("error_code", sa.String()),
        sa.Column("blame", sa.String()),
        sa.Column("output_files", sa.Integer(), nullable=False),
        sa.Column("output_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("result", sa.JSON()),
        sa.Column("manifest", sa.JSON()),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="job_history_job_id_fkey", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="job_history_pkey"),
    )
    op.create_index("job_history_by_time", "job_history", ["created_at", "id"])
    op.create_index("job_history_completed", "job_history", ["job_name", "status", "completed_at"])
    op.create_index(
        "job_history_of_error",
        "job_history",
        ["error_code", "created_at", "id", "job_name", "status"],
        **_where(_HAS_ERROR),
    )
    op.create_index("job_history_of_job", "job_history", ["job_id", "attempt"], unique=True, **_where(_OF_A_JOB))
    op.create_index("job_history_of_name", "job_history", ["job_name", "created_at", "id"])
    op.create_index("job_history_of_name_and_status", "job_history", ["job_name", "status", "created_at", "id"])
    op.create_index("job_history_of_run", "job_history", ["run_id", "created_at", "id"])
    op.create_index("job_history_of_status", "job_history", ["status", "created_at", "id"])
    op.create_index("job_history_of_trace", "job_history", ["trace_id", "created_at", "id"])


def _create_counts() -> None:
    op.create_table(
        "job_counts",
        sa.Column("job_type", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_type", "status", "slot", name="job_counts_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "upload_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("uploads", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("media_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "slot", name="upload_days_pkey"),
        sqlite_with_rowid=False,
    )


def _create_metrics() -> None:
    op.create_table(
        "metric_entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_name", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error_code", sa.String()),
        sa.Column("host", sa.String()),
        sa.Column("duration_ms", sa.BigInteger()),
        sa.Column("output_files", sa.Integer(), nullable=False),
        sa.Column("output_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="metric_entries_pkey"),
    )
    key = ("span_s", "start", "job_name", "status", "error_code")
    op.create_table(
        "metric_totals",
        sa.Column("span_s", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_name", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error_code", sa.String(), nullable=False),
        sa.Column("duration_class", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("output_files", sa.BigInteger(), nullable=False),
        sa.Column("output_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*key, "duration_class", name="metric_totals_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metric_hosts",
        sa.Column("span_s", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_name", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error_code", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*key, "host", name="metric_hosts_pkey"),
        sqlite_with_rowid=False,
    )


def _write_sqlite_statistics() -> None:
    op.execute("ANALYZE")  # makes the table sqlite_stat1, which cannot be made by hand
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.execute(statistics.delete())
    op.bulk_insert(
        statistics,
        [
            {"tbl": table, "idx": index, "stat": figures}
            for table, indexes in _SQLITE_STATISTICS.items()
            for index, figures in indexes.items()
        ],
    )
    op.execute("ANALYZE sqlite_schema")  # has this connection read them
