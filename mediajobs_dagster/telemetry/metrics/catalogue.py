"""Every metric there is: its name, kind, labels, unit and meaning.

Each has two names. The one with dots is that of the JSON snapshot, with times in milliseconds, sizes in MiB and shares
in percent. The one of Prometheus follows from it: base units, and `mediajobs_` before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from mediajobs_dagster.attempts.measures import OUTCOMES
from mediajobs_dagster.attempts.recovery import LossReason
from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history.series import BOUNDS_MS
from mediajobs_dagster.job_types.base import Lane
from mediajobs_dagster.models import AttemptStatus, JobStatus
from mediajobs_dagster.resilience.states import BreakerState


class Kind(StrEnum):
    """What can be done with its values."""

    COUNTER = "counter"
    """It only grows."""
    GAUGE = "gauge"
    """It is what it is at the moment."""
    HISTOGRAM = "histogram"
    """Counts by size, and their sum."""


class Origin(StrEnum):
    """Who measures it."""

    TOTALS = "totals"
    """Counted in the history database, by every process of the installation, in the transaction of what it counts."""
    STATE = "state"
    """Read from the history database at the moment of the scrape."""
    PROCESS = "process"
    """Measured by the process that answers, of itself; it begins anew when that is started."""


@dataclass(frozen=True)
class Label:
    """A label, and the values that it can have. Whatever else comes is `other`."""

    name: str
    meaning: str
    values: tuple[str, ...] = ()
    """All values that it can have; empty: those of code, job types or settings, at most `most`."""
    most: int = 100


@dataclass(frozen=True)
class Metric:
    """One metric."""

    name: str
    kind: Kind
    origin: Origin
    help: str
    labels: tuple[Label, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram: the upper bounds of its classes, in the unit of the name with dots."""

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """The names of its labels."""
        return tuple(label.name for label in self.labels)

    @property
    def unit(self) -> str:
        """The base unit, as Prometheus has it; empty: a number."""
        return _conversion(self.name)[1]

    @property
    def scale(self) -> float:
        """What a value in the unit of the name with dots is multiplied with to be in the base unit."""
        return _conversion(self.name)[2]

    @cached_property
    def prometheus(self) -> str:
        """The name for Prometheus, such as mediajobs_http_request_latency_seconds."""
        suffix, unit, _ = _conversion(self.name)
        total = "_total" if self.kind is Kind.COUNTER else ""
        plain = self.name.removesuffix(total).removesuffix(f"_{suffix}" if suffix else "")
        return f"mediajobs_{plain.replace('.', '_')}{f'_{unit}' if unit else ''}{total}"


_UNITS = {"ms": ("seconds", 1e-3), "mb": ("bytes", float(2**20)), "pct": ("ratio", 1e-2), "bytes": ("bytes", 1.0)}


def _conversion(name: str) -> tuple[str, str, float]:
    """The unit that a name ends in, the base unit, and the factor between them."""
    suffix = name.removesuffix("_total").rpartition("_")[2]
    unit, scale = _UNITS.get(suffix, ("", 1.0))
    return (suffix if unit else ""), unit, scale


NONE = "none"
"""The value of a label where there is nothing to tell."""

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_ENDED = tuple(str(status) for status in AttemptStatus if status.is_final)
_STATUSES = tuple(map(str, JobStatus))

JOB_TYPE = Label("job_type", "The job type.")
LANE = Label("lane", "Its lane; none: the type is not installed here.", (*map(str, Lane), NONE))
ROUTE = Label("route", "The route's template, such as /api/jobs/{reference}; unknown: no route fits.", most=200)
CODE = Label("code", "The error's code.", most=200)
STAGE = Label("stage", "The stage of an attempt.")
SERVICE = Label("service", "storage, ffmpeg, ffprobe, or the name of an outside service.")
OP = Label("op", "What was asked of it.")
HOST = Label("host", "The machine.", most=200)
BUCKET = Label("bucket", "The quota.")

_HTTP_BOUNDS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)
_LAG_BOUNDS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 5_000)

_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_T, _S, _P = Origin.TOTALS, Origin.STATE, Origin.PROCESS

CATALOGUE: tuple[Metric, ...] = (
    # --- the serving process ---
    Metric(
        "http.requests_total",
        _C,
        _P,
        "Answers to HTTP requests.",
        (
            Label("method", "The request's method.", _METHODS),
            ROUTE,
            Label("code_class", "The class of the status.", ("1xx", "2xx", "3xx", "4xx", "5xx")),
        ),
    ),
    Metric(
        "http.errors_total",
        _C,
        _P,
        "Answers with a status of 400 or more.",
        (ROUTE, Label("code", "The HTTP status.", most=30)),
    ),
    Metric("http.request_latency_ms", _H, _P, "From a request to the end of its answer.", (ROUTE,), _HTTP_BOUNDS_MS),
    Metric("proc.memory_rss_mb", _G, _P, "Resident memory of the serving process."),
    Metric("proc.open_fds", _G, _P, "Open file descriptors of the serving process."),
    Metric("scratch.disk_used_pct", _G, _P, "Used share of the disk that working files lie on, on that machine."),
    Metric("event_loop.lag_ms", _H, _P, "How late the event loop of the serving process was.", (), _LAG_BOUNDS_MS),
    # --- jobs ---
    Metric("jobs.created_total", _C, _T, "Jobs that were asked for."),
    Metric(
        "jobs.status_transition_total",
        _C,
        _T,
        "Changes of a job's status.",
        (Label("from", "The status before.", _STATUSES), Label("to", "The status after.", _STATUSES)),
    ),
    Metric("jobs.total_latency_ms", _H, _T, "From a job's creation to each end of it.", (), BOUNDS_MS),
    Metric(
        "jobs.ended_total",
        _C,
        _T,
        "Ends of jobs. One that is asked for again ends again.",
        (
            JOB_TYPE,
            Label("status", "The status in which it ended.", tuple(str(each) for each in JobStatus if each.is_final)),
            CODE,
            Label("blame", "Whose fault it was.", (*map(str, Blame), NONE)),
        ),
    ),
    # --- attempts ---
    Metric("worker.stage_latency_ms", _H, _T, "How long the stages of attempts took.", (STAGE,), BOUNDS_MS),
    Metric("worker.stage_failures_total", _C, _T, "Stages that ended with an error.", (STAGE, CODE)),
    Metric(
        "external.calls_total",
        _C,
        _T,
        "Calls of services, operations on the storage, and programs that were run.",
        (SERVICE, OP, Label("outcome", "How it ended.", OUTCOMES)),
    ),
    Metric("external.call_latency_ms", _H, _T, "How long these took, all tries included.", (SERVICE, OP), BOUNDS_MS),
    Metric("worker.inflight_jobs", _G, _S, "Jobs that are being worked on."),
    Metric("events.persist_failures_total", _C, _T, "Ends and heartbeats that the database did not take at once."),
    Metric(
        "worker.recovered_jobs_total",
        _C,
        _T,
        "Jobs that were taken from a worker that did not end them.",
        (Label("reason", "How that was found.", tuple(map(str, LossReason))),),
    ),
    Metric(
        "attempts.ended_total",
        _C,
        _T,
        "Attempts that have ended.",
        (JOB_TYPE, Label("status", "How the attempt ended.", _ENDED)),
    ),
    Metric("attempts.duration_ms_total", _C, _T, "How long attempts took.", (JOB_TYPE,)),
    Metric("attempts.wasted_ms_total", _C, _T, "Of that, attempts that failed, were lost or cancelled.", (JOB_TYPE,)),
    Metric("attempts.cpu_ms_total", _C, _T, "CPU time of their commands.", (JOB_TYPE,)),
    Metric("attempts.read_bytes_total", _C, _T, "Bytes that they read from the storage.", (JOB_TYPE,)),
    Metric("attempts.written_bytes_total", _C, _T, "Bytes that they wrote to the storage.", (JOB_TYPE,)),
    Metric("attempts.rtf_media_ms_total", _C, _T, "Media that attempts with an RTF have processed.", (JOB_TYPE,)),
    Metric("attempts.rtf_duration_ms_total", _C, _T, "How long these took; media / this is the RTF.", (JOB_TYPE,)),
    Metric("jobs.rtf", _G, _S, "Media time / processing time of the last 24 hours.", (JOB_TYPE,)),
    # --- queue ---
    Metric(
        "queue.jobs",
        _G,
        _S,
        "Jobs that wait (queued, or failed and to be tried again) or are being worked on.",
        (JOB_TYPE, LANE, Label("status", "Their status.", ("queued", "failed", "processing"))),
    ),
    Metric("queue.oldest_age_ms", _G, _S, "How long ago the job that waits longest was asked for.", (JOB_TYPE, LANE)),
    # --- what holds things up ---
    Metric(
        "breaker.state",
        _G,
        _S,
        "1 for the state in which a job type's breaker is, 0 for the others.",
        (JOB_TYPE, Label("state", "The state.", tuple(map(str, BreakerState)))),
    ),
    Metric("host.inflight_jobs", _G, _S, "Jobs that a machine works on, if it does.", (HOST,)),
    Metric("host.quarantined", _G, _S, "1: the machine claims no jobs, or one at a time.", (HOST,)),
    Metric("quota.used_units", _G, _S, "Units of a quota that are used in its period.", (BUCKET,)),
    Metric("quota.limit_units", _G, _S, "Units of a quota that may be used in its period.", (BUCKET,)),
    Metric(
        "daemon.heartbeat_age_ms",
        _G,
        _S,
        "How long ago Dagster's daemons gave a sign of life, each.",
        (Label("daemon", "Dagster's name for it.", most=20),),
    ),
    Metric("schedule.missed_total", _C, _T, "Moments of schedules that were missed.", (JOB_TYPE,)),
    Metric("alerts.outbox_messages", _G, _S, "Alerts that are due, or were tried, and are not sent yet."),
    Metric("alerts.outbox_age_ms", _G, _S, "How long ago the first of them was written."),
    Metric("webhooks.outbox_messages", _G, _S, "Webhooks that are not delivered yet, and still tried."),
    Metric("webhooks.outbox_age_ms", _G, _S, "How long ago what the first of them tells has happened."),
    # --- the scrape itself ---
    Metric("database.up", _G, _S, "1: the history database answered; 0: what it counts is missing in this scrape."),
    Metric("scrape.duration_ms", _G, _P, "How long this scrape took."),
    Metric("build.info", _G, _P, "Always 1, for the label.", (Label("version", "Of mediajobs.", most=1),)),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in CATALOGUE}
"""The catalogue by names with dots."""
