"""Which jobs are meant: a filter, and the conditions that it stands for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from mediajobs_dagster.history.paging import Conditions
from mediajobs_dagster.history.schema import folded, job_history, jobs, timelines, uploads
from mediajobs_dagster.models import JobStatus

_FEW = 2000
"""So many attempts are looked up one by one; among more, the newest jobs are searched for those that have one."""


@dataclass(frozen=True)
class JobFilter:
    """Selects jobs. Every condition that is given must hold."""

    job_type: str | None = None
    statuses: tuple[JobStatus, ...] = ()
    """Empty: any."""
    trace_id: str | None = None
    since: datetime | None = None
    """Created at this moment or later."""
    until: datetime | None = None
    """Created before this moment."""
    subject_id: str | None = None
    error_code: str | None = None
    parent_job_id: str | None = None
    ids: tuple[str, ...] | None = None
    """None: any."""
    host: str | None = None
    """An attempt at the job was made on this machine."""
    longer_than_ms: int | None = None
    """An attempt at the job took this long or longer, milliseconds."""
    shorter_than_ms: int | None = None
    """An attempt at the job took less, milliseconds."""
    text: str | None = None
    """Part of the name of what the job is about, in any letter case."""

    def alternatives(self, connection: sa.Connection) -> list[Conditions]:
        """The filter as alternatives: the conditions for each status that it names, or one list if it names none."""
        parts = [replace(self, statuses=(status,)) for status in dict.fromkeys(self.statuses)]
        return [part.conditions(connection) for part in parts or [self]]

    def conditions(self, connection: sa.Connection) -> Conditions:
        """The filter as conditions on the table `jobs`. What is rare is found by asking first how much there is."""
        equal = {
            jobs.c.job_type: self.job_type,
            jobs.c.trace_id: self.trace_id,
            jobs.c.subject_id: self.subject_id,
            jobs.c.error_code: self.error_code,
            jobs.c.parent_job_id: self.parent_job_id,
        }
        found = [column == value for column, value in equal.items() if value is not None]
        if self.statuses:
            found.append(jobs.c.status.in_(self.statuses))
        if self.since is not None:
            found.append(jobs.c.created_at >= self.since)
        if self.until is not None:
            found.append(jobs.c.created_at < self.until)
        if self.ids is not None:
            found.append(jobs.c.id.in_(self.ids))
        if of_attempt := self._conditions_on_attempts():
            found.append(_has_attempt(connection, of_attempt))
        if self.text is not None:
            found.append(jobs.c.subject_id.in_(called_like(self.text)))
        return found

    def _conditions_on_attempts(self) -> Conditions:
        found: Conditions = []
        if self.host is not None:
            found.append(job_history.c.host == self.host)
        if self.longer_than_ms is not None:
            found.append(job_history.c.duration_ms >= self.longer_than_ms)
        if self.shorter_than_ms is not None:
            found.append(job_history.c.duration_ms < self.shorter_than_ms)
        return found


def _has_attempt(connection: sa.Connection, conditions: Conditions) -> sa.ColumnElement[bool]:
    """Whether a job has an attempt like that.

    Of rare attempts the jobs are looked up. Among frequent ones it is much quicker to go through the newest jobs, and
    no database's planner knows which is which: a list ends after a page. PostgreSQL's has to see the ids, or it goes
    through the newest jobs all the same.
    """
    of_job = job_history.c.job_id.is_not(None)
    some = sa.select(job_history.c.job_id).where(of_job, *conditions)
    counted = sa.select(sa.func.count()).select_from(some.limit(_FEW + 1).subquery())
    if connection.execute(counted).scalar_one() <= _FEW:
        return jobs.c.id.in_(connection.scalars(some).all())
    # The newest jobs may wait for their first attempt, and be many.
    return sa.and_(jobs.c.attempts > 0, sa.exists().where(job_history.c.job_id == jobs.c.id, *conditions))


def called_like(text: str) -> sa.CompoundSelect[tuple[str]]:
    """The ids of the subjects whose names contain `text`, in any letter case; of timelines in that of ASCII letters."""
    of_uploads = sa.select(uploads.c.id).where(uploads.c.folded_name.contains(folded(text), autoescape=True))
    lowered = sa.func.lower(timelines.c.title)
    return sa.union_all(of_uploads, sa.select(timelines.c.id).where(lowered.contains(text.lower(), autoescape=True)))
