"""Tables of what runs unattended, and the names of uploads in one letter case.

Schedules, events, videos, quota, breakers set by hand, actions, alerts and reports get their tables.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_AT_ONCE = 1000
"""Names written at once."""

_uploads = sa.table("uploads", sa.column("id"), sa.column("filename"), sa.column("folded_name"))

_SQLITE_STATISTICS: dict[str, dict[str, str]] = {
    "uploads": {"uploads_named_in_any_case": "1000000 2 1"},
    "scheduled_events": {
        "sqlite_autoindex_scheduled_events_1": "100000 1",
        "sqlite_autoindex_scheduled_events_2": "100000 10000 1",
        "scheduled_events_by_start": "100000 4 1",
        "scheduled_events_of_status": "100000 20000 4 1",
    },
    "videos": {
        "sqlite_autoindex_videos_1": "100000 1",
        "sqlite_autoindex_videos_2": "100000 50000 1",
        "videos_by_publication": "100000 4 1",
        "videos_by_time": "100000 2 1",
        "videos_of_event": "100000 20 1",
    },
    "video_matches": {
        "sqlite_autoindex_video_matches_1": "200000 3 1",
        "video_matches_of_event": "200000 5 1",
    },
    "actions": {
        "sqlite_autoindex_actions_1": "10000 1",
        "actions_by_time": "10000 2 1",
    },
    "alerts": {
        "sqlite_autoindex_alerts_1": "10000 1",
        "alerts_by_time": "10000 2 1",
        "alerts_of_cause": "10000 50 1",
        "alerts_due": "100 2 1",
    },
    "storage_snapshots": {
        "sqlite_autoindex_storage_snapshots_1": "1000 1",
        "storage_snapshots_by_time": "1000 2 1",
    },
}


def upgrade() -> None:
    """Make the tables, which begin empty, and fold the names of the uploads."""
    _fold_names()
    _create_schedules()
    _create_scheduled_events()
    _create_videos()
    _create_video_matches()
    _create_video_searches()
    _create_quota_ledger()
    _create_breaker_switches()
    _create_actions()
    _create_alerts()
    _create_storage_snapshots()
    if op.get_context().dialect.name == "sqlite":
        _write_sqlite_statistics()


def _fold_names() -> None:
    connection = op.get_bind()
    collation = "C" if connection.dialect.name == "postgresql" else None
    column = sa.Column("folded_name", sa.Text(collation=collation), nullable=False, server_default="")
    op.add_column("uploads", column)
    setting = (
        sa.update(_uploads).where(_uploads.c.id == sa.bindparam("of_id")).values(folded_name=sa.bindparam("folded"))
    )
    last = ""
    while True:
        reading = sa.select(_uploads.c.id, _uploads.c.filename).where(_uploads.c.id > last)
        rows = connection.execute(reading.order_by(_uploads.c.id).limit(_AT_ONCE)).all()
        if not rows:
            break
        connection.execute(setting, [{"of_id": row.id, "folded": row.filename.casefold()} for row in rows])
        last = rows[-1].id
    op.create_index("uploads_named_in_any_case", "uploads", ["folded_name", "id"])


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


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


def _create_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("times", sa.String(), nullable=False),
        sa.Column("last_moment", sa.DateTime(timezone=True), nullable=False),
        sa.Column("missed_at", sa.DateTime(timezone=True)),
        sa.Column("missed", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("missed_in_all", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("name", name="schedules_pkey"),
        sqlite_with_rowid=False,
    )


def _create_scheduled_events() -> None:
    op.create_table(
        "scheduled_events",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("participants", sa.JSON()),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
        sa.Column("is_all_day", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("raw", sa.JSON()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="scheduled_events_pkey"),
        sa.UniqueConstraint("source", "external_id", name="scheduled_events_source_key"),
    )
    op.create_index("scheduled_events_by_start", "scheduled_events", ["starts_at", "id"])
    op.create_index("scheduled_events_of_status", "scheduled_events", ["status", "starts_at", "id"])


def _create_videos() -> None:
    op.create_table(
        "videos",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text()),
        sa.Column("channel", sa.Text()),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        sa.Column("duration_seconds", sa.Double[float]()),
        sa.Column("found_by", sa.String(), nullable=False),
        sa.Column("found_in", sa.Text(), nullable=False),
        sa.Column("event_id", sa.String()),
        sa.Column("linked_by", sa.String()),
        sa.Column("linked_at", sa.DateTime(timezone=True)),
        sa.Column("removed_at", sa.DateTime(timezone=True)),
        sa.Column("checked_at", sa.DateTime(timezone=True)),
        sa.Column("trace_id", sa.String()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="videos_pkey"),
        sa.ForeignKeyConstraint(
            ["event_id"], ["scheduled_events.id"], name="videos_event_id_fkey", ondelete="SET NULL"
        ),
        sa.UniqueConstraint("site", "external_id", name="videos_site_key"),
    )
    op.create_index("videos_by_publication", "videos", ["published_at", "id"])
    op.create_index("videos_by_time", "videos", ["created_at", "id"])
    op.create_index("videos_of_event", "videos", ["event_id", "id"])


def _create_video_matches() -> None:
    op.create_table(
        "video_matches",
        sa.Column("video_id", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("score", sa.Double[float](), nullable=False),
        sa.Column("reasons", sa.JSON()),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("video_id", "event_id", name="video_matches_pkey"),
        sa.ForeignKeyConstraint(
            ["event_id"], ["scheduled_events.id"], name="video_matches_event_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["video_id"], ["videos.id"], name="video_matches_video_id_fkey", ondelete="CASCADE"),
    )
    op.create_index("video_matches_of_event", "video_matches", ["event_id", "score"])


def _create_video_searches() -> None:
    op.create_table(
        "video_searches",
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("searches", sa.BigInteger(), nullable=False),
        sa.Column("searched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="video_searches_pkey"),
        sa.ForeignKeyConstraint(
            ["event_id"], ["scheduled_events.id"], name="video_searches_event_id_fkey", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )


def _create_quota_ledger() -> None:
    op.create_table(
        "quota_ledger",
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("resets_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("units_used", sa.BigInteger(), nullable=False),
        sa.Column("units_limit", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("exhausted_at", sa.DateTime(timezone=True)),
        sa.Column("first_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "resets_at", name="quota_ledger_pkey"),
        sqlite_with_rowid=False,
    )


def _create_breaker_switches() -> None:
    op.create_table(
        "breaker_switches",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "name", name="breaker_switches_pkey"),
        sqlite_with_rowid=False,
    )


def _create_actions() -> None:
    op.create_table(
        "actions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="actions_pkey"),
    )
    op.create_index("actions_by_time", "actions", ["at", "id"])


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("occurrence", sa.String()),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON()),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("reached", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="alerts_pkey"),
    )
    op.create_index("alerts_by_time", "alerts", ["first_at", "id"])
    op.create_index("alerts_due", "alerts", ["due_at", "id"], **_where("sent_at IS NULL"))
    op.create_index("alerts_of_cause", "alerts", ["cause", "first_at"])


def _create_storage_snapshots() -> None:
    op.create_table(
        "storage_snapshots",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("objects", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("report", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="storage_snapshots_pkey"),
    )
    op.create_index("storage_snapshots_by_time", "storage_snapshots", ["taken_at", "id"])


def downgrade() -> None:
    """Drop the tables and the names: code of schema 0004 knows nothing of them."""
    op.drop_index("uploads_named_in_any_case", "uploads")
    op.drop_column("uploads", "folded_name")
    op.drop_table("video_matches")
    op.drop_table("video_searches")
    op.drop_table("videos")
    op.drop_table("scheduled_events")
    op.drop_table("schedules")
    op.drop_table("quota_ledger")
    op.drop_table("breaker_switches")
    op.drop_table("actions")
    op.drop_table("alerts")
    op.drop_table("storage_snapshots")
