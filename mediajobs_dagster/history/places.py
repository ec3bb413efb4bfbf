"""Where a job that waits stands: how many go before it in the queue, and in the batch of its run."""

from __future__ import annotations

import sqlalchemy as sa

from mediajobs_dagster.history.clock import db_now
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import IS_FREE, IS_WAITING, jobs

COUNTED = 10_000
"""Jobs ahead are counted so far; there may be more."""


class Places:
    """Reads the table of jobs in the order in which dispatch takes them."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def ahead_in_queue(self, job_id: str) -> int:
        """How many jobs of its type that are due go before a job of the queue; COUNTED at most."""
        own = jobs.alias("own")
        is_before = sa.or_(
            jobs.c.priority > own.c.priority,
            sa.and_(
                jobs.c.priority == own.c.priority, sa.tuple_(jobs.c.turn, jobs.c.id) < sa.tuple_(own.c.turn, own.c.id)
            ),
        )
        ahead = (
            sa.select(jobs.c.id)
            .join(own, own.c.job_type == jobs.c.job_type)
            .where(own.c.id == job_id, IS_FREE_HERE, jobs.c.not_before <= db_now(), is_before)
            .limit(COUNTED)
        )
        return self._count(ahead)

    def ahead_in_dispatch(self, job_id: str) -> int:
        """How many jobs of the same batch wait to be claimed before a job."""
        own = jobs.alias("own")
        is_before = sa.or_(
            jobs.c.priority > own.c.priority, sa.and_(jobs.c.priority == own.c.priority, jobs.c.id < own.c.id)
        )
        ahead = (
            sa.select(jobs.c.id)
            .join(own, own.c.dispatch_id == jobs.c.dispatch_id)
            .where(own.c.id == job_id, IS_WAITING_HERE, is_before)
            .limit(COUNTED)
        )
        return self._count(ahead)

    def _count(self, ahead: sa.Select[tuple[str]]) -> int:
        with self._database.read() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(ahead.subquery())) or 0


# With the name of the table: the other one of the join has the same columns.
IS_FREE_HERE = sa.text(str(IS_FREE.text).replace("status", "jobs.status").replace("dispatch_id", "jobs.dispatch_id"))
IS_WAITING_HERE = sa.text(str(IS_WAITING.text).replace("status", "jobs.status"))
