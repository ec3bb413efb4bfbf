"""What people call things: jobs, attempts, uploads, events, runs and traces by ids, beginnings of these, and names.

An id may be given in any letter case and by its beginning, at least LEAST_DIGITS of it. A name is the file name of an
upload, with or without its suffix, or the title of a timeline or an event. What one text can mean is found in all of
these ways, so that nobody acts on the wrong job because two ids begin alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.history.attempts import LIGHT_COLUMNS, attempt_of
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.events import EVENT_COLUMNS, event_of
from mediajobs_dagster.history.job_rows import JOB_COLUMNS, job_of
from mediajobs_dagster.history.schema import job_history, jobs, scheduled_events, timelines, uploads, videos
from mediajobs_dagster.history.uploads import UPLOAD_COLUMNS, is_called, upload_of
from mediajobs_dagster.history.videos import VIDEO_COLUMNS, video_of
from mediajobs_dagster.models import Attempt, Event, Job, Tick, Upload, Video

LEAST_DIGITS = 4
"""Fewer hexadecimal digits of an id name nothing."""
_LEAST_SHOWN = 8
_CHUNK = 1000
"""Ids looked up at once, well below SQLite's limit of bound parameters."""
_HEXADECIMAL = re.compile(r"[0-9a-f-]+")


_NAMING = (
    sa.select(jobs.c.id, jobs.c.subject_id, sa.func.coalesce(uploads.c.filename, timelines.c.title, videos.c.title))
    .outerjoin(uploads, uploads.c.id == jobs.c.subject_id)
    .outerjoin(timelines, timelines.c.id == jobs.c.subject_id)
    .outerjoin(videos, videos.c.id == jobs.c.subject_id)
    .where(jobs.c.id.in_(sa.bindparam("of_jobs", expanding=True)))
)


# Made once: making such a statement takes longer than its answer.
_FILES = sa.select(uploads.c.id, uploads.c.filename).where(uploads.c.id.in_(sa.bindparam("ids", expanding=True)))
_TITLES = sa.select(timelines.c.id, timelines.c.title).where(timelines.c.id.in_(sa.bindparam("ids", expanding=True)))
_VIDEOS = sa.select(videos.c.id, videos.c.title).where(videos.c.id.in_(sa.bindparam("ids", expanding=True)))
_JOB = sa.select(*JOB_COLUMNS).where(jobs.c.id == sa.bindparam("id"))
_ATTEMPT = sa.select(*LIGHT_COLUMNS).where(job_history.c.id == sa.bindparam("id"))


class Naming:
    """Finds what a text can mean, and the names of subjects."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def of_subjects(self, subject_ids: Iterable[str]) -> dict[str, str]:
        """The names of subjects by their ids: file names, titles and moments. Those without a name are left out."""
        ids = sorted(set(subject_ids))
        found = {each: Tick.parse(each).title for each in ids if Tick.is_id(each)}
        with self._database.read() as connection:
            for statement in (_FILES, _TITLES, _VIDEOS):
                ids = [each for each in ids if each not in found]
                for start in range(0, len(ids), _CHUNK):
                    rows = connection.execute(statement, {"ids": ids[start : start + _CHUNK]})
                    found |= {row[0]: row[1] for row in rows}
        return found

    def of_attempts(self, attempts: Sequence[Attempt]) -> dict[str, str]:
        """The names of the subjects of these attempts, by the ids of their jobs; those without one are left out."""
        ids = sorted({each.job_id for each in attempts if each.job_id})
        found: dict[str, str] = {}
        with self._database.read() as connection:
            for start in range(0, len(ids), _CHUNK):
                rows = connection.execute(_NAMING, {"of_jobs": ids[start : start + _CHUNK]})
                named = ((job_id, title or _moment_of(subject_id)) for job_id, subject_id, title in rows)
                found |= {job_id: name for job_id, name in named if name is not None}
        return found

    def jobs(self, text: str, *, limit: int) -> list[Job]:
        """The jobs that `text` can mean, newest first, at most `limit`.

        It is of a job, or of an attempt, run, trace or subject whose jobs are meant.
        """
        with self._database.read() as connection:
            exact = connection.execute(_JOB, {"id": text.lower()}).mappings().all()
            if exact:
                return [job_of(row) for row in exact]
            subjects = _subjects_named(connection, text, limit)
            of_attempts = sa.or_(_begins(job_history.c.id, text), _begins(job_history.c.run_id, text))
            ways = (
                _begins(jobs.c.id, text),
                _begins(jobs.c.trace_id, text),
                _begins(jobs.c.subject_id, text),
                jobs.c.subject_id.in_(subjects),
                jobs.c.id.in_(sa.select(job_history.c.job_id).where(of_attempts).limit(limit)),
            )
            found: dict[str, Job] = {}
            for way in ways:
                statement = sa.select(*JOB_COLUMNS).where(way).limit(limit)
                found |= {row["id"]: job_of(row) for row in connection.execute(statement).mappings()}
        return sorted(found.values(), key=lambda job: job.id, reverse=True)[:limit]

    def attempts(self, text: str, *, limit: int) -> list[Attempt]:
        """The attempts, without manifests, that `text` can mean by their own id or that of their run, newest first."""
        with self._database.read() as connection:
            if exact := connection.execute(_ATTEMPT, {"id": text.lower()}).mappings().all():
                return [attempt_of(row) for row in exact]
            way = sa.or_(_begins(job_history.c.id, text), _begins(job_history.c.run_id, text))
            statement = sa.select(*LIGHT_COLUMNS).where(way).order_by(job_history.c.id.desc()).limit(limit)
            return [attempt_of(row) for row in connection.execute(statement).mappings()]

    def uploads(self, text: str, *, limit: int) -> list[Upload]:
        """The uploads that `text` can mean by their id or name, newest first."""
        with self._database.read() as connection:
            exact = connection.execute(sa.select(*UPLOAD_COLUMNS).where(uploads.c.id == text.lower())).mappings().all()
            if exact:
                return [upload_of(row) for row in exact]
            named = _uploads_named(connection, text, limit)
            way = sa.or_(_begins(uploads.c.id, text), uploads.c.id.in_(named))
            statement = sa.select(*UPLOAD_COLUMNS).where(way).order_by(uploads.c.id.desc()).limit(limit)
            return [upload_of(row) for row in connection.execute(statement).mappings()]

    def events(self, text: str, *, limit: int) -> list[Event]:
        """The events that `text` can mean by their id, their id at the source, or their title or a part of it."""
        columns = scheduled_events.c
        way = sa.or_(_begins(columns.id, text), columns.external_id == text, columns.title == text)
        statement = sa.select(*EVENT_COLUMNS).order_by(columns.starts_at.desc(), columns.id.desc()).limit(limit)
        with self._database.read() as connection:
            for condition in (columns.id == text.lower(), way, _has(columns.title, text)):
                found = connection.execute(statement.where(condition)).mappings().all()
                if found:
                    return [event_of(row) for row in found]
        return []

    def short_ids_of_events(self, ids: Sequence[str]) -> dict[str, str]:
        """Beginnings of these ids, of one length, that are those of no other event."""
        column = scheduled_events.c.id
        before, after = (beside(column).over(order_by=column) for beside in (sa.func.lag, sa.func.lead))
        found = sa.select(column, before.label("before"), after.label("after")).subquery()
        with self._database.read() as connection:
            rows = connection.execute(sa.select(found).where(found.c.id.in_(ids))).all()
        alike = (_alike(each, other or "") for each, *beside in rows for other in beside)
        length = max([_LEAST_SHOWN, *(shared + 1 for shared in alike)])
        return {each: each[:length].rstrip("-") for each in ids}

    def videos(self, text: str, *, limit: int) -> list[Video]:
        """The videos that `text` can mean by their id, their id or page at the site, or their title or a part of it."""
        columns = videos.c
        way = sa.or_(_begins(columns.id, text), columns.external_id == text, columns.address == text)
        statement = sa.select(*VIDEO_COLUMNS).order_by(columns.created_at.desc(), columns.id.desc()).limit(limit)
        with self._database.read() as connection:
            for condition in (columns.id == text.lower(), way, columns.title == text, _has(columns.title, text)):
                found = connection.execute(statement.where(condition)).mappings().all()
                if found:
                    return [video_of(row) for row in found]
        return []

    def traces(self, text: str, *, limit: int) -> list[str]:
        """The traces that `text` can mean by their ids, of jobs, uploads and attempts."""
        return self._distinct(text, limit, jobs.c.trace_id, uploads.c.trace_id, job_history.c.trace_id)

    def runs(self, text: str, *, limit: int) -> list[str]:
        """The runs that `text` can mean by their ids."""
        return self._distinct(text, limit, job_history.c.run_id)

    def subjects(self, text: str, *, limit: int) -> list[str]:
        """The subjects that `text` can mean, by their ids or names."""
        with self._database.read() as connection:
            found = set(_subjects_named(connection, text, limit))
            for column in (uploads.c.id, timelines.c.id, jobs.c.subject_id):
                found.update(connection.scalars(sa.select(column).where(_begins(column, text)).distinct().limit(limit)))
        return [text.lower()] if text.lower() in found else sorted(found, reverse=True)[:limit]

    def _distinct(self, text: str, limit: int, *columns: sa.Column[Any]) -> list[str]:
        found: set[str] = set()
        with self._database.read() as connection:
            for column in columns:
                found.update(connection.scalars(sa.select(column).where(_begins(column, text)).distinct().limit(limit)))
        return [text.lower()] if text.lower() in found else sorted(found)[:limit]


def _alike(one: str, other: str) -> int:
    """How many characters two ids begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _has(column: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
    """Whether a title has `text` in it, in any letter case."""
    return column.icontains(text, autoescape=True) if text.strip() else sa.false()


def _moment_of(subject_id: str) -> str | None:
    return Tick.parse(subject_id).title if Tick.is_id(subject_id) else None


def _begins(column: sa.Column[Any], text: str) -> sa.ColumnElement[bool]:
    """Whether an id begins with `text`, or is it.

    It is between two whole ids, because these have the same order in every collation; beginnings of ids do not.
    """
    lowered = text.lower()
    digits = lowered.replace("-", "")
    if not _HEXADECIMAL.fullmatch(lowered) or not LEAST_DIGITS <= len(digits) <= 32:
        return column == text
    is_plain = column.name == "trace_id"
    first, last = (_shaped(digits.ljust(32, filler), plain=is_plain) for filler in "0f")
    return sa.or_(column.between(first, last), column == text)


def _shaped(digits: str, *, plain: bool) -> str:
    if plain:
        return digits
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _subjects_named(connection: sa.Connection, text: str, limit: int) -> list[str]:
    titled = sa.select(timelines.c.id).where(timelines.c.title == text).order_by(timelines.c.id.desc()).limit(limit)
    if found := [*_uploads_named(connection, text, limit), *connection.scalars(titled)]:
        return found
    # A video that is yet to be fetched. No index has their titles: they are few beside uploads.
    fetched = sa.select(videos.c.id).where(videos.c.title == text).order_by(videos.c.id.desc()).limit(limit)
    return list(connection.scalars(fetched))


def _uploads_named(connection: sa.Connection, text: str, limit: int) -> Sequence[str]:
    """Exactly so if there is one; else in any letter case, with or without the suffix."""
    if not text:
        return []
    newest = sa.select(uploads.c.id).order_by(uploads.c.id.desc()).limit(limit)
    if found := connection.scalars(newest.where(uploads.c.filename == text)).all():
        return found
    return connection.scalars(newest.where(is_called(text))).all()
