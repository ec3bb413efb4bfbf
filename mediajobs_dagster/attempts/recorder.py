"""Collects what happens during one attempt, and makes the manifest of it at any moment.

The code that does the work tells the recorder; it does not know who reads the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from mediajobs_dagster import __version__
from mediajobs_dagster.attempts.manifest import (
    MAX_CALLS,
    MAX_COMMANDS,
    MAX_ERRORS,
    MAX_STORAGE_OPS,
    ErrorRecord,
    InputMetrics,
    Manifest,
    Metrics,
    OutputRecord,
    StageRecord,
    TimeLedger,
    Truncated,
    Versions,
)
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.history import Claim
from mediajobs_dagster.models import (
    AttemptStatus,
    FfmpegCommand,
    HostFacts,
    JsonObject,
    MediaInfo,
    RtfBasis,
    ServiceCall,
    StorageOp,
    utc_now,
)
from mediajobs_dagster.records import (
    AttemptKey,
    CallEnded,
    CallStarted,
    CommandEnded,
    CommandStarted,
    Record,
    StageEnded,
    StageStarted,
    StorageOpEnded,
)
from mediajobs_dagster.storage.base import OPEN
from mediajobs_dagster.storage.partly_read import RANGE_READ
from mediajobs_dagster.storage.redaction import redact


class Stage(StrEnum):
    """The parts of an attempt, in their order. A `Call` step may have a stage of another name."""

    WAIT = "wait"
    """Only where an attempt has to wait for others on its machine, or they for it."""
    CHECK = "check"
    FETCH = "fetch"
    PROBE = "probe"
    PREPARE = "prepare"
    PLAN = "plan"
    FFMPEG = "ffmpeg"
    VERIFY = "verify"
    PUBLISH = "publish"


_LEDGER: dict[str, str] = {
    Stage.CHECK: "download_ms",
    Stage.FETCH: "download_ms",
    Stage.PROBE: "probe_ms",
    Stage.PLAN: "plan_ms",
    Stage.FFMPEG: "ffmpeg_ms",
    Stage.VERIFY: "verify_ms",
    Stage.PUBLISH: "upload_ms",
}
"""The part of the ledger for each stage. All other stages count as preparation, less the time of service calls."""
_READING = ("get", RANGE_READ, OPEN)
_WRITING = ("put",)

INTERRUPTED = "INTERRUPTED"
"""The status of a stage that was interrupted with its process."""

Entry = TypeVar("Entry")


@dataclass
class Recorder:
    """The record of one attempt while it grows."""

    key: AttemptKey
    host: HostFacts
    tell: Callable[[Record], None] = lambda _: None
    queue_ms: int = 0
    """How long the job waited, milliseconds."""
    params: JsonObject = field(default_factory=dict[str, object])
    started_at: datetime = field(default_factory=utc_now)
    ffmpeg_version: str | None = None
    """None: no ffmpeg was needed."""
    stage: str | None = None
    """The stage that is under way, or the one in which it failed."""
    info: MediaInfo | None = None
    """The primary source, once it is probed."""
    rtf_basis: RtfBasis = RtfBasis.INPUT
    input_summary: JsonObject = field(default_factory=dict[str, object])
    publishing: list[str] = field(default_factory=list[str])
    """The keys under which it has begun to publish."""
    outputs: list[OutputRecord] = field(default_factory=list[OutputRecord])
    checkpoints: list[str] = field(default_factory=list[str])
    """The keys of results that its steps kept, or took from earlier attempts."""
    notes: list[str] = field(default_factory=list[str])
    figures: JsonObject = field(default_factory=dict[str, object])
    """What the steps reported of their result."""
    _files: dict[str, str] = field(default_factory=dict[str, str])
    _start: int = field(default_factory=time.monotonic_ns)
    _stages: list[StageRecord] = field(default_factory=list[StageRecord])
    _commands: list[tuple[str | None, FfmpegCommand]] = field(default_factory=list[tuple[str | None, FfmpegCommand]])
    _storage_ops: list[StorageOp] = field(default_factory=list[StorageOp])
    _calls: list[ServiceCall] = field(default_factory=list[ServiceCall])
    _errors: list[ErrorRecord] = field(default_factory=list[ErrorRecord])

    @classmethod
    def of(cls, claim: Claim, host: HostFacts, tell: Callable[[Record], None]) -> Recorder:
        """The recorder of an attempt that was claimed."""
        return cls(key_of(claim), host, tell, queue_ms=claim.attempt.queue_ms or 0, params=claim.job.params)

    @contextmanager
    def timed(self, name: str) -> Generator[None]:
        """Time one stage; a stage that fails is on record with the code of its error."""
        self.stage, started_at, start = name, utc_now(), time.monotonic_ns()
        self.tell(StageStarted(key=self.key, stage=name))
        status = INTERRUPTED
        try:
            yield
            status = "ok"
        except MediaJobsError as error:
            status = error.code
            raise
        except Exception:
            status = "INTERNAL_ERROR"
            raise
        finally:
            duration_ms = _milliseconds(start)
            self._stages.append(StageRecord(name=name, started_at=started_at, duration_ms=duration_ms, status=status))
            self.tell(StageEnded(key=self.key, stage=name, status=status, duration_ms=duration_ms))
        self.stage = None

    def describe_media(self, *, known: bool) -> None:
        """Record whether the media info of a source was `known` since the upload was added, or is probed now."""
        before = self.input_summary.get("mediaInfoFrom", "upload")
        self.input_summary["mediaInfoFrom"] = "upload" if known and before == "upload" else "probe"

    def stands_for(self, name: str, key: str) -> None:
        """`name` in a command stands for the object `key`."""
        self._files[redact(name)] = key

    def begin_command(self, argv: tuple[str, ...]) -> None:
        """A command is about to start."""
        self.tell(CommandStarted(key=self.key, argv=argv))

    def add_command(self, command: FfmpegCommand) -> None:
        """A command has ended."""
        self._commands.append((self.stage, command))
        self.tell(CommandEnded(key=self.key, stage=self.stage, command=command))

    def add_storage_op(self, op: StorageOp) -> None:
        """A storage operation has ended."""
        self._storage_ops.append(op)
        self.tell(StorageOpEnded(key=self.key, stage=self.stage, op=op))

    def begin_call(self, service: str, op: str, target: str) -> None:
        """A call of an outside service begins; from any thread of a step."""
        self.tell(CallStarted(key=self.key, stage=self.stage, service=service, op=op, target=target))

    def add_call(self, call: ServiceCall) -> None:
        """A call of an outside service has ended; from any thread of a step."""
        self._calls.append(call)
        self.tell(CallEnded(key=self.key, stage=self.stage, call=call))

    def note(self, text: str) -> None:
        """Keep what a person should know; said again, as by the next command on the same source, it is kept once."""
        if text not in self.notes:
            self.notes.append(text)

    def add_error(self, error: MediaJobsError) -> None:
        """Something went wrong in the present stage."""
        self._errors.append(_error_record(error, self.stage))

    def manifest(self, status: AttemptStatus) -> Manifest:
        """The record as it stands, closed with `status`."""
        duration_ms = _milliseconds(self._start)
        key = self.key
        return Manifest(
            job_id=key.job_id,
            job_type=key.job_type,
            attempt=key.number,
            trace_id=key.trace_id,
            run_id=key.run_id,
            status=status,
            started_at=self.started_at,
            finished_at=utc_now(),
            duration_ms=duration_ms,
            queue_ms=self.queue_ms,
            input_summary={"subjectId": key.subject_id, "params": self.params, **self.input_summary},
            stages=tuple(self._stages),
            ffmpeg_commands=_both_ends([command for _, command in self._commands], MAX_COMMANDS),
            s3_ops=_both_ends(self._storage_ops, MAX_STORAGE_OPS),
            calls=_both_ends(self._calls, MAX_CALLS),
            outputs=tuple(self.outputs),
            figures=self.figures,
            errors=_both_ends(self._errors, MAX_ERRORS),
            metrics=self._metrics(duration_ms, made=status is AttemptStatus.SUCCESS),
            time_ledger=self._ledger(duration_ms),
            versions=Versions(mediajobs=__version__, ffmpeg=self.ffmpeg_version),
            files=self._files,
            notes=tuple(self.notes),
            truncated=Truncated(
                ffmpeg_commands=_over(self._commands, MAX_COMMANDS),
                s3_ops=_over(self._storage_ops, MAX_STORAGE_OPS),
                calls=_over(self._calls, MAX_CALLS),
                errors=_over(self._errors, MAX_ERRORS),
            ),
        )

    def entries(self) -> Iterator[StageRecord | StorageOp | ServiceCall | FfmpegCommand]:
        """All that has ended, of which a manifest keeps only so much."""
        yield from self._stages
        yield from self._storage_ops
        yield from self._calls
        yield from (command for _, command in self._commands)

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all commands, probes included, by the kernel's account."""
        return sum(command.cpu_seconds for _, command in self._commands)

    def _metrics(self, duration_ms: int, *, made: bool) -> Metrics:
        making = [command for stage, command in self._commands if stage == Stage.FFMPEG]
        making_ms = sum(command.duration_ms for command in making)
        seconds = self._seconds() if made else None
        return Metrics(
            media_seconds=seconds,
            rtf_basis=self.rtf_basis,
            rtf=round(seconds / (duration_ms / 1000), 3) if seconds and duration_ms else None,
            ffmpeg_ms=making_ms,
            s3_bytes_in=_bytes(self._storage_ops, _READING),
            s3_bytes_out=_bytes(self._storage_ops, _WRITING),
            cpu_pct_avg=round(sum(each.cpu_seconds for each in making) * 100_000 / making_ms, 1) if making_ms else 0.0,
            mem_rss_mb_max=max((command.max_rss_mb or 0.0 for _, command in self._commands), default=0.0),
            input=InputMetrics.of(self.info) if self.info else None,
            host=self.host,
        )

    def _seconds(self) -> float | None:
        """The seconds of media that the real-time factor counts."""
        if self.rtf_basis is RtfBasis.INPUT:
            return self.info.duration_seconds if self.info else None
        return max((output.media_info.duration_seconds for output in self.outputs if output.media_info), default=None)

    def _ledger(self, duration_ms: int) -> TimeLedger:
        parts = dict.fromkeys([*_LEDGER.values(), "prepare_ms", "service_ms"], 0)
        for stage in self._stages:
            in_services = self._in_services(stage)
            parts["service_ms"] += in_services
            parts[_LEDGER.get(stage.name, "prepare_ms")] += stage.duration_ms - in_services
        # Stages never overlap and each is rounded down, so the rest is never negative.
        return TimeLedger(queue_ms=self.queue_ms, **parts, other_ms=duration_ms - sum(parts.values()))

    def _in_services(self, stage: StageRecord) -> int:
        """Milliseconds of a stage during which at least one call of a service was under way."""
        begin = stage.started_at.timestamp() * 1000
        end = begin + stage.duration_ms
        covered, total = begin, 0.0
        spans = ((call.started_at.timestamp() * 1000, call.duration_ms) for call in self._calls)
        for start, length in sorted(spans):
            total += max(0.0, min(end, start + length) - max(covered, start))
            covered = max(covered, min(end, start + length))
        return min(stage.duration_ms, round(total))


def key_of(claim: Claim) -> AttemptKey:
    """What names an attempt that was claimed."""
    return AttemptKey(
        attempt_id=claim.attempt.id,
        job_type=claim.job.job_type,
        subject_id=claim.job.subject_id,
        job_id=claim.job.id,
        number=claim.attempt.attempt,
        trace_id=claim.job.trace_id,
        run_id=claim.attempt.run_id,
    )


def manifest_of_lost(claim: Claim, error: MediaJobsError, now: datetime) -> Manifest:
    """The manifest of an attempt whose worker died before it wrote one, made from the history row."""
    started_at = claim.attempt.started_at
    duration_ms = round((now - started_at).total_seconds() * 1000)
    queue_ms = claim.attempt.queue_ms or 0
    host = HostFacts(hostname=claim.attempt.host or "unknown", instance_type=claim.attempt.instance_type)
    return Manifest(
        job_id=claim.job.id,
        job_type=claim.job.job_type,
        attempt=claim.attempt.attempt,
        trace_id=claim.job.trace_id,
        run_id=claim.attempt.run_id,
        status=AttemptStatus.LOST,
        started_at=started_at,
        finished_at=now,
        duration_ms=duration_ms,
        queue_ms=queue_ms,
        input_summary={"subjectId": claim.job.subject_id, "params": claim.job.params},
        errors=(_error_record(error, stage=None),),
        metrics=Metrics(host=host),
        time_ledger=TimeLedger(queue_ms=queue_ms, other_ms=duration_ms),
        versions=Versions(),
    )


def _error_record(error: MediaJobsError, stage: str | None) -> ErrorRecord:
    return ErrorRecord(
        code=error.code, message=redact(error.message), blame=error.blame, retryable=error.retryable, stage=stage
    )


def _milliseconds(start: int) -> int:
    return (time.monotonic_ns() - start) // 1_000_000


def _both_ends(entries: list[Entry], cap: int) -> tuple[Entry, ...]:
    """At most `cap` entries, from both ends of the list: a failure is at the end."""
    half = cap // 2
    return tuple(entries if len(entries) <= cap else [*entries[:half], *entries[-half:]])


def _over(entries: list[Entry], cap: int) -> int:
    return max(0, len(entries) - cap)


def _bytes(ops: Iterable[StorageOp], kinds: tuple[str, ...]) -> int:
    return sum(op.bytes for op in ops if op.op in kinds)
