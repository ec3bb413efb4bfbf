"""The cohort of each attempt, and totals of real-time factor, CPU time, bytes and wasted time.

Existing attempts get the new values from their manifests, and are added to the new totals. Both work in batches, so
that a large history takes no more memory than a small one.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from alembic import op

from mediajobs_dagster.history.database import insert_or_add
from mediajobs_dagster.history.migrations.counting import ENTRY_0002, attempt_triggers
from mediajobs_dagster.history.schema import UtcDateTime
from mediajobs_dagster.history.spans import SPANS_S, class_of, start_of

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MANIFESTS_AT_ONCE = 500
"""Some have hundreds of kilobytes."""
_ROWS_AT_ONCE = 5_000
_SUMS_AT_ONCE = 20_000

_Object = dict[str, Any]
"""Decoded JSON."""
_SMALL, _LARGE = 2**31 - 1, 2**63 - 1

_COLUMNS_0001 = (
    *("id", "job_id", "job_name", "attempt", "run_id", "trace_id", "status", "started_at", "completed_at"),
    *("duration_ms", "queue_ms", "rtf", "ffmpeg_ms", "bytes_in", "bytes_out", "cpu_seconds", "max_rss_mb", "host"),
    *("error_code", "blame", "output_files", "output_bytes", "created_at", "error", "result", "manifest"),
)
_NEW_COLUMNS: dict[str, str] = {
    "width": "INTEGER",
    "height": "INTEGER",
    "fps": "DOUBLE PRECISION",
    "video_codec": "VARCHAR",
    "media_seconds": "DOUBLE PRECISION",
    "input_bytes": "BIGINT",
    "instance_type": "VARCHAR",
    "threads": "INTEGER",
    "side_by_side": "INTEGER",
    "wasted_ms": "BIGINT",
}

# What ANALYZE would find in a history of a million attempts, see 0001: SQLite forgets it together with the table.
_SQLITE_STATISTICS = {
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
}

_names = ("id", "job_name", "status", "error_code", "duration_ms", "rtf", "media_seconds", "cpu_seconds")
_columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in (*_names, "bytes_in", "bytes_out", "wasted_ms")]
_attempts = sa.table("job_history", *_columns, sa.column("created_at", UtcDateTime()))

_totals = sa.Table(
    "metric_totals",
    sa.MetaData(),
    sa.Column("span_s", sa.Integer, primary_key=True),
    sa.Column("start", UtcDateTime, primary_key=True),
    sa.Column("job_name", sa.String, primary_key=True),
    sa.Column("status", sa.String, primary_key=True),
    sa.Column("error_code", sa.String, primary_key=True),
    sa.Column("duration_class", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.BigInteger) for name in ("attempts", "duration_ms", "output_files", "output_bytes")),
    *(sa.Column(name, sa.BigInteger) for name in ("rtf_media_ms", "rtf_duration_ms", "cpu_ms")),
    *(sa.Column(name, sa.BigInteger) for name in ("bytes_in", "bytes_out", "wasted_ms")),
)


def upgrade() -> None:
    """Add the columns, and fill them from the existing rows."""
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    _widen_counts()
    if is_sqlite:
        _copy_attempts(connection)
    else:
        _extend_attempts(connection)
    for statement in attempt_triggers(connection.dialect.name, ENTRY_0002):
        op.execute(statement)
    _fill_totals(connection)


def downgrade() -> None:
    """There is no way back to 0001: restore a copy of the database."""
    raise NotImplementedError("Schema 0002 cannot be taken back. Restore a copy that was made before the upgrade.")


def _widen_counts() -> None:
    for name in ("rtf", "media_seconds", "cpu_seconds"):
        op.add_column("metric_entries", sa.Column(name, sa.Double[float]()))
    for name in ("bytes_in", "bytes_out", "wasted_ms"):
        op.add_column("metric_entries", sa.Column(name, sa.BigInteger()))
    for name in ("rtf_media_ms", "rtf_duration_ms", "cpu_ms", "bytes_in", "bytes_out", "wasted_ms"):
        op.add_column("metric_totals", sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0")))


# --- attempts --------------------------------------------------------------------------------------------------------


def _copy_attempts(connection: sa.Connection) -> None:
    """Build the table anew: SQLite would add the columns after the manifest, and read through it to reach them."""
    op.rename_table("job_history", "job_history_0001")
    _create_attempts()
    names = (*_COLUMNS_0001, *_NEW_COLUMNS)
    copying = f"INSERT INTO job_history ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    for page in _pages(connection, "job_history_0001", _COLUMNS_0001):
        rows = [(*row, *_figures_of(row.status, row.duration_ms, row.manifest).values()) for row in page]
        connection.exec_driver_sql(copying, cast(Any, rows))
    op.drop_table("job_history_0001")
    _create_indexes()
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.execute(statistics.delete().where(statistics.c.tbl.in_(["job_history", "job_history_0001"])))
    op.bulk_insert(
        statistics,
        [{"tbl": "job_history", "idx": name, "stat": figures} for name, figures in _SQLITE_STATISTICS.items()],
    )
    op.execute("ANALYZE sqlite_schema")  # has this connection read them


def _create_attempts() -> None:
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
        sa.Column("width", sa.Integer()),
        sa.Column("height", sa.Integer()),
        sa.Column("fps", sa.Double[float]()),
        sa.Column("video_codec", sa.String()),
        sa.Column("media_seconds", sa.Double[float]()),
        sa.Column("input_bytes", sa.BigInteger()),
        sa.Column("instance_type", sa.String()),
        sa.Column("threads", sa.Integer()),
        sa.Column("side_by_side", sa.Integer()),
        sa.Column("wasted_ms", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("result", sa.JSON()),
        sa.Column("manifest", sa.JSON()),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="job_history_job_id_fkey", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="job_history_pkey"),
    )


def _create_indexes() -> None:
    by_time = ["created_at", "id"]
    op.create_index("job_history_by_time", "job_history", by_time)
    op.create_index("job_history_completed", "job_history", ["job_name", "status", "completed_at"])
    op.create_index(
        "job_history_of_error",
        "job_history",
        ["error_code", *by_time, "job_name", "status"],
        sqlite_where=sa.text("error_code IS NOT NULL"),
    )
    op.create_index(
        "job_history_of_job",
        "job_history",
        ["job_id", "attempt"],
        unique=True,
        sqlite_where=sa.text("job_id IS NOT NULL"),
    )
    op.create_index("job_history_of_name", "job_history", ["job_name", *by_time])
    op.create_index("job_history_of_name_and_status", "job_history", ["job_name", "status", *by_time])
    op.create_index("job_history_of_run", "job_history", ["run_id", *by_time])
    op.create_index("job_history_of_status", "job_history", ["status", *by_time])
    op.create_index("job_history_of_trace", "job_history", ["trace_id", *by_time])


def _extend_attempts(connection: sa.Connection) -> None:
    """Add the columns where the table is: PostgreSQL keeps a manifest outside of its row."""
    added = {name: f"ADD COLUMN {name} {kind}" for name, kind in _NEW_COLUMNS.items()}
    added["wasted_ms"] += " DEFAULT 0 NOT NULL"
    op.execute(f"ALTER TABLE job_history {', '.join(added.values())}")
    columns = ", ".join(f"{name} {kind}" for name, kind in _NEW_COLUMNS.items())
    filling = sa.text(
        f"UPDATE job_history SET {', '.join(f'{name} = found.{name}' for name in _NEW_COLUMNS)} "
        f"FROM json_to_recordset(CAST(:found AS json)) AS found (id VARCHAR, {columns}) WHERE job_history.id = found.id"
    )
    for page in _pages(
        connection, "job_history", ("id", "status", "duration_ms", "CAST(manifest AS text) AS manifest")
    ):
        found = [{"id": row.id, **_figures_of(row.status, row.duration_ms, row.manifest)} for row in page]
        connection.execute(filling, {"found": json.dumps(found)})


def _pages(connection: sa.Connection, table: str, columns: Sequence[str]) -> Iterator[Sequence[sa.Row[Any]]]:
    """All rows, in the order of their ids, as the driver hands them over."""
    statement = sa.text(f"SELECT {', '.join(columns)} FROM {table} WHERE id > :after ORDER BY id LIMIT :size")
    after = ""
    while page := connection.execute(statement, {"after": after, "size": _MANIFESTS_AT_ONCE}).all():
        yield page
        after = page[-1].id


def _figures_of(status: str, duration_ms: int | None, manifest: str | None) -> dict[str, Any]:
    """The new columns of an attempt, in their order. What a manifest of schema version 1 does not tell is None."""
    told = _decoded(manifest)
    metrics = _object(told, "metrics")
    source = _object(metrics, "input")
    seconds = metrics.get("mediaSeconds")
    if seconds is None and metrics.get("rtfBasis", "input") == "input":
        seconds = source.get("durationSeconds")
    return {
        "width": _whole(source.get("width"), _SMALL),
        "height": _whole(source.get("height"), _SMALL),
        "fps": _number(source.get("fps")),
        "video_codec": _text(source.get("videoCodec")),
        "media_seconds": _number(seconds),
        "input_bytes": _whole(_object(told, "inputSummary").get("bytes"), _LARGE),
        "instance_type": _text(_object(metrics, "host").get("instanceType")),
        "threads": _threads(told),
        "side_by_side": None,
        "wasted_ms": duration_ms or 0 if status in ("failure", "lost", "cancelled") else 0,
    }


def _threads(told: _Object) -> int | None:
    """The most threads that a command was told to use."""
    given = [
        int(value)
        for command in _list(told.get("ffmpegCommands"))
        if isinstance(command, dict)
        for option, value in pairwise(_list(cast(_Object, command).get("argv")))
        if option == "-threads" and str(value).isdecimal()
    ]
    return _whole(max(given, default=None), _SMALL)


def _decoded(manifest: str | None) -> _Object:
    try:
        told: Any = json.loads(manifest or "{}")
    except ValueError:
        return {}
    return cast(_Object, told) if isinstance(told, dict) else {}


def _object(told: _Object, name: str) -> _Object:
    found = told.get(name)
    return cast(_Object, found) if isinstance(found, dict) else {}


def _list(value: object) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []


def _whole(value: object, largest: int) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= largest else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _text(value: object) -> str | None:
    # PostgreSQL takes no NUL character, and no database takes half a surrogate pair.
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\N{REPLACEMENT CHARACTER}")


# --- totals ----------------------------------------------------------------------------------------------------------


class _Key(NamedTuple):
    hour: datetime
    job_name: str
    status: str
    error_code: str
    duration_class: int


_Sums = dict[_Key, list[int]]


def _fill_totals(connection: sa.Connection) -> None:
    """Add what the rows say to the totals.

    An attempt that has not been folded into the totals yet is added as well: its entry has nothing in the new columns,
    so that folding it will not count it a second time.
    """
    sums: _Sums = defaultdict(lambda: [0] * 6)
    statement = sa.select(_attempts).where(_attempts.c.status != "running").order_by(_attempts.c.id)
    after = ""
    while page := connection.execute(statement.where(_attempts.c.id > after).limit(_ROWS_AT_ONCE)).all():
        for row in page:
            _count(sums, row)
        after = page[-1].id
        if len(sums) > _SUMS_AT_ONCE:
            _add_to_totals(connection, sums)
    _add_to_totals(connection, sums)


def _count(sums: _Sums, row: sa.Row[Any]) -> None:
    media_seconds: float | None = row.media_seconds if row.rtf is not None else None
    has_rtf = media_seconds is not None
    figures: tuple[int, ...] = (
        round(media_seconds * 1000) if has_rtf else 0,
        row.duration_ms or 0 if has_rtf else 0,
        round((row.cpu_seconds or 0.0) * 1000),
        row.bytes_in or 0,
        row.bytes_out or 0,
        row.wasted_ms,
    )
    if any(figures):
        hour = start_of(row.created_at, SPANS_S[0])
        total = sums[_Key(hour, row.job_name, row.status, row.error_code or "", class_of(row.duration_ms))]
        for index, figure in enumerate(figures):
            total[index] += figure


def _add_to_totals(connection: sa.Connection, sums: _Sums) -> None:
    for span_s in SPANS_S:
        in_spans: dict[_Key, list[int]] = {}
        for key, figures in sums.items():
            total = in_spans.setdefault(key._replace(hour=start_of(key.hour, span_s)), [0] * len(figures))
            total[:] = map(sum, zip(total, figures, strict=True))
        names = [column.name for column in _totals.c]
        rows = [
            dict(zip(names, (span_s, *key, 0, 0, 0, 0, *figures), strict=True)) for key, figures in in_spans.items()
        ]
        if rows:
            insert_or_add(connection, _totals, rows)
    sums.clear()
