"""Removes rows that are older than they have to be, a batch at a time, so that nobody waits for it.

What a removal must never touch is part of its statement, which is executed in the transaction that deletes: a job that
becomes unfinished meanwhile keeps its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.folding import fold
from mediajobs_dagster.history.paging import Conditions, newer_than
from mediajobs_dagster.history.schema import (
    actions,
    alerts,
    current_outputs,
    job_history,
    jobs,
    metric_entries,
    quota_ledger,
    scheduled_events,
    storage_snapshots,
    timelines,
    uploads,
    videos,
    webhook_checks,
    webhook_deliveries,
    webhook_subscriptions,
)
from mediajobs_dagster.models import AttemptStatus, DeliveryStatus, JobStatus

_FOLDED_AT_ONCE = 2_000
_KEPT_SNAPSHOTS = 2
"""The latest reports stay, however old: growth is told from one to the next."""
_OF_TICK = "%@____-__-__T__:__:__Z"
"""Ids of ticks; no other subject's id looks so. They have no outputs that anybody would point at."""
_ALSO_READ = {"jobs": ("subject_id", "job_type"), "job_history": ("job_id",)}
_FINAL = tuple(status for status in JobStatus if status.is_final)


@dataclass(frozen=True)
class Mark:
    """How far a removal has come: the last row that it looked at."""

    at: datetime
    id: str


@dataclass(frozen=True)
class Batch:
    """What one batch did."""

    rows: int
    """Removed; with `dry_run`, that would be."""
    bytes: int
    """Of their values, without indexes."""
    mark: Mark | None
    """Where the next batch begins; None: there is nothing more to look at."""


class Removing:
    """Removes old rows. Every method handles one batch of at most `limit` rows, in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def names(self) -> list[str]:
        """The job types that have attempts or jobs; also of types that are not installed any more."""
        columns = (job_history.c.job_name, jobs.c.job_type)
        with self._database.read() as connection:
            return sorted({name for column in columns for name in _distinct(connection, column)})

    def fold_totals(self) -> int:
        """Add what has ended to the totals, which outlive the rows; returns how many were added, 0 at the end."""
        with self._database.read() as connection:
            if connection.scalar(sa.select(metric_entries.c.id).limit(1)) is None:
                return 0
        return fold(self._database, limit=_FOLDED_AT_ONCE)

    def attempts(self, name: str, before: datetime, *, after: Mark | None, limit: int, dry_run: bool = False) -> Batch:
        """Attempts of a job type, created before a moment, the oldest first.

        Never one that runs, one of a job that is not final, or one whose outputs are the current ones of a subject, or
        an upload that is still there.
        """
        old: Conditions = [job_history.c.job_name == name]
        return self._batch(job_history, "created_at", old, _MAY_GO, before, after, limit, dry_run=dry_run)

    def jobs(self, name: str, before: datetime, *, after: Mark | None, limit: int, dry_run: bool = False) -> Batch:
        """Final jobs of a type, of before a moment, of which no attempt is left; the oldest first.

        Never one whose child is not final.
        """
        has_attempts = _would_have_attempts(before) if dry_run else _HAS_ATTEMPTS
        gone: Conditions = [*_IS_OVER, jobs.c.updated_at < before, ~has_attempts]

        def forget(connection: sa.Connection, removed: Sequence[Any]) -> None:
            # What a tick's success left: a pointer to an attempt that is gone.
            pointers = sa.tuple_(current_outputs.c.subject_id, current_outputs.c.job_type)
            is_gone = ~sa.exists().where(job_history.c.id == current_outputs.c.attempt_id)
            keys = [(row.subject_id, row.job_type) for row in removed]
            connection.execute(sa.delete(current_outputs).where(pointers.in_(keys), is_gone))

        old: Conditions = [jobs.c.job_type == name]
        return self._batch(jobs, "created_at", old, gone, before, after, limit, dry_run=dry_run, then=forget)

    def timelines(self, before: datetime, *, after: Mark | None, limit: int, dry_run: bool = False) -> Batch:
        """Timelines of before a moment that no job and no output is about."""
        is_used = sa.or_(
            sa.exists().where(jobs.c.subject_id == timelines.c.id),
            sa.exists().where(current_outputs.c.subject_id == timelines.c.id),
        )
        return self._batch(timelines, "created_at", [], [~is_used], before, after, limit, dry_run=dry_run)

    def alerts(self, before: datetime, *, after: Mark | None, limit: int, dry_run: bool = False) -> Batch:
        """Alerts that were sent before a moment, or that nobody could be sent until then."""
        old: Conditions = [sa.func.coalesce(alerts.c.sent_at, alerts.c.last_at) < before]
        return self._batch(alerts, "first_at", [], old, before, after, limit, dry_run=dry_run)

    def actions(self, before: datetime, *, after: Mark | None, limit: int, dry_run: bool = False) -> Batch:
        """Actions of before a moment."""
        return self._batch(actions, "at", [], [], before, after, limit, dry_run=dry_run)

    def events(self, before: datetime, *, after: Mark | None, limit: int, dry_run: bool = False) -> Batch:
        """Events that their source dropped before a moment, and that no video belongs to."""
        dropped: Conditions = [
            scheduled_events.c.removed_at.is_not(None),
            scheduled_events.c.removed_at < before,
            ~sa.exists().where(videos.c.event_id == scheduled_events.c.id),
        ]
        return self._batch(scheduled_events, "starts_at", [], dropped, None, after, limit, dry_run=dry_run)

    def snapshots(self, before: datetime, *, after: Mark | None, limit: int, dry_run: bool = False) -> Batch:
        """Reports on the storage of before a moment, but for the latest ones."""
        order = (storage_snapshots.c.taken_at.desc(), storage_snapshots.c.id.desc())
        latest = sa.select(storage_snapshots.c.id).order_by(*order).limit(_KEPT_SNAPSHOTS)
        kept: Conditions = [storage_snapshots.c.id.not_in(latest)]
        return self._batch(storage_snapshots, "taken_at", [], kept, before, after, limit, dry_run=dry_run)

    def deliveries(self, before: datetime, *, after: Mark | None, limit: int, dry_run: bool = False) -> Batch:
        """Deliveries of webhooks of before a moment that arrived, or are not tried any more."""
        over: Conditions = [webhook_deliveries.c.status != DeliveryStatus.PENDING]
        return self._batch(webhook_deliveries, "created_at", [], over, before, after, limit, dry_run=dry_run)

    def callbacks(self, before: datetime, *, after: Mark | None, limit: int, dry_run: bool = False) -> Batch:
        """Callback addresses of before a moment, of traces without unfinished jobs, of which no delivery is left."""
        who = webhook_subscriptions.c
        over: Conditions = [
            ~sa.exists().where(jobs.c.trace_id == who.trace_id, jobs.c.status.not_in(_FINAL)),
            ~sa.exists().where(
                webhook_deliveries.c.trace_id == who.trace_id, webhook_deliveries.c.subscription_id == who.id
            ),
            ~sa.exists().where(webhook_checks.c.trace_id == who.trace_id),
        ]
        return self._batch(webhook_subscriptions, "created_at", [], over, before, after, limit, dry_run=dry_run)

    def quota(self, before: datetime, *, dry_run: bool = False) -> Batch:
        """Periods of quota that ended before a moment; there is one a bucket and day."""
        is_old = quota_ledger.c.resets_at < before
        with self._database.write() as connection:
            rows = connection.execute(sa.select(self._size_of(quota_ledger)).where(is_old)).scalars().all()
            if not dry_run:
                connection.execute(sa.delete(quota_ledger).where(is_old))
        return Batch(len(rows), sum(map(int, rows)), None)

    def _batch(
        self,
        table: sa.Table,
        moment: str,
        old: Conditions,
        may_go: Conditions,
        before: datetime | None,
        after: Mark | None,
        limit: int,
        *,
        dry_run: bool,
        then: Callable[[sa.Connection, Sequence[Any]], None] = lambda _connection, _rows: None,
    ) -> Batch:
        """Look at the next `limit` rows in the order of an index, and delete those that may go.

        Rows that stay are looked at once and then lie before the mark, so they do not slow the next batch.
        """
        at = table.c[moment]
        window = sa.select(at, table.c.id).where(*old).order_by(at, table.c.id).limit(limit)
        if before is not None:
            window = window.where(at < before)
        if after is not None:
            window = window.where(newer_than(table, after.at, after.id, moment))
        with self._database.read() as connection:
            seen = connection.execute(window).all()
        if not seen:
            return Batch(0, 0, None)
        mark = Mark(*seen[-1]) if len(seen) == limit else None
        chosen = sa.and_(table.c.id.in_([row.id for row in seen]), *may_go)
        names = _ALSO_READ.get(table.name, ())
        select = sa.select(table.c.id, *(table.c[name] for name in names), self._size_of(table).label("size")).where(
            chosen
        )
        if dry_run:
            with self._database.read() as connection:
                rows = connection.execute(select).all()
            return Batch(len(rows), sum(int(row.size) for row in rows), mark)
        with self._database.write() as connection:
            rows = connection.execute(select.with_for_update(of=table, skip_locked=True)).all()
            if table is job_history:
                rows = _of_locked_jobs(connection, rows)
            if rows:
                connection.execute(sa.delete(table).where(table.c.id.in_([row.id for row in rows]), *may_go))
                then(connection, rows)
        return Batch(len(rows), sum(int(row.size) for row in rows), mark)

    def _size_of(self, table: sa.Table) -> sa.ColumnElement[int]:
        return _size_of(table, is_sqlite=self._database.is_sqlite)


def _of_locked_jobs(connection: sa.Connection, rows: Sequence[Any]) -> list[Any]:
    """Those attempts whose job nobody else can change until the transaction ends: it cannot be retried meanwhile."""
    of_jobs = jobs.c.id.in_({row.job_id for row in rows if row.job_id})
    # One that is being changed is looked at again by the next clean-up.
    locked = set(
        connection.scalars(sa.select(jobs.c.id).where(of_jobs).order_by(jobs.c.id).with_for_update(skip_locked=True))
    )
    return [row for row in rows if row.job_id is None or row.job_id in locked]


def _distinct(connection: sa.Connection, column: sa.Column[str]) -> list[str]:
    # From one name to the next in the index: neither database would skip the million rows of each by itself.
    found: list[str] = []
    while (name := connection.scalar(_next(column, found[-1] if found else None))) is not None:
        found.append(name)
    return found


def _next(column: sa.Column[str], after: str | None) -> sa.Select[Any]:
    return sa.select(sa.func.min(column)).where(*([] if after is None else [column > after]))


def _size_of(table: sa.Table, *, is_sqlite: bool) -> sa.ColumnElement[int]:
    """The bytes of a row's texts and documents as they are stored, and eight for each other value."""
    measure = sa.func.length if is_sqlite else sa.func.pg_column_size
    large = [column for column in table.c if isinstance(column.type, sa.String | sa.JSON | sa.TypeDecorator)]
    sizes = [sa.func.coalesce(measure(column), 0, type_=sa.Integer) for column in large]
    return sum(sizes, sa.literal(8 * (len(table.c) - len(large))))


_job = jobs.alias("of_attempt")
_child = jobs.alias("child")
_pointer = current_outputs.alias("pointer")
_is_current = sa.exists().where(
    _job.c.id == job_history.c.job_id,
    _pointer.c.subject_id == _job.c.subject_id,
    _pointer.c.job_type == _job.c.job_type,
    _pointer.c.attempt_id == job_history.c.id,
    _pointer.c.subject_id.not_like(_OF_TICK),
)
_is_of_live_job = sa.exists().where(
    _job.c.id == job_history.c.job_id,
    sa.or_(_job.c.status.not_in(_FINAL), _job.c.lease_expires_at.is_not(None)),
)
# An export is an upload of its own. Asked for again, it is found by its job; without that it would be made once more.
_origin_of_outputs = sa.literal("job:").concat(job_history.c.job_id).concat("/")
"""How `models.result_origin` begins."""
_made_an_upload = sa.and_(
    job_history.c.status == AttemptStatus.SUCCESS,
    sa.exists().where(
        # The bounds are for the index: between them lie all names of outputs, whatever the language of the database.
        uploads.c.origin.between(_origin_of_outputs, _origin_of_outputs.concat("zzzz")),
        sa.func.substr(uploads.c.origin, 1, sa.func.length(_origin_of_outputs)) == _origin_of_outputs,
    ),
)
_MAY_GO: Conditions = [
    job_history.c.status != AttemptStatus.RUNNING,
    ~_is_of_live_job,
    ~_is_current,
    ~_made_an_upload,
]
_IS_OVER: Conditions = [
    jobs.c.status.in_(_FINAL),
    jobs.c.lease_expires_at.is_(None),
    jobs.c.dispatch_id.is_(None),
    ~sa.exists().where(_child.c.parent_job_id == jobs.c.id, _child.c.status.not_in(_FINAL)),
]
_HAS_ATTEMPTS = sa.exists().where(job_history.c.job_id == jobs.c.id)


def _would_have_attempts(before: datetime) -> sa.ColumnElement[bool]:
    """Whether a job would have an attempt once those of before a moment were removed."""
    is_current = sa.exists().where(
        _pointer.c.subject_id == jobs.c.subject_id,
        _pointer.c.job_type == jobs.c.job_type,
        _pointer.c.attempt_id == job_history.c.id,
        _pointer.c.subject_id.not_like(_OF_TICK),
    )
    stays = sa.or_(
        job_history.c.created_at >= before,
        job_history.c.status == AttemptStatus.RUNNING,
        is_current,
        _made_an_upload,
    )
    return sa.exists().where(job_history.c.job_id == jobs.c.id, stays)
