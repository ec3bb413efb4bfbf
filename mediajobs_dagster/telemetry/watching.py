"""What operators are alerted of: a listener that sees it in the records, and looks at disks and quotas."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mediajobs_dagster.errors import WorkerLostError
from mediajobs_dagster.history import History, JobFilter
from mediajobs_dagster.models import AlertKind, AttemptStatus, Job, JobStatus, JsonObject, utc_now
from mediajobs_dagster.printable import counted
from mediajobs_dagster.records import (
    AttemptRecord,
    AttemptStarted,
    BreakerChanged,
    HostBreakerChanged,
    LeaseLost,
    Record,
    ScheduleMissed,
)
from mediajobs_dagster.resilience.breaker import BreakerState
from mediajobs_dagster.resilience.quota import BucketStanding, Quota
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.telemetry.alerting import Alerting
from mediajobs_dagster.telemetry.messages import WHAT_TO_DO

if TYPE_CHECKING:
    from mediajobs_dagster.attempts.outcome import AttemptEnded

_LOOK_S = 60.0
"""How often a process looks at the disks, and at the quotas, seconds."""
_TOLD_AGAIN_MIN = 10
"""A disk that stays full counts again after so many minutes."""
_NAMED_JOBS = 10
_GIB = 1024**3


@dataclass
class AlertWatch:
    """A listener that writes alerts."""

    settings: Settings
    history: Callable[[], History]
    alerting: Alerting
    _disks_at: float = field(default=-_LOOK_S, init=False)
    _quotas_at: float = field(default=-_LOOK_S, init=False)

    def __call__(self, record: Record) -> None:
        """Take a record; from any thread."""
        match record:
            case BreakerChanged(after=BreakerState.OPEN):
                self._opened(record)
            case BreakerChanged(after=BreakerState.CLOSED):
                self._closed(record)
            case HostBreakerChanged(after=BreakerState.OPEN):
                self._quarantined(record)
            case ScheduleMissed():
                self._missed(record)
            case AttemptStarted():
                self.look_at_disks()
            case AttemptRecord():
                self._happened(record)
            case LeaseLost():
                self._lost(record)
            case _:
                pass

    def _opened(self, change: BreakerChanged) -> None:
        job = self._job(change.job_ids[0]) if change.job_ids else None
        details: JsonObject = {
            "jobType": change.job_type,
            "jobId": job.id if job else None,
            "traceId": job.trace_id if job else None,
            "errorCode": ", ".join(change.error_codes) or None,
            "jobs": list(change.job_ids[:_NAMED_JOBS]),
        }
        if change.by_hand:
            close = f"`mediajobs breaker close {change.job_type}`"
            details[WHAT_TO_DO] = f"Nothing is started until {close}. Nothing is lost: jobs wait."
        title = f"the breaker of {change.job_type} has opened"
        # A probe that fails opens it anew; it has been open all the while.
        occurrence = change.since.isoformat() if change.since else None
        cause = _cause(AlertKind.BREAKER_OPENED, change.job_type)
        self.alerting.alert(AlertKind.BREAKER_OPENED, cause, title, change.reason, details, occurrence=occurrence)

    def _closed(self, change: BreakerChanged) -> None:
        title = f"the breaker of {change.job_type} has closed"
        # Every process that dispatches sees it. They agree on what was opened before.
        opening = self.history().alerts.latest_occurrence(_cause(AlertKind.BREAKER_OPENED, change.job_type))
        cause = _cause(AlertKind.BREAKER_CLOSED, change.job_type)
        details = {"jobType": change.job_type}
        self.alerting.alert(AlertKind.BREAKER_CLOSED, cause, title, change.reason, details, occurrence=opening)

    def _quarantined(self, change: HostBreakerChanged) -> None:
        details: JsonObject = {"host": change.host, "errorCode": ", ".join(change.error_codes) or None}
        # Every process that dispatches sees it. A probe that fails opens it anew; it has been open all the while.
        occurrence = change.since.isoformat() if change.since else None
        cause = _cause(AlertKind.HOST_QUARANTINED, change.host)
        title = f"{change.host} is quarantined"
        self.alerting.alert(AlertKind.HOST_QUARANTINED, cause, title, change.reason, details, occurrence=occurrence)

    def _missed(self, missed: ScheduleMissed) -> None:
        job = missed.job
        details: JsonObject = {"jobType": job.job_type, "jobId": job.id, "traceId": job.trace_id}
        cause = _cause(AlertKind.SCHEDULE_MISSED, job.job_type)
        title = f"{job.job_type} missed {counted(missed.missed, 'moment')}"
        self.alerting.alert(AlertKind.SCHEDULE_MISSED, cause, title, missed.reason, details)

    def _happened(self, record: AttemptRecord) -> None:
        # Whoever makes attempts has loaded it. Commands that make none need not.
        from mediajobs_dagster.attempts.outcome import AttemptEnded

        if isinstance(record, AttemptEnded):
            self._ended(record)

    def _ended(self, ended: AttemptEnded) -> None:
        from mediajobs_dagster.job_types.storage_report import JOB_TYPE as STORAGE_REPORT

        if ended.job.job_type == STORAGE_REPORT.name and ended.status is AttemptStatus.SUCCESS:
            self._reported(ended)
        error = ended.error
        if ended.is_stale or error is None or ended.verdict.status is not JobStatus.DEAD:
            return
        if ended.concerns_operators or self.settings.alert_input_faults:
            more = {"runId": ended.key.run_id, "host": ended.manifest.metrics.host.hostname}
            self._dead(ended.job, error.code, f"{ended.title}: {error.message}", more)

    def _reported(self, ended: AttemptEnded) -> None:
        limit, found = self.settings.alert_storage_gib, ended.manifest.figures.get("bytes")
        if not limit or not isinstance(found, int) or found <= limit * _GIB:
            return
        details: JsonObject = {"jobId": ended.job.id, "traceId": ended.job.trace_id, "bytes": found}
        self.alerting.alert(
            AlertKind.STORAGE_FULL,
            AlertKind.STORAGE_FULL,
            "the storage is over its limit",
            f"The storage holds {found / _GIB:,.1f} GiB. MEDIAJOBS_ALERT_STORAGE_GIB is {limit:g}.",
            details,
        )

    def _lost(self, lost: LeaseLost) -> None:
        job = self._job(lost.job.id)
        if job is not None and job.status is JobStatus.DEAD:
            body = f"The worker of job {lost.job.id} died once too often, so the job is not tried again."
            self._dead(lost.job, WorkerLostError.code, body, {"host": lost.host})

    def _job(self, job_id: str) -> Job | None:
        """A job as it is now; None if it was removed meanwhile."""
        return next(iter(self.history().jobs.list(JobFilter(ids=(job_id,)), limit=1)), None)

    def _dead(self, job: Job, code: str, body: str, more: JsonObject) -> None:
        details: JsonObject = {
            "jobId": job.id,
            "traceId": job.trace_id,
            "errorCode": code,
            "jobType": job.job_type,
            **more,
            "jobs": [job.id],
        }
        cause = _cause(AlertKind.JOB_DEAD, job.job_type, code)
        self.alerting.alert(AlertKind.JOB_DEAD, cause, f"{job.job_type} is dead: {code}", body, details)

    def look_at_disks(self) -> None:
        """Alert of disks that are too full; at most once a minute, so anything may call it."""
        if time.monotonic() - self._disks_at < _LOOK_S or not self.settings.alert_disk_percent:
            return
        self._disks_at = time.monotonic()
        host = self.settings.hostname or socket.gethostname()
        by_device = {
            place.stat().st_dev: place for place in map(_existing, (self.settings.scratch, self.settings.home))
        }
        for place in by_device.values():
            usage = shutil.disk_usage(place)
            # Of what may be used: what is kept for the superuser is in neither.
            percent = 100 * usage.used / max(1, usage.used + usage.free)
            if percent < self.settings.alert_disk_percent:
                continue
            now = utc_now()
            self.alerting.alert(
                AlertKind.DISK_FULL,
                _cause(AlertKind.DISK_FULL, host, str(place)),
                f"the disk of {place} on {host} is nearly full",
                f"The disk of {place} is {percent:.1f} % full: {usage.free / _GIB:.1f} GiB are free. "
                f"MEDIAJOBS_ALERT_DISK_PERCENT is {self.settings.alert_disk_percent:g}.",
                {"host": host, "freeBytes": usage.free, "totalBytes": usage.total},
                occurrence=f"{now:%Y-%m-%dT%H}:{now.minute // _TOLD_AGAIN_MIN}",
            )

    def look_at_quotas(self) -> None:
        """Alert of quotas that are nearly used, once until their reset; at most once a minute reads them."""
        limit = self.settings.alert_quota_percent
        if time.monotonic() - self._quotas_at < _LOOK_S or not limit:
            return
        self._quotas_at = time.monotonic()
        for standing in Quota.of(self.history(), self.settings).standings():
            total = standing.bucket.limit
            used = total - standing.left
            if used and used >= total * limit / 100:
                self._nearly_used(standing)

    def _nearly_used(self, standing: BucketStanding) -> None:
        bucket, resets_at = standing.bucket, standing.resets_at
        said = " The service says that nothing is left." if standing.used.exhausted_at else ""
        self.alerting.alert(
            AlertKind.QUOTA_LOW,
            _cause(AlertKind.QUOTA_LOW, bucket.name),
            f"the quota {bucket.name} is nearly used",
            f"{standing.left:,} of {bucket.limit:,} {bucket.unit} of {bucket.name} are left until "
            f"{resets_at:%Y-%m-%d %H:%M} UTC.{said} MEDIAJOBS_ALERT_QUOTA_PERCENT is "
            f"{self.settings.alert_quota_percent:g}.",
            {"bucket": bucket.name, "unitsLeft": standing.left, "resetsAt": resets_at.isoformat()},
            occurrence=resets_at.isoformat(),
        )


def _cause(kind: AlertKind, *of: str) -> str:
    return ":".join((kind, *of))


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.absolute().parents) if each.exists())
