"""The turns of jobs: traces are served in turn, so that one video does not wait behind a folder of a thousand.

This is start-time fair queueing: each job of a trace has the turn after that of the job before it, and the first job
of a trace that has none waiting has the turn after the first one that waits. Dispatch takes jobs in the order of their
turns. So a trace that comes along is one round behind at most, and a trace that waits is never overtaken twice by the
same one. It is worked out once, when a job is asked for, and needs no record of who was served last.

Turns count within a job type and a priority, and only jobs that have not been tried: a job that failed keeps its turn,
which has passed by the time that its pause is over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.history.schema import IS_FREE, IS_NEW, jobs

Row = dict[str, Any]
"""The columns of a new job, by name."""


def first_turn(job_type: sa.ColumnElement[str], priority: sa.ColumnElement[int]) -> sa.ScalarSelect[int]:
    """The first turn for which a job of that type and priority waits that has not been tried; NULL if none does."""
    waiting = jobs.alias("waiting")
    turns = sa.select(waiting.c.turn).where(waiting.c.job_type == job_type, waiting.c.priority == priority, IS_NEW)
    return turns.order_by(waiting.c.turn).limit(1).scalar_subquery()


def give_turns(connection: sa.Connection, rows: Sequence[Row]) -> None:
    """Set the turn of each new job, in the order of the rows."""
    of_trace: dict[tuple[str, int, str], list[Row]] = defaultdict(list)
    for row in rows:
        of_trace[row["job_type"], row["priority"], row["trace_id"]].append(row)
    for own in of_trace.values():
        # By day too, because that is how the index finds the last one of a trace.
        days = {row["subject_day"]: row for row in own}
        before = max(turn or 0 for row in days.values() for turn in connection.execute(_TURNS, _names(row)).one())
        for turn, row in enumerate(own, start=before + 1):
            row["turn"] = turn


def _names(row: Row) -> Row:
    return {f"of_{name}": row[name] for name in ("job_type", "priority", "trace_id", "subject_day")}


def _turns() -> sa.Select[tuple[int | None, int | None]]:
    """The last turn of a trace's own jobs that wait, and the first turn of all that wait."""
    job_type, priority = sa.bindparam("of_job_type", type_=sa.String()), sa.bindparam("of_priority", type_=sa.Integer())
    is_own = sa.and_(
        jobs.c.trace_id == sa.bindparam("of_trace_id"),
        jobs.c.job_type == job_type,
        jobs.c.subject_day == sa.bindparam("of_subject_day"),
        jobs.c.priority == priority,
    )
    own = sa.select(jobs.c.turn).where(is_own, IS_FREE).order_by(jobs.c.turn.desc()).limit(1).scalar_subquery()
    return sa.select(own, first_turn(job_type, priority))


# Built once: building the statement takes longer than executing it.
_TURNS = _turns()
