"""The tables of the history database, as SQLAlchemy Core metadata.

`migrations/` builds them; a test holds the two together. Every index serves a query of this folder and is named for it.

Triggers, which only the migrations know, keep the counts: see `migrations/counting.py`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.history.manifest_words import MANIFESTS
from mediajobs_dagster.history.packing import compact_json

SCHEMA_VERSION = "0012"
"""The newest migration: the schema that this code works with."""


AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
"""What the database holds where something is due at once."""


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment: timezone-aware UTC in Python on every dialect. A naive datetime is refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy sets the signature
        """Convert to UTC; SQLite keeps no zone, so all its rows are UTC by this."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone. Use models.utc_now(), or say which zone is meant.")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy sets the signature
        """Return the moment in UTC, whatever the time zone of the session."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class DueMoment(UtcDateTime):
    """When something is due; None: at once. What is due at once does not wait if the clock is set back.

    In the database, `at once` is a moment that has long passed, so one comparison finds all that is due.
    """

    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime:
        """Write None as the moment that has long passed."""
        return super().process_bind_param(value, dialect) or AT_ONCE

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Read that moment as None."""
        moment = super().process_result_value(value, dialect)
        return None if moment == AT_ONCE else moment


class ForeignText(sa.TypeDecorator[str]):
    """Text from outside (file names, messages of programs), changed so that every database can store it.

    PostgreSQL takes no NUL character, and no database takes half a surrogate pair.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002  # SQLAlchemy sets the signature
        """Replace characters that cannot be stored."""
        if value is None:
            return None
        return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\N{REPLACEMENT CHARACTER}")


class FoldedText(ForeignText):
    """Text in which names are looked for: put in one letter case by `folded`, and ordered by its characters alone.

    So the names that begin alike lie between two bounds, in whatever language the database was set up.
    """

    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        """The type in the database."""
        return sa.Text(collation="C" if dialect.name == "postgresql" else None)


def folded(name: str) -> str:
    """A name in one letter case, whatever its script."""
    return name.casefold()


class PackedJson(sa.TypeDecorator[Any]):
    """JSON that is large and that no query looks into: packed on SQLite; PostgreSQL compresses it by itself.

    Rows of earlier versions have it as text, and are read as well.
    """

    impl = sa.JSON
    cache_ok = True

    def __init__(self) -> None:
        """None is stored as NULL."""
        super().__init__(none_as_null=True)

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        """What is sent to the database for a value."""
        return _packed if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """The value for what the database holds."""
        return _unpacked if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _packed(value: Any) -> bytes | None:
    return None if value is None else MANIFESTS.pack(compact_json(value))


def _unpacked(value: Any) -> Any:
    if value is None:
        return None
    return json.loads(MANIFESTS.unpack(value) if isinstance(value, bytes) else value)


metadata = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
    }
)


def _sum(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def _json(name: str) -> sa.Column[Any]:
    # json, not jsonb: the text is kept as it was written, and jsonb refuses \u0000, which hostile media can bring.
    return sa.Column(name, sa.JSON(none_as_null=True))


uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("storage_key", sa.String, nullable=False),
    sa.Column("filename", ForeignText, nullable=False),
    # The file name by `folded`, taken when the row is written: it is looked for in any letter case.
    sa.Column("folded_name", FoldedText, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("etag", sa.String, nullable=False),
    sa.Column("origin", ForeignText, unique=True),
    _json("media_info"),
    # Media milliseconds, taken from media_info when the row is written, so that sums need not open it.
    sa.Column("media_ms", sa.BigInteger),
    _json("asked_types"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("trace_id", sa.String, nullable=False),
    # Of one that was fetched: where it is from, and what was told of it there.
    _json("details"),
    sa.Index("uploads_by_time", "created_at", "id"),
    sa.Index("uploads_of_trace", "trace_id"),
    sa.Index("uploads_named", "filename", "etag", "id"),
    sa.Index("uploads_named_in_any_case", "folded_name", "id"),
)

timelines = sa.Table(
    "timelines",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _json("document"),
    # Taken from the document when the row is written, so that lists need not open it.
    sa.Column("title", ForeignText, nullable=False),
    sa.Column("etag", sa.String, nullable=False, unique=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("trace_id", sa.String, nullable=False),
    sa.Index("timelines_titled", "title"),
    sa.Index("timelines_by_time", "created_at", "id"),
    sa.Index("timelines_of_trace", "trace_id"),
)

# Literal text, the same in the partial indexes and in the queries: SQLite uses a partial index only for a query that
# repeats its condition word for word, which a bound parameter does not.
IS_WAITING = sa.text("status IN ('queued', 'failed')")
IS_FREE = sa.text("status IN ('queued', 'failed') AND dispatch_id IS NULL")
IS_NEW = sa.text("status = 'queued' AND dispatch_id IS NULL AND attempts = 0")

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("job_type", sa.String, nullable=False),
    sa.Column("subject_id", sa.String, nullable=False),
    sa.Column("subject_day", sa.Date, nullable=False),
    _json("params"),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("trace_id", sa.String, nullable=False),
    sa.Column("parent_job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="SET NULL")),
    sa.Column("force", sa.Boolean, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("max_attempts", sa.Integer, nullable=False),
    # What max_attempts was at first: each retry by hand grants that many again.
    sa.Column("allowance", sa.Integer, nullable=False),
    sa.Column("not_before", DueMoment, nullable=False),
    sa.Column("idempotency_key", sa.String, nullable=False, unique=True),
    sa.Column("dispatch_id", sa.String),
    sa.Column("lease_expires_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("error_code", sa.String),
    _json("progress"),
    # Within a type and a priority, jobs go in the order of their turns: see `turns.py`.
    sa.Column("turn", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    # The span, of ours or of another program, that caused it; NULL: none that is known.
    sa.Column("caused_by_span", sa.String),
    # When a run was given it, before its latest attempt.
    sa.Column("assigned_at", UtcDateTime),
    # The jobs that follow it, one after the other.
    sa.Column("follow_up", sa.JSON, nullable=False, server_default=sa.text("'[]'")),
    sa.Index("jobs_by_time", "created_at", "id"),
    sa.Index("jobs_by_change", "updated_at", "id"),
    sa.Index("jobs_of_type", "job_type", "created_at", "id"),
    sa.Index("jobs_of_status", "status", "created_at", "id"),
    sa.Index("jobs_of_type_and_status", "job_type", "status", "created_at", "id"),
    sa.Index("jobs_of_trace", "trace_id", "created_at", "id"),
    sa.Index("jobs_of_subject", "subject_id", "job_type", "created_at", "id"),
)
sa.Index(
    "jobs_to_assign",
    jobs.c.job_type,
    sa.text("priority DESC"),
    jobs.c.turn,
    jobs.c.id,
    jobs.c.not_before,
    jobs.c.trace_id,
    sqlite_where=IS_FREE,
    postgresql_where=IS_FREE,
)
sa.Index(
    "jobs_to_assign_of_trace",
    jobs.c.trace_id,
    jobs.c.job_type,
    jobs.c.subject_day,
    sa.text("priority DESC"),
    jobs.c.turn,
    jobs.c.id,
    sqlite_where=IS_FREE,
    postgresql_where=IS_FREE,
)
sa.Index(
    "jobs_in_turn",
    *(jobs.c[name] for name in ("job_type", "priority", "turn")),
    sqlite_where=IS_NEW,
    postgresql_where=IS_NEW,
)
sa.Index("jobs_due", jobs.c.job_type, jobs.c.not_before, sqlite_where=IS_FREE, postgresql_where=IS_FREE)
_is_assigned = sa.text("dispatch_id IS NOT NULL")
sa.Index("jobs_of_dispatch", jobs.c.dispatch_id, sqlite_where=_is_assigned, postgresql_where=_is_assigned)
sa.Index("jobs_active", jobs.c.job_type, sqlite_where=_is_assigned, postgresql_where=_is_assigned)
# Most jobs have no error and no parent. Type and status come after the columns that order the list, so that the index
# also decides a filter by them.
_has_error = sa.text("error_code IS NOT NULL")
_OF_ERROR = ("error_code", "created_at", "id")
sa.Index(
    "jobs_of_error",
    *(jobs.c[name] for name in (*_OF_ERROR, "job_type", "status")),
    sqlite_where=_has_error,
    postgresql_where=_has_error,
)
_has_parent = sa.text("parent_job_id IS NOT NULL")
sa.Index(
    "jobs_of_parent",
    *(jobs.c[name] for name in ("parent_job_id", "created_at", "id")),
    sqlite_where=_has_parent,
    postgresql_where=_has_parent,
)
_is_leased = sa.text("lease_expires_at IS NOT NULL")
sa.Index("jobs_leased", jobs.c.lease_expires_at, sqlite_where=_is_leased, postgresql_where=_is_leased)

job_history = sa.Table(
    "job_history",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    # History outlives its job.
    sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="SET NULL")),
    sa.Column("job_name", sa.String, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("run_id", sa.String),
    sa.Column("trace_id", sa.String),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("completed_at", UtcDateTime),
    sa.Column("duration_ms", sa.BigInteger),
    sa.Column("queue_ms", sa.BigInteger),
    sa.Column("rtf", sa.Double[float]()),
    sa.Column("ffmpeg_ms", sa.BigInteger),
    sa.Column("bytes_in", sa.BigInteger),
    sa.Column("bytes_out", sa.BigInteger),
    sa.Column("cpu_seconds", sa.Double[float]()),
    sa.Column("max_rss_mb", sa.Double[float]()),
    sa.Column("host", sa.String),
    sa.Column("error_code", sa.String),
    sa.Column("blame", sa.String),
    # Counted from the result when the row is written, so that statistics need not open it.
    sa.Column("output_files", sa.Integer, nullable=False),
    sa.Column("output_bytes", sa.BigInteger, nullable=False),
    # The cohort: attempts that are alike in these cost about the same.
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("fps", sa.Double[float]()),
    sa.Column("video_codec", sa.String),
    sa.Column("media_seconds", sa.Double[float]()),
    sa.Column("input_bytes", sa.BigInteger),
    sa.Column("instance_type", sa.String),
    sa.Column("threads", sa.Integer),
    sa.Column("side_by_side", sa.Integer),
    # Follows from status and duration; taken when the row is written, so that triggers and frames have one rule.
    _sum("wasted_ms"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("error", ForeignText),
    # Large columns last: SQLite then reads the small ones without following a row into its overflow pages.
    sa.Column("result", PackedJson()),
    sa.Column("manifest", PackedJson()),
    sa.Index("job_history_by_time", "created_at", "id"),
    sa.Index("job_history_of_name", "job_name", "created_at", "id"),
    sa.Index("job_history_of_status", "status", "created_at", "id"),
    sa.Index("job_history_of_name_and_status", "job_name", "status", "created_at", "id"),
    sa.Index("job_history_completed", "job_name", "status", "completed_at"),
    sa.Index("job_history_of_trace", "trace_id", "created_at", "id"),
    sa.Index("job_history_of_run", "run_id", "created_at", "id"),
)
sa.Index(
    "job_history_of_error",
    *(job_history.c[name] for name in (*_OF_ERROR, "job_name", "status")),
    sqlite_where=_has_error,
    postgresql_where=_has_error,
)
_has_job = sa.text("job_id IS NOT NULL")
sa.Index(
    "job_history_of_job",
    job_history.c.job_id,
    job_history.c.attempt,
    unique=True,
    sqlite_where=_has_job,
    postgresql_where=_has_job,
)
# For lists of jobs by what was done at them.
for _name, _column in (("job_history_of_host", "host"), ("job_history_of_duration", "duration_ms")):
    sa.Index(
        _name,
        job_history.c[_column],
        job_history.c.job_id,
        sqlite_where=_has_job,
        postgresql_where=_has_job,
    )

current_outputs = sa.Table(
    "current_outputs",
    metadata,
    # The attempt whose outputs are the current ones of a subject. No foreign keys: they would be looked up for every
    # attempt, and a pointer to a row that is gone finds nothing, which is what it means.
    sa.Column("subject_id", sa.String, primary_key=True),
    sa.Column("job_type", sa.String, primary_key=True),
    sa.Column("attempt_id", sa.String, nullable=False),
    # The attempt that it replaced, whose outputs are removed.
    sa.Column("replaced_id", sa.String),
    sqlite_with_rowid=False,
)

# --- counts, kept by triggers ----------------------------------------------------------------------------------------
# A count is the sum over its slots. SQLite has one writer at a time, and uses slot 0 only. On PostgreSQL each
# transaction counts in a slot of its own, so that none waits for another; `folding.py` adds these up in slot 0.

job_counts = sa.Table(
    "job_counts",
    metadata,
    sa.Column("job_type", sa.String, primary_key=True),
    sa.Column("status", sa.String, primary_key=True),
    sa.Column("slot", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("jobs", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

upload_days = sa.Table(
    "upload_days",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("slot", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("uploads", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("media_ms", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

metric_entries = sa.Table(
    "metric_entries",
    metadata,
    # Attempts that have ended, but are not in the totals yet, with the columns that the totals need.
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("job_name", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("error_code", sa.String),
    sa.Column("host", sa.String),
    sa.Column("duration_ms", sa.BigInteger),
    sa.Column("output_files", sa.Integer, nullable=False),
    sa.Column("output_bytes", sa.BigInteger, nullable=False),
    sa.Column("rtf", sa.Double[float]()),
    sa.Column("media_seconds", sa.Double[float]()),
    sa.Column("cpu_seconds", sa.Double[float]()),
    sa.Column("bytes_in", sa.BigInteger),
    sa.Column("bytes_out", sa.BigInteger),
    sa.Column("wasted_ms", sa.BigInteger),
)

metric_totals = sa.Table(
    "metric_totals",
    metadata,
    # A span of time: `span_s` seconds from `start`; see `spans.py`.
    sa.Column("span_s", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start", UtcDateTime, primary_key=True),
    sa.Column("job_name", sa.String, primary_key=True),
    sa.Column("status", sa.String, primary_key=True),
    sa.Column("error_code", sa.String, primary_key=True),  # empty: none
    sa.Column("duration_class", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("output_files", sa.BigInteger, nullable=False),
    sa.Column("output_bytes", sa.BigInteger, nullable=False),
    # Only of attempts that have a real-time factor: their media, and their duration.
    _sum("rtf_media_ms"),
    _sum("rtf_duration_ms"),
    _sum("cpu_ms"),
    _sum("bytes_in"),
    _sum("bytes_out"),
    _sum("wasted_ms"),
    sqlite_with_rowid=False,
)

# Apart from the totals: in one table, there would be a row for each host in each class of duration.
metric_hosts = sa.Table(
    "metric_hosts",
    metadata,
    sa.Column("span_s", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start", UtcDateTime, primary_key=True),
    sa.Column("job_name", sa.String, primary_key=True),
    sa.Column("status", sa.String, primary_key=True),
    sa.Column("error_code", sa.String, primary_key=True),  # empty: none
    sa.Column("host", sa.String, primary_key=True),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

metric_series = sa.Table(
    "metric_series",
    metadata,
    # What the metrics of the installation count, and how long it took: see `series.py`. Rows of a slot, as above.
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("labels", sa.String, primary_key=True),
    sa.Column("duration_class", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("slot", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("sum_ms", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# --- what runs unattended --------------------------------------------------------------------------------------------

schedules = sa.Table(
    "schedules",
    metadata,
    # The name of the job type that the schedule asks for.
    sa.Column("name", sa.String, primary_key=True),
    # Its cron and time zone. Where they were changed, moments of before are not missed.
    sa.Column("times", sa.String, nullable=False),
    # The latest moment that was asked for, or passed over.
    sa.Column("last_moment", UtcDateTime, nullable=False),
    # When moments were last found to be missed, and how many were, then and altogether.
    sa.Column("missed_at", UtcDateTime),
    sa.Column("missed", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("missed_in_all", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sqlite_with_rowid=False,
)

scheduled_events = sa.Table(
    "scheduled_events",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("external_id", ForeignText, nullable=False),
    sa.Column("title", ForeignText, nullable=False),
    _json("participants"),
    sa.Column("starts_at", UtcDateTime, nullable=False),
    sa.Column("ends_at", UtcDateTime),
    sa.Column("is_all_day", sa.Boolean, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    _json("raw"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    # When its source was asked that had it last. What was learned earlier never replaces what was learned later.
    sa.Column("seen_at", UtcDateTime, nullable=False),
    # When its source was found not to have it any more; NULL: it has it.
    sa.Column("removed_at", UtcDateTime),
    sa.UniqueConstraint("source", "external_id"),
    sa.Index("scheduled_events_by_start", "starts_at", "id"),
    sa.Index("scheduled_events_of_status", "status", "starts_at", "id"),
)

videos = sa.Table(
    "videos",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    # Where it is: the name of the site, and its id there.
    sa.Column("site", sa.String, nullable=False),
    sa.Column("external_id", ForeignText, nullable=False),
    sa.Column("address", ForeignText, nullable=False),
    sa.Column("title", ForeignText, nullable=False),
    sa.Column("channel_id", ForeignText),
    sa.Column("channel", ForeignText),
    sa.Column("published_at", UtcDateTime),
    sa.Column("duration_seconds", sa.Double[float]()),
    # How it was found, such as `feed`, `playlist` or `search`, and by which setting.
    sa.Column("found_by", sa.String, nullable=False),
    sa.Column("found_in", ForeignText, nullable=False),
    sa.Column("event_id", sa.String, sa.ForeignKey("scheduled_events.id", ondelete="SET NULL")),
    # Who decided on event_id: `matching` or `person`; NULL: nobody has.
    sa.Column("linked_by", sa.String),
    sa.Column("linked_at", UtcDateTime),
    # When the site was found not to have it any more; NULL: it has it.
    sa.Column("removed_at", UtcDateTime),
    # When its details, such as its length, were asked for last.
    sa.Column("checked_at", UtcDateTime),
    sa.Column("trace_id", sa.String),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("site", "external_id"),
    sa.Index("videos_by_time", "created_at", "id"),
    sa.Index("videos_by_publication", "published_at", "id"),
    sa.Index("videos_of_event", "event_id", "id"),
)

video_matches = sa.Table(
    "video_matches",
    metadata,
    # How well a video fits an event, and why: kept for every pair that came into question.
    sa.Column("video_id", sa.String, sa.ForeignKey("videos.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("event_id", sa.String, sa.ForeignKey("scheduled_events.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("score", sa.Double[float](), nullable=False),
    _json("reasons"),
    sa.Column("scored_at", UtcDateTime, nullable=False),
    sa.Index("video_matches_of_event", "event_id", "score"),
)

video_searches = sa.Table(
    "video_searches",
    metadata,
    # How often a search was made for videos of an event, and when the last time: each pause is longer than the one
    # before.
    sa.Column("event_id", sa.String, sa.ForeignKey("scheduled_events.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("searches", sa.BigInteger, nullable=False),
    sa.Column("searched_at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
)

quota_ledger = sa.Table(
    "quota_ledger",
    metadata,
    # One row a bucket and period. What is charged never passes `units_limit`.
    sa.Column("bucket", sa.String, primary_key=True),
    sa.Column("resets_at", UtcDateTime, primary_key=True),
    sa.Column("units_used", sa.BigInteger, nullable=False),
    sa.Column("units_limit", sa.BigInteger, nullable=False),
    sa.Column("calls", sa.BigInteger, nullable=False),
    # Since when the service itself says that nothing is left.
    sa.Column("exhausted_at", UtcDateTime),
    sa.Column("first_used_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
)

site_pace = sa.Table(
    "site_pace",
    metadata,
    # One row a site that was asked for anything. `next_at` is when a bucket of one request would be full again.
    sa.Column("site", ForeignText, primary_key=True),
    sa.Column("next_at", UtcDateTime, nullable=False),
    # Until when nobody asks it for anything, because it said so or took us for a robot; and why.
    sa.Column("paused_until", UtcDateTime),
    sa.Column("reason", ForeignText),
    # How often that was in a row: each pause is twice as long as the one before.
    sa.Column("strikes", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

breaker_switches = sa.Table(
    "breaker_switches",
    metadata,
    # Breakers that a person has set: scope is `job_type` or `host`.
    sa.Column("scope", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    # `open`: nothing of it starts. `closed`: failures before `since` do not count.
    sa.Column("state", sa.String, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("reason", ForeignText, nullable=False),
    sa.Column("who", ForeignText, nullable=False),
    sqlite_with_rowid=False,
)

actions = sa.Table(
    "actions",
    metadata,
    # What people and programs did.
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("target", ForeignText, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("reason", ForeignText, nullable=False),
    sa.Column("who", ForeignText, nullable=False),
    _json("details"),
    sa.Index("actions_by_time", "at", "id"),
)

alerts = sa.Table(
    "alerts",
    metadata,
    # The outbox. One row a message: a cause that comes again within its hour counts in the same row.
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("cause", sa.String, nullable=False),
    # What tells one occurrence from the next, so that several who see the same one count it once; NULL: each counts.
    sa.Column("occurrence", sa.String),
    sa.Column("title", ForeignText, nullable=False),
    sa.Column("body", ForeignText, nullable=False),
    _json("details"),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("first_at", UtcDateTime, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("error", ForeignText),
    # The targets that have it already, while others have not.
    _json("reached"),
    sa.Index("alerts_by_time", "first_at", "id"),
    sa.Index("alerts_of_cause", "cause", "first_at"),
)
_is_unsent = sa.text("sent_at IS NULL")
sa.Index("alerts_due", alerts.c.due_at, alerts.c.id, sqlite_where=_is_unsent, postgresql_where=_is_unsent)

storage_snapshots = sa.Table(
    "storage_snapshots",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("taken_at", UtcDateTime, nullable=False),
    sa.Column("objects", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    _json("report"),
    sa.Index("storage_snapshots_by_time", "taken_at", "id"),
)

# --- the HTTP API ----------------------------------------------------------------------------------------------------

requests = sa.Table(
    "requests",
    metadata,
    # What was answered to requests with an idempotency key; status and answer are NULL while one is at work.
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("asked", sa.String, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("answer", sa.Text),
    sa.Index("requests_by_time", "at"),
)

# --- traces ----------------------------------------------------------------------------------------------------------

trace_outbox = sa.Table(
    "trace_outbox",
    metadata,
    # What has ended and is not told yet: a row is written in the transaction that ends an attempt, or a job that had
    # none under way. No foreign keys: what is removed before it was told is not told.
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("attempt_id", sa.String),
    sa.Column("job_id", sa.String, nullable=False),
    # How many attempts the job had had when it was asked for, or last asked for again by hand.
    sa.Column("attempts_before", sa.Integer, nullable=False),
    # How the job ended; NULL: it goes on.
    sa.Column("job_status", sa.String),
    sa.Column("assigned_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Index("trace_outbox_due", "due_at", "id"),
    sqlite_with_rowid=False,
)

# --- who may use the console -----------------------------------------------------------------------------------------

users = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    # `viewer` or `operator`.
    sa.Column("role", sa.String, nullable=False),
    # As argon2 writes it; NULL: comes by a proxy only.
    sa.Column("password_hash", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("password_changed_at", UtcDateTime),
    sa.Column("disabled_at", UtcDateTime),
    sqlite_with_rowid=False,
)

sessions = sa.Table(
    "sessions",
    metadata,
    # The SHA-256 of the cookie.
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("user_name", sa.String, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("last_seen_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("address", ForeignText, nullable=False),
    sa.Column("client", ForeignText, nullable=False),
    sa.Index("sessions_by_user", "user_name"),
    sa.Index("sessions_by_end", "expires_at"),
    sqlite_with_rowid=False,
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", ForeignText, nullable=False),
    # Of the secret.
    sa.Column("sha256", sa.String, nullable=False),
    # `metrics`, `viewer` or `operator`.
    sa.Column("scope", sa.String, nullable=False),
    # Whose it is; NULL: it stands for itself.
    sa.Column("user_name", sa.String),
    sa.Column("created_by", ForeignText, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("last_used_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    sa.Index("tokens_by_secret", "sha256", unique=True),
    sqlite_with_rowid=False,
)

login_attempts = sa.Table(
    "login_attempts",
    metadata,
    # `name:` or `address:`, and which.
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False),
    # When the next attempt may be made.
    sa.Column("free_at", UtcDateTime, nullable=False),
    sa.Index("login_attempts_by_time", "last_at"),
    sqlite_with_rowid=False,
)

# --- webhooks --------------------------------------------------------------------------------------------------------
# Triggers write deliveries and checks when a job changes: see `migrations/telling.py`.

webhook_subscriptions = sa.Table(
    "webhook_subscriptions",
    metadata,
    # Who is told of a trace, or of one job of it. No foreign keys: a job may be gone before all of it was told.
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("trace_id", sa.String, nullable=False),
    # Empty: all jobs of the trace.
    sa.Column("job_id", sa.String, nullable=False),
    sa.Column("url", ForeignText, nullable=False),
    # Scheme, host and port of the address: what is slow for one of its deliveries is so for all.
    sa.Column("origin", sa.String, nullable=False),
    # `*`, or names between commas, such as `,job.completed,job.dead,`.
    sa.Column("events", sa.String, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # When the receiver said that it wants no more.
    sa.Column("ended_at", UtcDateTime),
    sa.UniqueConstraint("trace_id", "job_id", "url"),
    sa.Index("webhook_subscriptions_by_time", "created_at", "id"),
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    # The outbox. Those of one job go out in the order of their numbers.
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    # The `webhook-id`, 32 hexadecimal digits: the same at each try.
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("subscription_id", sa.String, nullable=False),
    sa.Column("event", sa.String, nullable=False),
    sa.Column("trace_id", sa.String, nullable=False),
    # Empty: it is about the trace.
    sa.Column("job_id", sa.String, nullable=False),
    sa.Column("url", ForeignText, nullable=False),
    sa.Column("origin", sa.String, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    # What came of the latest tries.
    _json("tried"),
    sa.Column("delivered_at", UtcDateTime),
    sa.Index("webhook_deliveries_by_time", "created_at", "id"),
    sa.Index("webhook_deliveries_of_status", "status", "created_at", "id"),
    sa.Index("webhook_deliveries_of_trace", "trace_id", "created_at", "id"),
    sa.Index("webhook_deliveries_of_job", "job_id", "created_at", "id"),
)
IS_PENDING = sa.text("status = 'pending'")
for _name, _columns in (("due", ("due_at", "number", "origin")), ("waiting", ("subscription_id", "job_id", "number"))):
    sa.Index(
        f"webhook_deliveries_{_name}",
        *(webhook_deliveries.c[name] for name in _columns),
        sqlite_where=IS_PENDING,
        postgresql_where=IS_PENDING,
    )

webhook_checks = sa.Table(
    "webhook_checks",
    metadata,
    # Traces of which a job has ended, or that somebody asked to be told of: the sender looks whether they are finished.
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("trace_id", sa.String, nullable=False),
    # Only this one is told; NULL: all are.
    sa.Column("subscription_id", sa.String),
    sa.Index("webhook_checks_of_trace", "trace_id", "id"),
)
