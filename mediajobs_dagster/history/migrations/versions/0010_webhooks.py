"""Tables of webhooks, and the triggers that write into their outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mediajobs_dagster.history.migrations.telling import FUNCTIONS, TRIGGERS, telling_triggers

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SQLITE_STATISTICS: dict[str, dict[str, str]] = {
    "webhook_subscriptions": {
        "sqlite_autoindex_webhook_subscriptions_1": "10000 1",
        "sqlite_autoindex_webhook_subscriptions_2": "10000 2 1 1",
        "webhook_subscriptions_by_time": "10000 2 1",
    },
    "webhook_deliveries": {
        "sqlite_autoindex_webhook_deliveries_1": "100000 1",
        "webhook_deliveries_by_time": "100000 2 1",
        "webhook_deliveries_of_status": "100000 30000 2 1",
        "webhook_deliveries_of_trace": "100000 10 2 1",
        "webhook_deliveries_of_job": "100000 4 2 1",
        "webhook_deliveries_due": "100 2 1 1",
        "webhook_deliveries_waiting": "100 10 4 1",
    },
    "webhook_checks": {"webhook_checks_of_trace": "100 2 1"},
}
"""What they are is told in 0001."""


def upgrade() -> None:
    """Make them."""
    _create_subscriptions()
    _create_deliveries()
    _create_checks()
    dialect = op.get_context().dialect.name
    for statement in telling_triggers(dialect):
        op.execute(statement)
    if dialect == "sqlite":
        _write_sqlite_statistics()


def downgrade() -> None:
    """Drop them."""
    is_postgres = op.get_context().dialect.name == "postgresql"
    for trigger in TRIGGERS:
        op.execute(f"DROP TRIGGER {trigger} ON jobs" if is_postgres else f"DROP TRIGGER {trigger}")
    if is_postgres:
        for function in FUNCTIONS:
            op.execute(f"DROP FUNCTION {function}")
    for table in ("webhook_checks", "webhook_deliveries", "webhook_subscriptions"):
        op.drop_table(table)


def _create_subscriptions() -> None:
    op.create_table(
        "webhook_subscriptions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("events", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="webhook_subscriptions_pkey"),
        sa.UniqueConstraint("trace_id", "job_id", "url", name="webhook_subscriptions_trace_id_key"),
    )
    op.create_index("webhook_subscriptions_by_time", "webhook_subscriptions", ["created_at", "id"])


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("subscription_id", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("tried", sa.JSON()),
        sa.Column("delivered_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("number", name="webhook_deliveries_pkey"),
        sa.UniqueConstraint("id", name="webhook_deliveries_id_key"),
    )
    for name, columns in (
        ("by_time", ["created_at", "id"]),
        ("of_status", ["status", "created_at", "id"]),
        ("of_trace", ["trace_id", "created_at", "id"]),
        ("of_job", ["job_id", "created_at", "id"]),
    ):
        op.create_index(f"webhook_deliveries_{name}", "webhook_deliveries", columns)
    is_pending = sa.text("status = 'pending'")
    for name, columns in (
        ("due", ["due_at", "number", "origin"]),
        ("waiting", ["subscription_id", "job_id", "number"]),
    ):
        op.create_index(
            f"webhook_deliveries_{name}",
            "webhook_deliveries",
            columns,
            sqlite_where=is_pending,
            postgresql_where=is_pending,
        )


def _create_checks() -> None:
    op.create_table(
        "webhook_checks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("subscription_id", sa.String()),
        sa.PrimaryKeyConstraint("id", name="webhook_checks_pkey"),
    )
    op.create_index("webhook_checks_of_trace", "webhook_checks", ["trace_id", "id"])


def _write_sqlite_statistics() -> None:
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    rows = [
        {"tbl": table, "idx": index, "stat": figures}
        for table, indexes in _SQLITE_STATISTICS.items()
        for index, figures in indexes.items()
    ]
    op.bulk_insert(statistics, rows)
    op.execute("ANALYZE sqlite_schema")  # has this connection read them
