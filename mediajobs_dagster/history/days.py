"""How the UTC days stand: what was asked for on the subjects of a day, what of it was made, and what was not, and why.

A subject counts for a job type once a job of that type was asked for on it. It has its output when a success is pointed
at, whatever was tried before or after; otherwise its newest job says where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.paging import of_day
from mediajobs_dagster.history.schema import (
    current_outputs,
    job_history,
    jobs,
    timelines,
    upload_days,
    uploads,
    videos,
)
from mediajobs_dagster.models import JobStatus, SubjectKind

_UNDER_WAY = (*JobStatus.waiting(), JobStatus.PROCESSING)
_MADE = (JobStatus.COMPLETED, JobStatus.SKIPPED)
_OPERATORS = tuple(blame for blame in Blame if blame.concerns_operators)


@dataclass(frozen=True)
class DayStanding:
    """The subjects of one UTC day that one job type was asked for. The figures are those of their current outputs."""

    subjects: int = 0
    made: int = 0
    """Subjects that have their output."""
    waiting: int = 0
    """Subjects whose job is in the queue, at work, or waits for its next attempt."""
    dead: int = 0
    """Subjects without an output whose job is tried no more."""
    faults: int = 0
    """Those of `dead` that the system or a service is to blame for."""
    cancelled: int = 0
    """Subjects without an output whose job was cancelled."""
    duration_ms: int = 0
    ffmpeg_ms: int = 0
    cpu_seconds: float = 0.0
    max_rss_mb: float = 0.0
    """Peak resident memory of the largest command, MiB."""
    bytes_in: int = 0
    bytes_out: int = 0
    media_seconds: float = 0.0
    """Media seconds of the attempts that have a real-time factor."""
    rtf_ms: int = 0
    """Duration of these attempts, milliseconds."""

    @property
    def rtf(self) -> float:
        """Media seconds over processing seconds; 0 where nothing has such a factor."""
        return self.media_seconds / (self.rtf_ms / 1000) if self.rtf_ms else 0.0


@dataclass(frozen=True)
class WithoutOutput:
    """A subject that has no output, because its job is tried no more."""

    subject_id: str
    title: str
    """The file name, or the title of the timeline; of a tick, its id."""
    job_id: str
    code: str | None
    """The code of the error that ended the job."""
    blame: Blame | None
    reason: str
    """The message of that error."""


@dataclass(frozen=True)
class NewestJob:
    """The newest job of one type on a subject."""

    status: JobStatus
    blame: Blame | None
    """Whose fault the end of its last attempt was."""
    key: str
    """Its idempotency key."""


class Days:
    """Reads how the days stand."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def standing(self, job_type: str, kind: SubjectKind, day: date) -> DayStanding:
        """How a day stands for one job type, whose subjects are of that kind."""
        subject, asked = _asked(job_type, kind, day)
        groups = (
            sa.select(
                *(column.label(name) for name, column in _GROUP.items()),
                sa.func.count(subject.c.id).label("subjects"),
                *(sa.func.coalesce(column, 0).label(name) for name, column in _SUMS.items()),
            )
            .select_from(asked)
            .where(*_on_day(kind, day))
            .group_by(*_GROUP.values())
        )
        with self._database.read() as connection:
            return _standing_of(connection.execute(groups).all())

    def without_output(self, job_type: str, kind: SubjectKind, day: date, *, limit: int) -> list[WithoutOutput]:
        """The subjects of a day without an output whose job is tried no more, oldest first, at most `limit`."""
        subject, asked = _asked(job_type, kind, day)
        statement = (
            sa.select(
                subject.c.id.label("subject_id"),
                _title_in(subject, kind),
                _newest.c.id.label("job_id"),
                _newest.c.error_code,
                _last.c.blame,
                _last.c.error,
            )
            .select_from(asked)
            .where(*_on_day(kind, day), ~_IS_MADE, _newest.c.status == JobStatus.DEAD)
            .order_by(subject.c.created_at, subject.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_without_output(row) for row in connection.execute(statement)]

    def newest_jobs(self, job_type: str, subject_ids: Sequence[str]) -> dict[str, NewestJob]:
        """The newest job of that type on each of these subjects, by subject id. Ask for some hundreds at a time."""
        asked = {"of_type": job_type, "of_subjects": list(subject_ids)}
        with self._database.read() as connection:
            return {
                row.subject_id: NewestJob(JobStatus(row.status), Blame(row.blame) if row.blame else None, row.key)
                for row in connection.execute(_NEWEST_JOBS, asked)
            }

    def first(self) -> date | None:
        """The earliest day that a subject may be of; None while there is nothing."""
        first_upload = sa.select(sa.func.min(upload_days.c.day)).where(upload_days.c.uploads > 0)
        # Ticks are stored nowhere, but their jobs are, and are asked for at their moments.
        others = [sa.select(sa.func.min(table.c.created_at)) for table in (timelines, jobs)]
        with self._database.read() as connection:
            day = connection.scalar(first_upload)
            moments = [connection.scalar(each) for each in others]
        return min((each for each in (day, *(moment and moment.date() for moment in moments)) if each), default=None)


_newest = jobs.alias("newest")
_current = current_outputs.alias("current")
_made = job_history.alias("made")
_last = job_history.alias("last")

_IS_MADE = sa.or_(_current.c.attempt_id.is_not(None), _newest.c.status.in_(_MADE))
_GROUP = {
    "is_made": sa.case((_IS_MADE, 1), else_=0),
    "status": _newest.c.status,
    "blame": _last.c.blame,
}
_has_rtf = _made.c.rtf.is_not(None)
_SUMS: dict[str, sa.ColumnElement[Any]] = {
    **{name: sa.func.sum(_made.c[name]) for name in ("duration_ms", "ffmpeg_ms", "bytes_in", "bytes_out")},
    "cpu_seconds": sa.func.sum(_made.c.cpu_seconds),
    "max_rss_mb": sa.func.max(_made.c.max_rss_mb),
    "media_seconds": sa.func.sum(sa.case((_has_rtf, _made.c.media_seconds))),
    "rtf_ms": sa.func.sum(sa.case((_has_rtf, _made.c.duration_ms))),
}


def _newest_jobs() -> sa.Select[Any]:
    rank = sa.func.row_number().over(
        partition_by=jobs.c.subject_id, order_by=(jobs.c.created_at.desc(), jobs.c.id.desc())
    )
    ranked = (
        sa.select(
            *(jobs.c[name] for name in ("id", "subject_id", "status", "attempts", "idempotency_key")), rank.label("age")
        )
        .where(
            jobs.c.subject_id.in_(sa.bindparam("of_subjects", expanding=True)),
            jobs.c.job_type == sa.bindparam("of_type"),
        )
        .subquery()
    )
    is_last = sa.and_(_last.c.job_id == ranked.c.id, _last.c.attempt == ranked.c.attempts)
    return (
        sa.select(ranked.c.subject_id, ranked.c.status, _last.c.blame, ranked.c.idempotency_key.label("key"))
        .select_from(ranked.outerjoin(_last, is_last))
        .where(ranked.c.age == 1)
    )


_NEWEST_JOBS = _newest_jobs()


def _asked(job_type: str, kind: SubjectKind, day: date) -> tuple[sa.FromClause, sa.FromClause]:
    """The subjects, and these joined with their newest job, its last attempt, and the attempt that is pointed at."""
    subject = _subjects(job_type, kind, day)
    inner = jobs.alias("inner_jobs")
    newest_id = (
        sa.select(inner.c.id)
        .where(inner.c.subject_id == subject.c.id, inner.c.job_type == job_type)
        .order_by(inner.c.created_at.desc(), inner.c.id.desc())
        .limit(1)
        .correlate(subject)
        .scalar_subquery()
    )
    is_current = sa.and_(_current.c.subject_id == subject.c.id, _current.c.job_type == job_type)
    is_last = sa.and_(_last.c.job_id == _newest.c.id, _last.c.attempt == _newest.c.attempts)
    return subject, (
        subject.join(_newest, _newest.c.id == newest_id)
        .outerjoin(_current, is_current)
        .outerjoin(_made, _made.c.id == _current.c.attempt_id)
        .outerjoin(_last, is_last)
    )


def _subjects(job_type: str, kind: SubjectKind, day: date) -> sa.FromClause:
    match kind:
        case SubjectKind.UPLOAD:
            return uploads
        case SubjectKind.TIMELINE:
            return timelines
        case SubjectKind.VIDEO:
            return videos
        case SubjectKind.TICK:
            moments = sa.select(jobs.c.subject_id.label("id"), sa.func.min(jobs.c.created_at).label("created_at"))
            is_asked = sa.and_(jobs.c.job_type == job_type, jobs.c.subject_day == day)
            return moments.where(is_asked).group_by(jobs.c.subject_id).subquery("ticks")


def _on_day(kind: SubjectKind, day: date) -> Sequence[sa.ColumnElement[bool]]:
    table = {SubjectKind.UPLOAD: uploads, SubjectKind.TIMELINE: timelines, SubjectKind.VIDEO: videos}.get(kind)
    return () if table is None else of_day(table, day)  # ticks were selected by their day


def _title_in(subject: sa.FromClause, kind: SubjectKind) -> sa.ColumnElement[Any]:
    match kind:
        case SubjectKind.UPLOAD:
            return subject.c.filename.label("title")
        case SubjectKind.TIMELINE | SubjectKind.VIDEO:
            return subject.c.title.label("title")
        case SubjectKind.TICK:
            return subject.c.id.label("title")


def _standing_of(groups: Sequence[Any]) -> DayStanding:
    def count(*, made: bool, statuses: Sequence[str] = tuple(JobStatus), blames: Sequence[str] | None = None) -> int:
        return sum(
            group.subjects
            for group in groups
            if bool(group.is_made) is made and group.status in statuses and (blames is None or group.blame in blames)
        )

    def total(name: str) -> float:
        return sum(float(getattr(group, name)) for group in groups)

    return DayStanding(
        subjects=sum(group.subjects for group in groups),
        made=count(made=True),
        waiting=count(made=False, statuses=_UNDER_WAY),
        dead=count(made=False, statuses=(JobStatus.DEAD,)),
        faults=count(made=False, statuses=(JobStatus.DEAD,), blames=_OPERATORS),
        cancelled=count(made=False, statuses=(JobStatus.CANCELLED,)),
        duration_ms=int(total("duration_ms")),
        ffmpeg_ms=int(total("ffmpeg_ms")),
        cpu_seconds=total("cpu_seconds"),
        max_rss_mb=max((float(group.max_rss_mb) for group in groups), default=0.0),
        bytes_in=int(total("bytes_in")),
        bytes_out=int(total("bytes_out")),
        media_seconds=total("media_seconds"),
        rtf_ms=int(total("rtf_ms")),
    )


def _without_output(row: Any) -> WithoutOutput:
    return WithoutOutput(
        subject_id=row.subject_id,
        title=row.title,
        job_id=row.job_id,
        code=row.error_code,
        blame=Blame(row.blame) if row.blame else None,
        reason=row.error or "",
    )


def first_day_of(url: str, *, timeout_s: float) -> date | None:
    """The earliest day of the database at that address, as it is: nothing is made or migrated.

    None when there is no database or nothing in it. Raises SettingsError, DatabaseUnavailableError, DatabaseBusyError.
    """
    database = Database(url, timeout_s=timeout_s)
    try:
        if database.is_sqlite and not database.sqlite_path.exists():
            return None
        with database.read() as connection:
            tables = sa.inspect(connection).get_table_names()
        return Days(database).first() if {upload_days.name, timelines.name, jobs.name} <= set(tables) else None
    finally:
        database.close()
