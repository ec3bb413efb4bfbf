"""The table of attempts, one row for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.errors import Blame, NotFoundError, codes_without_breaker
from mediajobs_dagster.history.database import Database, insert_or_ignore
from mediajobs_dagster.history.folding import fold_in_turn
from mediajobs_dagster.history.paging import Conditions, newest_of, older_than, pages, starting_after
from mediajobs_dagster.history.schema import job_history, jobs
from mediajobs_dagster.models import Attempt, AttemptStatus, JsonObject

_PAGE = 500
_COLUMNS = tuple(job_history.c[name] for name in Attempt.model_fields)
LIGHT_COLUMNS = tuple(column for column in _COLUMNS if column.name != "manifest")
"""All columns but the manifest, which is large."""


@dataclass(frozen=True)
class AttemptFilter:
    """Selects attempts. Every condition that is given must hold."""

    job_name: str | None = None
    statuses: tuple[AttemptStatus, ...] = ()
    """Empty: any."""
    trace_id: str | None = None
    since: datetime | None = None
    """Created at this moment or later."""
    until: datetime | None = None
    """Created before this moment."""
    error_code: str | None = None
    job_id: str | None = None
    run_id: str | None = None

    def alternatives(self) -> list[Conditions]:
        """The filter as alternatives: the conditions for each status that it names, or one list if it names none."""
        parts = [replace(self, statuses=(status,)) for status in dict.fromkeys(self.statuses)]
        return [part.conditions() for part in parts or [self]]

    def conditions(self) -> Conditions:
        """The filter as conditions on the table `job_history`."""
        columns = job_history.c
        equal = {
            columns.job_name: self.job_name,
            columns.trace_id: self.trace_id,
            columns.error_code: self.error_code,
            columns.job_id: self.job_id,
            columns.run_id: self.run_id,
        }
        found = [column == value for column, value in equal.items() if value is not None]
        if self.statuses:
            found.append(columns.status.in_(self.statuses))
        if self.since is not None:
            found.append(columns.created_at >= self.since)
        if self.until is not None:
            found.append(columns.created_at < self.until)
        return found


@dataclass(frozen=True)
class FailedJob:
    """A job that failed by a system or external fault."""

    job_id: str | None
    """None for a run that failed before it claimed a job."""
    last_at: datetime
    """When it last failed."""
    error_code: str | None
    """The error of that failure."""
    first_at: datetime
    """When it first failed."""
    host: str | None = None
    """The machine on which it last failed."""


AttemptList = list[Attempt]
FailedJobs = list[FailedJob]
AttemptEnds = list[tuple[str | None, datetime | None]]
"""Error codes, and moments."""


_ONE = sa.select(*_COLUMNS).where(job_history.c.id == sa.bindparam("id"))
"""Made once: that takes longer than its answer."""


class Attempts:
    """Reads and writes the table of attempts."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def get(self, attempt_id: str) -> Attempt:
        """The attempt with this id, manifest included. Raises NotFoundError."""
        with self._database.read() as connection:
            row = connection.execute(_ONE, {"id": attempt_id}).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no attempt {attempt_id}.")
        return attempt_of(row)

    def exists(self, attempt_id: str) -> bool:
        """Whether there is a row with this id. Takes no lock."""
        with self._database.read() as connection:
            return connection.scalar(sa.select(job_history.c.id).where(job_history.c.id == attempt_id)) is not None

    def of_job(self, job_id: str) -> AttemptList:
        """Every attempt at a job, the oldest first, manifests included."""
        return self._select(sa.select(*_COLUMNS).where(job_history.c.job_id == job_id).order_by(job_history.c.attempt))

    def latest_of(self, job_ids: Sequence[str]) -> dict[str, Attempt]:
        """The latest attempt at each of these jobs, without manifests, by the ids of the jobs. Ask for some hundred."""
        history, newer = job_history.c, job_history.alias("newer").c
        is_latest = ~sa.exists().where(newer.job_id == history.job_id, newer.attempt > history.attempt)
        found = self._select(sa.select(*LIGHT_COLUMNS).where(history.job_id.in_(job_ids), is_latest))
        return {each.job_id or "": each for each in found}

    def ends_of(self, job_id: str, *, before: int) -> AttemptEnds:
        """How the attempts at a job ended before that number, and when, the oldest first.

        Only of those that it was granted at first, or by the latest retry by hand.
        """
        history = job_history.c
        statement = (
            sa.select(history.error_code, history.completed_at)
            .join(jobs, jobs.c.id == history.job_id)
            .where(history.job_id == job_id, history.attempt < before)
            .where(history.attempt > jobs.c.max_attempts - jobs.c.allowance)
            .order_by(history.attempt)
        )
        with self._database.read() as connection:
            return [(code, ended_at) for code, ended_at in connection.execute(statement)]

    def list(
        self, filter: AttemptFilter, *, limit: int = 50, after: str | None = None, with_manifest: bool = False
    ) -> AttemptList:
        """One page, the newest first; `after` is the last id of the page before.

        Manifests are large: without `with_manifest` they are left in the database. Raises NotFoundError when the row
        `after` is gone.
        """
        columns = _COLUMNS if with_manifest else LIGHT_COLUMNS
        with self._database.read() as connection:
            behind = starting_after(connection, job_history, after)
            alternatives = [conditions + behind for conditions in filter.alternatives()]
            rows = newest_of(connection, job_history, columns, alternatives, limit=limit)
            return [attempt_of(row) for row in rows]

    def iterate(self, filter: AttemptFilter, *, with_manifest: bool = False) -> Iterator[Attempt]:
        """All of them, the newest first, a page at a time; rows added meanwhile do not show up."""
        columns = _COLUMNS if with_manifest else LIGHT_COLUMNS

        def fetch(last: Attempt | None) -> AttemptList:
            behind = [] if last is None else [older_than(job_history, last.created_at, last.id)]
            alternatives = [conditions + behind for conditions in filter.alternatives()]
            with self._database.read() as connection:
                rows = newest_of(connection, job_history, columns, alternatives, limit=_PAGE)
            return [attempt_of(row) for row in rows]

        return pages(fetch)

    def record(self, attempt: Attempt) -> bool:
        """Insert a row without a claim, for a skipped dispatch or a system job.

        False, and nothing is written, when a row has the same id, or the same job and attempt number.
        """
        with self._database.write() as connection:
            is_new = insert_attempt(connection, attempt)
        fold_in_turn(self._database, attempt.id)
        return is_new

    def operator_failures(self, job_name: str, *, since: datetime) -> FailedJobs:
        """The jobs that failed by system or external faults since a moment, once each, the latest failure first.

        All jobs that one run lost when its process died count as one: that was one fault. A job whose later attempt
        proved its input to be at fault does not count.
        """
        asked = {"name": job_name, "begin": since, "codes": list(codes_without_breaker())}
        with self._database.read() as connection:
            return [
                FailedJob(row.job_id, row.completed_at, row.error_code, row.first_at, row.host)
                for row in connection.execute(_failures_of_operators(), asked)
            ]

    def others_succeeded(self, attempt: Attempt) -> bool:
        """Whether another job of the same type succeeded on the same machine since an attempt began."""
        history = job_history.c
        statement = (
            sa.select(history.id)
            .where(
                history.job_name == attempt.job_name,
                history.status == AttemptStatus.SUCCESS,
                history.completed_at >= attempt.started_at,
                history.host == attempt.host,
                history.job_id != attempt.job_id,
            )
            .limit(1)
        )
        with self._database.read() as connection:
            return connection.scalar(statement) is not None

    def last_success_at(self, job_name: str) -> datetime | None:
        """When an attempt of this name last succeeded; None: never."""
        statement = (
            sa.select(job_history.c.completed_at)
            .where(job_history.c.job_name == job_name, job_history.c.status == AttemptStatus.SUCCESS)
            .order_by(job_history.c.completed_at.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            return connection.scalar(statement)

    def _select(self, statement: sa.Select[Any]) -> AttemptList:
        with self._database.read() as connection:
            return [attempt_of(row) for row in connection.execute(statement).mappings()]


@cache
def _failures_of_operators() -> sa.Select[Any]:
    """What `operator_failures` asks, made once: that takes longer than to answer it, and it is asked all the time."""
    history, later = job_history.c, job_history.alias("later").c
    # Jobs are counted, not attempts: the last failure of each job. An attempt without a job counts as a job.
    lost_with = sa.case((history.status == AttemptStatus.LOST, history.run_id))
    of_job = sa.func.coalesce(lost_with, history.job_id, history.id)
    rank = sa.func.row_number().over(
        partition_by=of_job,
        order_by=(history.completed_at.desc(), history.id.desc()),
    )
    first_at = sa.func.min(history.completed_at).over(partition_by=of_job).label("first_at")
    is_of_input = sa.exists().where(
        later.job_id == history.job_id, later.attempt > history.attempt, later.blame == Blame.INPUT
    )
    failures = (
        sa.select(
            *(history.job_id, history.completed_at, history.error_code, first_at, history.host, rank.label("rank"))
        )
        .where(
            history.job_name == sa.bindparam("name"),
            history.status.in_((AttemptStatus.FAILURE, AttemptStatus.LOST)),
            history.completed_at >= sa.bindparam("begin"),
            history.blame.in_([blame for blame in Blame if blame.concerns_operators]),
            sa.func.coalesce(history.error_code, "").not_in(sa.bindparam("codes", expanding=True)),
            ~is_of_input,
        )
        .subquery()
    )
    return sa.select(failures).where(failures.c.rank == 1).order_by(failures.c.completed_at.desc())


def insert_attempt(connection: sa.Connection, attempt: Attempt) -> bool:
    """Insert a row within a transaction; False when a row has the same id, or the same job and attempt number."""
    return connection.execute(insert_or_ignore(connection, job_history), _row_of(attempt)).rowcount == 1


def insert_first_entry(connection: sa.Connection, attempt: Attempt) -> None:
    """Insert the row of an attempt that has just been claimed, and so has none yet."""
    connection.execute(_INSERTING, _row_of(attempt))


def complete_attempt(connection: sa.Connection, attempt: Attempt) -> bool:
    """Write the end of a running attempt; False when its row is final already, or does not exist."""
    return connection.execute(_COMPLETING, {"of_attempt": attempt.id, **_row_of(attempt)}).rowcount == 1


def is_final_as(connection: sa.Connection, attempt: Attempt) -> bool:
    """Whether the row of an attempt has the status of `attempt`."""
    return connection.scalar(_STATUS, {"of_attempt": attempt.id}) == attempt.status


# Built once, see `leases.py`. The parameters of an execution name the columns to set.
_INSERTING = sa.insert(job_history)
_STATUS = sa.select(job_history.c.status).where(job_history.c.id == sa.bindparam("of_attempt"))
_COMPLETING = sa.update(job_history).where(
    job_history.c.id == sa.bindparam("of_attempt"), job_history.c.status == AttemptStatus.RUNNING
)


def running_attempts(connection: sa.Connection, job_ids: Sequence[str]) -> dict[tuple[str, int], Attempt]:
    """The attempts at these jobs that have not ended, by job id and attempt number."""
    statement = sa.select(*_COLUMNS).where(
        job_history.c.job_id.in_(job_ids), job_history.c.status == AttemptStatus.RUNNING
    )
    found = [attempt_of(row) for row in connection.execute(statement).mappings()]
    return {(attempt.job_id or "", attempt.attempt): attempt for attempt in found}


def attempt_of(row: sa.RowMapping) -> Attempt:
    """The attempt in a row that holds at least LIGHT_COLUMNS."""
    return Attempt.model_validate(dict(row))


def _row_of(attempt: Attempt) -> dict[str, Any]:
    outputs = outputs_of(attempt.result)
    return attempt.model_dump() | {
        "output_files": len(outputs),
        "output_bytes": sum(int(output.get("bytes") or 0) for output in outputs),
        "wasted_ms": attempt.wasted_ms,
    }


def outputs_of(result: JsonObject | None) -> list[JsonObject]:
    """The outputs that the result of an attempt lists."""
    return [output for output in (result or {}).get("outputs") or () if isinstance(output, dict)]
