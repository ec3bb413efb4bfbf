"""What is written into the outbox of webhooks. What becomes of jobs, triggers write: see `migrations/telling.py`.

Here is the rest: who is told, how far jobs are, and that a trace is finished.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa

from mediajobs_dagster.history.database import Database, insert_or_ignore
from mediajobs_dagster.history.job_rows import lock_job
from mediajobs_dagster.history.outboxes import now_of
from mediajobs_dagster.history.schema import (
    jobs,
    webhook_checks,
    webhook_deliveries,
    webhook_subscriptions,
)
from mediajobs_dagster.models import (
    Callback,
    DeliveryStatus,
    Job,
    JobStatus,
    JsonObject,
    WebhookEvent,
    new_id,
    origin_of,
    utc_now,
)

PROGRESS_EVERY = timedelta(seconds=1)
"""Of one job and callback, progress is told no more often."""

_FIELDS = {
    "id": "jobId",
    "job_type": "jobType",
    "subject_id": "subjectId",
    "trace_id": "traceId",
    "parent_job_id": "parentJobId",
    "status": "status",
    "attempts": "attempts",
    "max_attempts": "maxAttempts",
    "error_code": "errorCode",
}
"""What is told of a job, by its columns."""
_AT_ONCE = 100
_FINAL = tuple(status for status in JobStatus if status.is_final)
_who, _row = webhook_subscriptions.c, webhook_deliveries.c


class WebhookEvents:
    """Writes who is told, and what triggers cannot."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def subscribe(self, callback: Callback, trace_id: str) -> None:
        """Have an address told of all that becomes of a trace from now on. Asked for again, it is told once."""
        with self._database.write() as connection:
            _subscribed(connection, callback, trace_id, "")

    def follow(self, callback: Callback, known_jobs: Iterable[Job]) -> None:
        """Have an address told of jobs that were asked for before, how they stand now included, and of their traces.

        What happens to them between that look and this call is told too.
        """
        for job in sorted(known_jobs, key=lambda each: each.id):  # as everybody who locks several
            with self._database.write() as connection:
                of_trace = _subscription(connection, callback, job.trace_id, "")
                subscription = of_trace or _subscribed(connection, callback, job.trace_id, job.id)
                present = lock_job(connection, job.id)
                event = WebhookEvent.of(present.status)
                if _wants(subscription, event):
                    _insert(connection, subscription, event, data_of(present), job_id=job.id)
                if present.status.is_final:
                    of = {"trace_id": job.trace_id, "subscription_id": subscription["id"]}
                    connection.execute(sa.insert(webhook_checks).values(of))

    def is_wanted(self) -> bool:
        """Whether anybody is told of anything."""
        with self._database.read() as connection:
            return connection.scalar(sa.select(_who.id).where(_who.ended_at.is_(None)).limit(1)) is not None

    # --- finished traces ---------------------------------------------------------------------------------------------

    def settle(self) -> int:
        """Look which traces are finished, of which a job has ended, and tell it; returns how many deliveries that are.

        A trace that gets more jobs later is told again when they have ended. Several processes may call it at the same
        time.
        """
        with self._database.read() as connection:
            found = connection.scalars(sa.select(webhook_checks.c.trace_id).distinct().limit(_AT_ONCE)).all()
        return sum(self._settle(trace_id) for trace_id in found)

    def _settle(self, trace_id: str) -> int:
        check = webhook_checks.c
        of_trace = sa.select(webhook_subscriptions).where(_who.trace_id == trace_id).order_by(_who.id)
        is_unfinished = sa.exists().where(jobs.c.trace_id == trace_id, jobs.c.status.not_in(_FINAL))
        with self._database.write() as connection:
            # Locked, so that of two processes that look at once, the second finds no check any more.
            told = connection.execute(of_trace.with_for_update()).mappings().all()
            # One statement: a check that it does not see belongs to a job that has not ended for it either.
            checks = connection.execute(
                sa.select(check.id, check.subscription_id, is_unfinished.label("is_unfinished")).where(
                    check.trace_id == trace_id
                )
            ).all()
            connection.execute(sa.delete(webhook_checks).where(check.id.in_([each.id for each in checks])))
            if not checks or checks[0].is_unfinished:
                return 0
            only = {each.subscription_id for each in checks}
            chosen = [
                each
                for each in told
                if each["ended_at"] is None
                and (None in only or each["id"] in only)
                and _wants(each, WebhookEvent.TRACE_FINISHED)
            ]
            by_url = {each["url"]: each for each in reversed(chosen)}
            data = _finished(connection, trace_id) if by_url else {}
            for each in by_url.values():
                _insert(connection, each, WebhookEvent.TRACE_FINISHED, data)
            return len(by_url)

    # --- progress ----------------------------------------------------------------------------------------------------

    def write_progress(self) -> int:
        """Write how far jobs are of which somebody wants to know; returns how many deliveries that are.

        There is one a job and callback: the latest takes the place of the one before, delivered or not.
        """
        is_of = sa.and_(_who.trace_id == jobs.c.trace_id, _who.job_id.in_(["", jobs.c.id]), _who.ended_at.is_(None))
        statement = (
            sa.select(_who.id, jobs.c.id.label("of_job"), jobs.c.progress)
            .select_from(jobs.join(webhook_subscriptions, is_of))
            .where(jobs.c.status == JobStatus.PROCESSING, jobs.c.progress.is_not(None), _wanted(_PROGRESS))
            .limit(_AT_ONCE * 10)
        )
        with self._database.read() as connection:
            now = now_of(connection)
            found = connection.execute(statement).all()
            # Looked at before it is locked: mostly there is nothing new, and on SQLite a write waits for all others.
            news = [each for each in found if not _is_told(connection, each.id, each.of_job, each.progress, now)]
        return sum(self._write_progress(each.id, each.of_job) for each in news)

    def _write_progress(self, subscription_id: str, job_id: str) -> int:
        with self._database.write() as connection:
            locked = sa.select(webhook_subscriptions).where(_who.id == subscription_id).with_for_update()
            subscription = connection.execute(locked).mappings().one_or_none()
            job = connection.execute(_JOB, {"of_job": job_id}).mappings().one_or_none()
            if subscription is None or job is None or job["status"] != JobStatus.PROCESSING or not job["progress"]:
                return 0
            now = now_of(connection)
            if _is_told(connection, subscription_id, job_id, job["progress"], now):
                return 0
            settled = sa.or_(_row.status != DeliveryStatus.PENDING, _row.due_at <= now)
            of_job = _progress_of(subscription_id, job_id)
            connection.execute(sa.delete(webhook_deliveries).where(*of_job, settled))
            data = {**_data(job), "progress": job["progress"]}
            _insert(connection, subscription, _PROGRESS, data, job_id=job_id, now=now)
        return 1


_PROGRESS = WebhookEvent.JOB_PROGRESS
_JOB = sa.select(*(jobs.c[name] for name in _FIELDS), jobs.c.progress).where(jobs.c.id == sa.bindparam("of_job"))


def data_of(job: Job) -> JsonObject:
    """What is told of a job. The triggers make the same."""
    return {told: getattr(job, name) for name, told in _FIELDS.items()}


def _data(row: sa.RowMapping) -> JsonObject:
    return {told: row[name] for name, told in _FIELDS.items()}


def _progress_of(subscription_id: str, job_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _row.job_id == job_id, _row.subscription_id == subscription_id, _row.event == _PROGRESS


def _is_told(connection: sa.Connection, subscription_id: str, job_id: str, progress: JsonObject, now: datetime) -> bool:
    """Whether what was written last says the same, or is too new for another."""
    statement = sa.select(_row.data, _row.created_at).where(*_progress_of(subscription_id, job_id))
    rows = connection.execute(statement).all()
    return any(row.data["progress"] == progress or now - PROGRESS_EVERY < row.created_at <= now for row in rows)


def _finished(connection: sa.Connection, trace_id: str) -> JsonObject:
    number = sa.select(jobs.c.status, sa.func.count()).where(jobs.c.trace_id == trace_id).group_by(jobs.c.status)
    return {"traceId": trace_id, "jobs": {status: int(count) for status, count in sorted(connection.execute(number))}}


def _subscription(connection: sa.Connection, callback: Callback, trace_id: str, job_id: str) -> sa.RowMapping | None:
    of = (_who.trace_id == trace_id, _who.job_id == job_id, _who.url == callback.url)
    statement = sa.select(webhook_subscriptions).where(*of, _who.ended_at.is_(None))
    return connection.execute(statement).mappings().one_or_none()


def _subscribed(connection: sa.Connection, callback: Callback, trace_id: str, job_id: str) -> sa.RowMapping:
    """The subscription, made or changed."""
    of = {"trace_id": trace_id, "job_id": job_id, "url": callback.url}
    events = f",{','.join(callback.events)}," if callback.events else "*"
    row = {"id": new_id(), **of, "origin": origin_of(callback.url), "events": events}
    connection.execute(insert_or_ignore(connection, webhook_subscriptions).values(**row, created_at=utc_now()))
    is_it = [_who[name] == value for name, value in of.items()]
    changed = sa.update(webhook_subscriptions).where(*is_it).values(events=events, ended_at=None)
    return connection.execute(changed.returning(webhook_subscriptions)).mappings().one()


def _wants(subscription: sa.RowMapping, event: WebhookEvent) -> bool:
    return subscription["events"] == "*" or f",{event}," in subscription["events"]


def _wanted(event: WebhookEvent) -> sa.ColumnElement[bool]:
    return sa.or_(_who.events == "*", _who.events.contains(f",{event},", autoescape=True))


def _insert(
    connection: sa.Connection,
    subscription: sa.RowMapping,
    event: WebhookEvent,
    data: JsonObject,
    *,
    job_id: str = "",
    now: datetime | None = None,
) -> None:
    now = now or now_of(connection)
    row = {
        **{name: subscription[name] for name in ("trace_id", "url", "origin")},
        "id": new_id().replace("-", ""),
        "subscription_id": subscription["id"],
        "event": event,
        "job_id": job_id,
        "data": data,
        "created_at": now,
        "due_at": now,
        "status": DeliveryStatus.PENDING,
        "tries": 0,
    }
    connection.execute(sa.insert(webhook_deliveries).values(row))
