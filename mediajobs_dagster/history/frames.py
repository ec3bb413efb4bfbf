"""The history as data frames: attempts, jobs and stages, for notebooks, tables and files.

Columns are named as the fields of `models.Attempt` and `models.Job`, which say what they mean; the ones of stages are
described below. Each has one of the types of `ColumnType`; an unknown value is a missing value. A selection without
rows gives a frame with the same columns.

Frames come in chunks (`attempt_frames`, …), for any number of rows, or whole (`attempt_frame`, …), for a selection that
fits into memory: a million attempts take about a gigabyte.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from enum import StrEnum
from itertools import islice
from typing import Any

from mediajobs_dagster.history.attempts import AttemptFilter, outputs_of
from mediajobs_dagster.history.history import History
from mediajobs_dagster.history.job_filter import JobFilter
from mediajobs_dagster.models import Attempt, Job, JsonObject

Frame = Any
"""A pandas.DataFrame; pandas ships no types."""

ROWS_AT_ONCE = 10_000
"""Rows in one chunk."""
_NAMED_AT_ONCE = 500
"""Attempts whose subjects are looked up at once."""


class ColumnType(StrEnum):
    """What a column holds. The value is pandas' name of the type."""

    TEXT = "string"
    """JSON too, as text."""
    WHOLE = "Int64"
    NUMBER = "float64"
    FLAG = "boolean"
    MOMENT = "datetime64[us, UTC]"
    """A day is given as its first moment."""


Columns = Mapping[str, ColumnType]
Names = Callable[[Sequence[Attempt]], Mapping[str, str]]
"""The names of the subjects of attempts, by the ids of their jobs: `Naming.of_attempts`."""

_TEXT, _WHOLE, _NUMBER, _MOMENT = ColumnType.TEXT, ColumnType.WHOLE, ColumnType.NUMBER, ColumnType.MOMENT

ATTEMPT_COLUMNS: Columns = {
    "id": _TEXT,
    "job_id": _TEXT,
    "job_name": _TEXT,
    "attempt": _WHOLE,
    "run_id": _TEXT,
    "trace_id": _TEXT,
    "status": _TEXT,
    "started_at": _MOMENT,
    "completed_at": _MOMENT,
    "duration_ms": _WHOLE,
    "queue_ms": _WHOLE,
    "rtf": _NUMBER,
    "ffmpeg_ms": _WHOLE,
    "bytes_in": _WHOLE,
    "bytes_out": _WHOLE,
    "cpu_seconds": _NUMBER,
    "max_rss_mb": _NUMBER,
    "width": _WHOLE,
    "height": _WHOLE,
    "fps": _NUMBER,
    "video_codec": _TEXT,
    "media_seconds": _NUMBER,
    "input_bytes": _WHOLE,
    "instance_type": _TEXT,
    "threads": _WHOLE,
    "side_by_side": _WHOLE,
    "host": _TEXT,
    "error_code": _TEXT,
    "blame": _TEXT,
    "error": _TEXT,
    "result": _TEXT,
    "created_at": _MOMENT,
    "wasted_ms": _WHOLE,
    "output_files": _WHOLE,
    "output_bytes": _WHOLE,
    "subject_name": _TEXT,
}
"""The columns of attempts. The last four: milliseconds wasted, files made, bytes of these files, and what people call
the subject (a file name or a title), as long as it is known."""

JOB_COLUMNS: Columns = {
    "id": _TEXT,
    "job_type": _TEXT,
    "subject_id": _TEXT,
    "subject_day": _MOMENT,
    "trace_id": _TEXT,
    "params": _TEXT,
    "priority": _WHOLE,
    "parent_job_id": _TEXT,
    "max_attempts": _WHOLE,
    "idempotency_key": _TEXT,
    "force": ColumnType.FLAG,
    "status": _TEXT,
    "attempts": _WHOLE,
    "not_before": _MOMENT,
    "dispatch_id": _TEXT,
    "lease_expires_at": _MOMENT,
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
    "error_code": _TEXT,
}
"""The columns of jobs."""

STAGE_COLUMNS: Columns = {
    "attempt_id": _TEXT,
    "job_id": _TEXT,
    "job_name": _TEXT,
    "attempt_status": _TEXT,
    "attempt_created_at": _MOMENT,
    "position": _WHOLE,
    "stage": _TEXT,
    "status": _TEXT,
    "started_at": _MOMENT,
    "duration_ms": _WHOLE,
}
"""The columns of stages. `position` counts from 0; `status` is `ok` or the code of an error."""


# --- attempts --------------------------------------------------------------------------------------------------------


def attempt_frame(history: History, filter: AttemptFilter | None = None) -> Frame:
    """The attempts that match the filter, the newest first, with ATTEMPT_COLUMNS."""
    return _whole(attempt_frames(history, filter))


def attempt_frames(history: History, filter: AttemptFilter | None = None) -> Iterator[Frame]:
    """The same in chunks; without rows, one empty chunk."""
    return frames_of(history.attempts.iterate(filter or AttemptFilter()), history.naming.of_attempts)


def frames_of(attempts: Iterable[Attempt], names: Names) -> Iterator[Frame]:
    """These attempts in chunks with ATTEMPT_COLUMNS; without attempts, one empty chunk."""
    return _chunks(ATTEMPT_COLUMNS, (_attempt_row(*each) for each in with_names(attempts, names)))


def with_names(attempts: Iterable[Attempt], names: Names) -> Iterator[tuple[Attempt, str | None]]:
    """Each attempt with what people call its subject."""
    rest = iter(attempts)
    while chunk := list(islice(rest, _NAMED_AT_ONCE)):
        known = names(chunk)
        yield from ((each, known.get(each.job_id or "")) for each in chunk)


def _attempt_row(attempt: Attempt, name: str | None) -> dict[str, Any]:
    outputs = outputs_of(attempt.result)
    return {name: getattr(attempt, name) for name in Attempt.model_fields} | {
        "result": _as_text(attempt.result),
        "wasted_ms": attempt.wasted_ms,
        "output_files": len(outputs),
        "output_bytes": sum(int(output.get("bytes") or 0) for output in outputs),
        "subject_name": name,
    }


# --- jobs ------------------------------------------------------------------------------------------------------------


def job_frame(history: History, filter: JobFilter | None = None) -> Frame:
    """The jobs that match the filter, the newest first, with JOB_COLUMNS."""
    return _whole(job_frames(history, filter))


def job_frames(history: History, filter: JobFilter | None = None) -> Iterator[Frame]:
    """The same in chunks; without rows, one empty chunk."""
    return _chunks(JOB_COLUMNS, map(_job_row, history.jobs.iterate(filter or JobFilter())))


def _job_row(job: Job) -> dict[str, Any]:
    row = {name: getattr(job, name) for name in JOB_COLUMNS}
    return row | {"params": _as_text(job.params), "subject_day": _first_moment(job.subject_day)}


def _first_moment(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


# --- stages ----------------------------------------------------------------------------------------------------------


def stage_frame(history: History, filter: AttemptFilter | None = None) -> Frame:
    """The stages of the attempts that match the filter, the newest attempt first, with STAGE_COLUMNS.

    Reads a manifest for each attempt: narrow the filter where there are many.
    """
    return _whole(stage_frames(history, filter))


def stage_frames(history: History, filter: AttemptFilter | None = None) -> Iterator[Frame]:
    """The same in chunks; without rows, one empty chunk."""
    attempts = history.attempts.iterate(filter or AttemptFilter(), with_manifest=True)
    return _chunks(STAGE_COLUMNS, _stage_rows(attempts))


def _stage_rows(attempts: Iterable[Attempt]) -> Iterator[dict[str, Any]]:
    for attempt in attempts:
        common = {
            "attempt_id": attempt.id,
            "job_id": attempt.job_id,
            "job_name": attempt.job_name,
            "attempt_status": attempt.status,
            "attempt_created_at": attempt.created_at,
        }
        for position, stage in enumerate((attempt.manifest or {}).get("stages") or ()):
            started_at = stage.get("startedAt")
            yield common | {
                "position": position,
                "stage": stage["name"],
                "status": stage.get("status"),
                "started_at": datetime.fromisoformat(started_at) if started_at else None,
                "duration_ms": stage["durationMs"],
            }


# --- making frames ---------------------------------------------------------------------------------------------------


def _chunks(columns: Columns, rows: Iterator[dict[str, Any]]) -> Iterator[Frame]:
    chunk = list(islice(rows, ROWS_AT_ONCE))
    yield _frame(columns, chunk)
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        yield _frame(columns, chunk)


def _frame(columns: Columns, rows: list[dict[str, Any]]) -> Frame:
    pandas = _pandas()
    arrays = {name: pandas.array([row[name] for row in rows], dtype=kind.value) for name, kind in columns.items()}
    return pandas.DataFrame(arrays)


def _whole(frames: Iterator[Frame]) -> Frame:
    found = list(frames)
    return found[0] if len(found) == 1 else _pandas().concat(found, ignore_index=True)


def _as_text(value: JsonObject | None) -> str | None:
    # JSON can hold half a surrogate pair, which UTF-8 cannot encode.
    return None if value is None else json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")


def _pandas() -> Any:
    # Importing pandas takes half a second. A worker that needs no frames should not pay for it.
    import pandas  # pyright: ignore[reportMissingTypeStubs]  # it ships none, and what it infers is no use

    return pandas
