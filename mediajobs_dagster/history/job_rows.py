"""Reads and changes rows of the table of jobs, within a transaction of the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.errors import IllegalTransitionError, NotFoundError
from mediajobs_dagster.history.clock import db_now
from mediajobs_dagster.history.schema import jobs
from mediajobs_dagster.models import Job, JobStatus

JOB_COLUMNS = tuple(jobs.c[name] for name in Job.model_fields)

_LOCKING = sa.select(*JOB_COLUMNS).where(jobs.c.id == sa.bindparam("of_job")).with_for_update()

NO_LEASE: dict[str, Any] = {"dispatch_id": None, "lease_expires_at": None}


def job_of(row: Mapping[Any, Any]) -> Job:
    """The job in a row that holds all of JOB_COLUMNS."""
    return Job.model_validate(dict(row))


def lock_job(connection: sa.Connection, job_id: str | None) -> Job:
    """Read a job that nobody else can change until the transaction ends. Raises NotFoundError."""
    row = connection.execute(_LOCKING, {"of_job": job_id}).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"There is no job {job_id}.")
    return job_of(row)


def set_job(connection: sa.Connection, job_id: str, change: dict[str, Any]) -> Job:
    """Change some columns of a job."""
    statement = sa.update(jobs).where(jobs.c.id == job_id).values(**change, updated_at=db_now()).returning(*JOB_COLUMNS)
    return job_of(connection.execute(statement).mappings().one())


def check_transition(job: Job, to: JobStatus) -> None:
    """Raise IllegalTransitionError unless the job may become `to`."""
    if not job.status.may_become(to):
        if job.status is to:
            raise IllegalTransitionError(f"Job {job.id} is {to} already. `mediajobs why {job.id}` says why.")
        raise IllegalTransitionError(f"Job {job.id} is {job.status} and cannot become {to}.")
