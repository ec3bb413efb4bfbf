"""The metrics of the installation: read from totals and indexes, so a scrape costs the same after a million jobs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mediajobs_dagster import __version__
from mediajobs_dagster.attempts.recovery import LossReason
from mediajobs_dagster.errors import DatabaseBusyError, DatabaseUnavailableError, NotFoundError, all_errors
from mediajobs_dagster.history import AttemptFilter, History
from mediajobs_dagster.history.by_type import SumsByType
from mediajobs_dagster.history.series import COUNTED, OTHER, labels_of
from mediajobs_dagster.history.switches import SwitchScope
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import AttemptStatus, JsonObject, utc_now
from mediajobs_dagster.resilience.states import BreakerState
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.telemetry.metrics.catalogue import NONE
from mediajobs_dagster.telemetry.metrics.exposition import Exposition, exposition
from mediajobs_dagster.telemetry.metrics.readings import Readings
from mediajobs_dagster.telemetry.metrics.snapshot import snapshot
from mediajobs_dagster.use_cases.breakers import Breakers
from mediajobs_dagster.use_cases.overview import Queue, queues_of
from mediajobs_dagster.use_cases.quotas import Quotas

_RUNNING = 500
"""Most attempts under way whose machines are counted."""
_OUT_OF_REACH = (DatabaseBusyError, DatabaseUnavailableError)


@dataclass(frozen=True)
class Metrics:
    """Reads the metrics, and tells them."""

    history: Callable[[], History]
    registry: Registry
    settings: Settings
    breakers: Callable[[], Breakers]
    quotas: Callable[[], Quotas]
    process: Readings | None = None
    """What the serving process measured of itself; None: this is no serving process."""
    daemons: Callable[[], Mapping[str, float]] = dict[str, float]
    """How long ago each of Dagster's daemons gave a sign of life, seconds."""

    def read(self) -> Readings:
        """Everything that can be read now. Where the database does not answer, `database.up` is 0."""
        return self._read()[0]

    def snapshot(self) -> JsonObject:
        """As JSON: timestamp, counters, gauges, histograms and queue. Raises NotFoundError when metrics are off."""
        readings, queues, at = self._read()
        return snapshot(readings, at=at, queue=[each.to_json() for each in queues])

    def exposition(self, accept: str = "") -> Exposition:
        """As Prometheus reads it, in the form that `accept`, a header, asks for. Raises as `snapshot` does."""
        return exposition(self.read(), accept)

    def _read(self) -> tuple[Readings, tuple[Queue, ...], datetime]:
        if not self.settings.metrics:
            raise NotFoundError("Metrics are turned off. Set MEDIAJOBS_METRICS=true, and start mediajobs again.")
        start = time.perf_counter()
        found = Readings()
        queues: tuple[Queue, ...] = ()
        at = utc_now()
        try:
            queues = self._read_history(found)
        except _OUT_OF_REACH:
            found = Readings()  # what was read of it is not whole, and half a sum looks like a counter that fell
            found.set("database.up", 0)
        else:
            found.set("database.up", 1)
        found.set("build.info", 1, version=__version__)
        found.set("scrape.duration_ms", 1000 * (time.perf_counter() - start))
        return (self.process.merged(found) if self.process else found), queues, at

    def _read_history(self, found: Readings) -> tuple[Queue, ...]:
        history = self.history()
        now = history.now()
        _begin_at_zero(found)
        self._read_series(found, history)
        self._read_attempts(found, history.by_type.all(), history.by_type.last_day(now))
        queues = queues_of(history, self.registry)
        self._read_queues(found, queues, now)
        self._read_hosts(found, history)
        self._read_breakers(found)
        self._read_the_rest(found, history, now)
        return queues

    def _read_series(self, found: Readings, history: History) -> None:
        blames = {each.code: str(each.blame) for each in all_errors()} | {NONE: NONE}
        for name, stored, duration_class, number, sum_ms in history.series.all():
            labels = labels_of(stored)
            if name == "jobs.ended_total":
                code = labels["code"] if labels["code"] in blames else OTHER
                labels |= {"job_type": self._known(labels["job_type"]), "code": code, "blame": blames.get(code, OTHER)}
            if duration_class == COUNTED:
                found.count(name, number, **labels)
            else:
                found.add_class(name, duration_class, number, sum_ms, **labels)

    def _read_attempts(self, found: Readings, ever: SumsByType, last_day: SumsByType) -> None:
        for name, sums in sorted(ever.items()):
            job_type, figures = self._known(name), sums.figures
            for status, attempts in sums.by_status.items():
                found.count("attempts.ended_total", attempts, job_type=job_type, status=status)
            for metric, value in (
                ("attempts.duration_ms_total", figures.duration_ms),
                ("attempts.wasted_ms_total", figures.wasted_ms),
                ("attempts.cpu_ms_total", figures.cpu_ms),
                ("attempts.read_bytes_total", figures.bytes_in),
                ("attempts.written_bytes_total", figures.bytes_out),
                ("attempts.rtf_media_ms_total", figures.rtf_media_ms),
                ("attempts.rtf_duration_ms_total", figures.rtf_duration_ms),
            ):
                found.count(metric, value, job_type=job_type)
        for name, sums in sorted(last_day.items()):
            if sums.figures.rtf_duration_ms:
                rtf = sums.figures.rtf_media_ms / sums.figures.rtf_duration_ms
                found.set("jobs.rtf", round(rtf, 3), job_type=self._known(name))

    def _read_queues(self, found: Readings, queues: tuple[Queue, ...], now: datetime) -> None:
        found.set("worker.inflight_jobs", sum(each.processing for each in queues))
        lanes = {each.name: str(each.lane) for each in self.registry}
        oldest = dict.fromkeys(lanes, 0.0)
        for name in lanes:
            for status in ("queued", "failed", "processing"):
                found.count("queue.jobs", 0, job_type=name, lane=lanes[name], status=status)
        for each in queues:
            job_type, lane = self._known(each.job_type), each.lane or NONE
            for status, number in (("queued", each.queued), ("failed", each.paused), ("processing", each.processing)):
                found.count("queue.jobs", number, job_type=job_type, lane=lane, status=status)
            if each.oldest_at:
                age_ms = max(0.0, 1000 * (now - each.oldest_at).total_seconds())
                oldest[job_type] = max(oldest.get(job_type, 0.0), age_ms)
        for job_type, age_ms in oldest.items():
            found.set("queue.oldest_age_ms", age_ms, job_type=job_type, lane=lanes.get(job_type, NONE))

    def _read_hosts(self, found: Readings, history: History) -> None:
        running = history.attempts.list(AttemptFilter(statuses=(AttemptStatus.RUNNING,)), limit=_RUNNING)
        for host, jobs in sorted(Counter(each.host or "unknown" for each in running).items()):
            found.set("host.inflight_jobs", jobs, host=host)

    def _read_breakers(self, found: Readings) -> None:
        for each in self.breakers().all():
            if each.scope is SwitchScope.HOST:
                found.set("host.quarantined", float(each.state is not BreakerState.CLOSED), host=each.name)
                continue
            for state in BreakerState:
                of = {"job_type": self._known(each.name), "state": str(state)}
                found.set("breaker.state", float(each.state is state), **of)

    def _read_the_rest(self, found: Readings, history: History, now: datetime) -> None:
        for each in self.quotas().standings():
            found.set("quota.used_units", each.used.units, bucket=each.bucket.name)
            found.set("quota.limit_units", each.bucket.limit, bucket=each.bucket.name)
        for name, row in sorted(history.schedules.all().items()):
            found.count("schedule.missed_total", row.missed_in_all, job_type=self._known(name))
        if self.settings.alert_urls:
            outbox = history.alerts.outbox()
            age_ms = 1000 * (now - outbox.first_at).total_seconds() if outbox.first_at else 0.0
            found.set("alerts.outbox_messages", outbox.messages)
            found.set("alerts.outbox_age_ms", max(0.0, age_ms))
        for daemon, seconds in sorted(self.daemons().items()):
            found.set("daemon.heartbeat_age_ms", 1000 * seconds, daemon=daemon)

    def _known(self, job_type: str) -> str:
        return job_type if any(each.name == job_type for each in self.registry) else OTHER


def _begin_at_zero(found: Readings) -> None:
    """Name what has not happened yet, so that its first time is seen as an increase."""
    for name in ("jobs.created_total", "events.persist_failures_total"):
        found.count(name, 0)
    for reason in LossReason:
        found.count("worker.recovered_jobs_total", 0, reason=reason)
