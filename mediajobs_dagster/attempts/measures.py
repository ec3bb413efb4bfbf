"""What an attempt adds to the metrics: how long its stages and calls took, and how they ended.

It is written with the attempt's end, in the same transaction. Names that come from other packages are checked against
those that are known, so that no metric grows without bound.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from mediajobs_dagster.attempts.manifest import StageRecord
from mediajobs_dagster.attempts.recorder import INTERRUPTED, Recorder, Stage
from mediajobs_dagster.errors import (
    CancelledError,
    DeadlineError,
    ServiceTimeoutError,
    StalledError,
    all_errors,
)
from mediajobs_dagster.history.series import OTHER, Measure, Tally
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import FfmpegCommand, ServiceCall, StorageOp
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage.base import OPERATIONS

STAGE_LATENCY = "worker.stage_latency_ms"
STAGE_FAILURES = "worker.stage_failures_total"
CALLS = "external.calls_total"
CALL_LATENCY = "external.call_latency_ms"
PERSIST_FAILURES = "events.persist_failures_total"
RECOVERED = "worker.recovered_jobs_total"

STORAGE = "storage"
"""The object storage, as a service."""
PROGRAMS = {"ffmpeg": "run", "ffprobe": "probe"}
"""What is asked of each program that attempts run."""
OK, ERROR, TIMEOUT, CANCELLED = OUTCOMES = ("success", "error", "timeout", "cancelled")
"""How a call can end."""

_TIMEOUTS = frozenset({ServiceTimeoutError.code, DeadlineError.code, StalledError.code})
_CANCELLED = frozenset({CancelledError.code, INTERRUPTED})
_BUILT_IN = frozenset({*Stage, STORAGE, *PROGRAMS, *PROGRAMS.values(), *OPERATIONS})

Entry = StageRecord | StorageOp | ServiceCall | FfmpegCommand

_log = logging.getLogger(__name__)
_told = set[str]()


@dataclass(frozen=True)
class KnownNames:
    """The names of stages, services and operations that metrics tell apart."""

    registry: Registry
    settings: Settings

    @cached_property
    def of_job_types(self) -> frozenset[str]:
        """Those that the job types have beside the usual ones; looked for when a name is not a usual one."""
        return frozenset(name for each in self.registry for name in each.measured_names(self.settings))

    def known(self, name: str) -> str:
        """The name, or `other`; a name that is not known is logged once a process."""
        if name in _BUILT_IN or name in self.of_job_types:
            return name
        log_once(name, f"Metrics count {name!r} as {OTHER!r}: no job type has it in its `measured_names`.")
        return OTHER


def measures_of(recorder: Recorder, names: KnownNames) -> tuple[Measure, ...]:
    """What is to be added. Never raises: a record without metrics is worth more than none."""
    if not names.settings.metrics:
        return ()
    return quietly(lambda: _measures(recorder.entries(), names))


def quietly(measure: Callable[[], tuple[Measure, ...]]) -> tuple[Measure, ...]:
    """What `measure` returns; nothing if it raises, which is logged once a process."""
    try:
        return measure()
    except Exception as error:  # noqa: BLE001  # an edge: whatever it is, the end of the attempt must be recorded
        log_once(type(error).__name__, f"What an attempt measured was not counted: {type(error).__name__}: {error}")
        return ()


def log_once(name: str, message: str) -> None:
    """Log a warning, unless one of that name was logged by this process."""
    if name not in _told:
        _told.add(name)
        _log.warning("%s", message)


def counted_once(name: str, **labels: str) -> tuple[Measure, ...]:
    """One more of something that has no duration."""
    return counted(name, 1, **labels)


def counted(name: str, number: int, /, **labels: str) -> tuple[Measure, ...]:
    """So many more of something that has no duration."""
    tally = Tally()
    tally.count(name, number, **labels)
    return tally.measures if number else ()


def _measures(entries: Iterable[Entry], names: KnownNames) -> tuple[Measure, ...]:
    tally = Tally()
    for entry in entries:
        match entry:
            case StageRecord():
                stage = names.known(entry.name)
                tally.time(STAGE_LATENCY, entry.duration_ms, stage=stage)
                if entry.status != "ok":
                    tally.count(STAGE_FAILURES, stage=stage, code=_code(entry.status))
            case StorageOp():
                _call(tally, STORAGE, names.known(entry.op), entry)
            case FfmpegCommand():
                program = entry.argv[0] if entry.argv else OTHER
                _call(tally, names.known(program), PROGRAMS.get(program, OTHER), entry)
            case ServiceCall():
                _call(tally, names.known(entry.service), names.known(entry.op), entry)
    return tally.measures


def _call(tally: Tally, service: str, op: str, entry: StorageOp | ServiceCall | FfmpegCommand) -> None:
    tally.count(CALLS, service=service, op=op, outcome=_outcome(entry.status))
    tally.time(CALL_LATENCY, entry.duration_ms, service=service, op=op)


def _outcome(status: str) -> str:
    if status == "ok":
        return OK
    return TIMEOUT if status in _TIMEOUTS else CANCELLED if status in _CANCELLED else ERROR


def _code(status: str) -> str:
    is_known = status == INTERRUPTED or any(status == each.code for each in all_errors())
    return status if is_known else OTHER
