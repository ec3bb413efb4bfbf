"""What each machine has failed at and succeeded in lately, by job type: from this follows which machine is broken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.errors import Blame, codes_without_breaker
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import job_counts, job_history
from mediajobs_dagster.models import AttemptStatus

_MOST_FAILURES = 5000
"""The most failures that are looked at, the latest first: many more than it takes to open a breaker."""


@dataclass(frozen=True)
class HostFailure:
    """An attempt that failed by a system or external fault."""

    host: str
    job_type: str
    job: str
    """Tells jobs apart: attempts with the same value count once."""
    error_code: str | None
    at: datetime


@dataclass(frozen=True)
class HostSuccess:
    """When a job type last succeeded on a machine."""

    host: str
    job_type: str
    at: datetime


class Witnesses:
    """Reads the table of attempts by machine."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def failures(self, *, since: datetime) -> tuple[HostFailure, ...]:
        """The attempts that failed by system or external faults since a moment, the latest first.

        All that one run lost when its process died is one job. A job does not count whose later attempt proved its
        input to be at fault.
        """
        of = {"begin": since, "codes": codes_without_breaker()}
        with self._database.read() as connection:
            return tuple(HostFailure(*row) for row in connection.execute(_FAILURES, of))

    def successes(self, *, since: datetime) -> tuple[HostSuccess, ...]:
        """When each job type last succeeded on each machine, if it did since a moment."""
        history = job_history.c
        statement = (
            sa.select(history.host, history.job_name, sa.func.max(history.completed_at))
            .where(
                history.job_name.in_(_TYPES),
                history.status == AttemptStatus.SUCCESS,
                history.completed_at >= since,
                history.host.is_not(None),
            )
            .group_by(history.host, history.job_name)
        )
        with self._database.read() as connection:
            return tuple(HostSuccess(*row) for row in connection.execute(statement))

    def running_on(self, host: str) -> int:
        """How many attempts are under way on a machine."""
        history = job_history.c
        statement = sa.select(sa.func.count()).where(history.status == AttemptStatus.RUNNING, history.host == host)
        with self._database.read() as connection:
            return connection.scalar(statement) or 0


_TYPES = sa.select(job_counts.c.job_type).distinct()


def _failures() -> sa.Select[Any]:
    history, later = job_history.c, job_history.alias("later").c
    lost_with = sa.case((history.status == AttemptStatus.LOST, history.run_id))
    job = sa.func.coalesce(lost_with, history.job_id, history.id).label("job")
    is_of_input = sa.exists().where(
        later.job_id == history.job_id, later.attempt > history.attempt, later.blame == Blame.INPUT
    )
    return (
        sa.select(history.host, history.job_name, job, history.error_code, history.completed_at)
        .where(
            history.job_name.in_(_TYPES),
            history.status.in_((AttemptStatus.FAILURE, AttemptStatus.LOST)),
            history.completed_at >= sa.bindparam("begin"),
            history.blame.in_([blame for blame in Blame if blame.concerns_operators]),
            sa.func.coalesce(history.error_code, "").not_in(sa.bindparam("codes", expanding=True)),
            history.host.is_not(None),
            ~is_of_input,
        )
        .order_by(history.completed_at.desc())
        .limit(_MOST_FAILURES)
    )


# Built once, see `leases.py`: every run asks before it claims.
_FAILURES = _failures()
