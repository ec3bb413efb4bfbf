"""The spans of what has ended: of an attempt and what led to it, and of a job.

    job ─┬─ submit
         ├─ queue ─ dispatch                    for each attempt
         └─ run ── attempt ─┬─ stage ─┬─ command
                            │         ├─ storage
                            ┊         └─ call
                            └─ job (a child, which begins when this one has ended)

A job's own span is told when the job has ended, after those of its attempts. One that is asked for again by hand gets a
further one, below the same parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.history.trace_outbox import Ended, TracedJob
from mediajobs_dagster.models import Attempt, AttemptStatus, Job, JobStatus
from mediajobs_dagster.telemetry.traces.parts import Parts
from mediajobs_dagster.telemetry.traces.span import Attributes, Fault, Kind, Period, Span
from mediajobs_dagster.trace_context import attempt_span_id, otel_trace_id, span_id_of

_FAILED = (AttemptStatus.FAILURE, AttemptStatus.LOST)


@dataclass(frozen=True)
class Tree:
    """What is known of something that has ended."""

    ended: Ended
    traced: TracedJob
    attempt: Attempt | None
    """With its manifest; None: the job ended while it waited."""
    run_started_at: datetime | None
    """When Dagster started the run; None: it is not known."""
    is_on_s3: bool

    def spans(self) -> Iterator[Span]:
        """The spans. They are the same whenever they are made again."""
        if self._is_first:
            created = self._job.created_at
            yield self._below_job("submit", Period(created, created), kind=Kind.PRODUCER, part="submit")
        if self.attempt is not None:
            yield from self._of_attempt(self.attempt)
        else:
            ends = [_taken(each).end for each in self._attempts]
            waited = Period(max(ends, default=self._whole.start), self._whole.end)
            yield self._below_job("queue", waited, part=f"queue {self.ended.id}")
        if self.ended.job_status is not None:
            yield self._of_job(self.ended.job_status)

    @property
    def _job(self) -> Job:
        return self.traced.job

    @property
    def _trace_id(self) -> str:
        return otel_trace_id(self._job.trace_id)

    @property
    def _job_span_id(self) -> str:
        return span_id_of(self._job.id, "job", self.ended.attempts_before)

    @property
    def _is_first(self) -> bool:
        """Whether nothing of the job was told before."""
        return self.attempt.attempt == 1 if self.attempt else not self.traced.attempts and not self._job.attempts

    @property
    def _attempts(self) -> list[Attempt]:
        """Those that were made by then: when it is told, the job may have been asked for again."""
        last = self.attempt
        if last is None:
            return [each for each in self.traced.attempts if each.started_at <= self.ended.ended_at]
        return [each for each in self.traced.attempts if each.attempt <= last.attempt]

    @property
    def _whole(self) -> Period:
        """From when the job was asked for, or asked for again, to its end. The times of all its attempts are in it."""
        starts = [self._job.created_at] if self.ended.attempts_before == 0 else []
        starts += [_waited(each).start for each in self._attempts]
        ends = [_taken(each).end for each in self._attempts]
        if self.attempt is None:
            ends.append(self.ended.ended_at)
        start = min(starts, default=self.ended.ended_at)
        return Period(start, max([start, *starts, *ends]))

    def _of_attempt(self, attempt: Attempt) -> Iterator[Span]:
        manifest = _manifest_of(attempt)
        version = manifest.versions.mediajobs if manifest else None
        waited, taken = _waited(attempt), _taken(attempt)
        assigned = None if self.ended.assigned_at is None else _between(waited, self.ended.assigned_at)
        begun = waited.end
        if attempt.run_id and self.run_started_at:
            begun = _between(Period(assigned or waited.start, waited.end), self.run_started_at)
        number: Attributes = {"mediajobs.attempt.number": attempt.attempt}
        queued = Period(waited.start, assigned or waited.end)
        yield self._below_job("queue", queued, number, part=f"queue {attempt.id}")
        if assigned is not None:
            yield self._below_job("dispatch", Period(assigned, begun), number, part=f"dispatch {attempt.id}")
        parent_id = self._job_span_id
        if attempt.run_id:
            run = self._below_job(
                "run",
                Period(begun, taken.end),
                {**number, "mediajobs.run.id": attempt.run_id},
                part=f"run {attempt.id}",
            ).on(attempt.host, version)
            parent_id = run.span_id
            yield run
        whole = self._span_of(attempt, parent_id, taken).on(attempt.host, version)
        yield whole
        if manifest:
            parts = Parts(attempt.id, self._trace_id, whole, manifest, self.is_on_s3)
            yield from (part.on(attempt.host, version) for part in parts.spans())

    def _span_of(self, attempt: Attempt, parent_id: str, taken: Period) -> Span:
        return Span(
            self._trace_id,
            attempt_span_id(attempt.id),
            parent_id,
            f"attempt {attempt.job_name}",
            taken,
            Kind.CONSUMER,
            {
                **self._about_job(),
                "mediajobs.attempt.id": attempt.id,
                "mediajobs.attempt.number": attempt.attempt,
                "mediajobs.attempt.status": attempt.status.value,
                "mediajobs.run.id": attempt.run_id,
                "mediajobs.rtf": attempt.rtf,
                "mediajobs.bytes_in": attempt.bytes_in,
                "mediajobs.bytes_out": attempt.bytes_out,
                "mediajobs.cpu_seconds": attempt.cpu_seconds,
                "mediajobs.blame": attempt.blame.value if attempt.blame else None,
                "error.type": attempt.error_code,
            },
            _fault_of(attempt),
        )

    def _of_job(self, status: JobStatus) -> Span:
        is_bad = status in (JobStatus.DEAD, JobStatus.FAILED)
        last = self._attempts[-1] if is_bad and self._attempts else None
        return Span(
            self._trace_id,
            self._job_span_id,
            self.traced.caused_by_span,
            f"job {self._job.job_type}",
            self._whole,
            Kind.INTERNAL,
            {
                **self._about_job(),
                "mediajobs.job.status": status.value,
                "mediajobs.job.attempts": len(self._attempts),
                "mediajobs.job.parent_id": self._job.parent_job_id,
                "error.type": last.error_code if last else None,
            },
            _fault_of(last) if last else None,
        )

    def _about_job(self) -> Attributes:
        return {
            "mediajobs.job.id": self._job.id,
            "mediajobs.job.type": self._job.job_type,
            "mediajobs.job.priority": self._job.priority,
            "mediajobs.subject.id": self._job.subject_id,
            # The name by which a program called the trace, where that is no id.
            "mediajobs.trace_id": self._job.trace_id if self._job.trace_id != self._trace_id else None,
        }

    def _below_job(
        self,
        name: str,
        period: Period,
        about: Attributes | None = None,
        *,
        part: str,
        kind: Kind = Kind.INTERNAL,
    ) -> Span:
        span_id = span_id_of(self._job.id, part)
        return Span(self._trace_id, span_id, self._job_span_id, name, period, kind, about or {})


def _manifest_of(attempt: Attempt) -> Manifest | None:
    try:
        return None if attempt.manifest is None else Manifest.model_validate(attempt.manifest)
    except ValidationError:  # of another version: the attempt itself is told without its parts
        return None


def _taken(attempt: Attempt) -> Period:
    end = attempt.completed_at or attempt.started_at + timedelta(milliseconds=attempt.duration_ms or 0)
    return Period(attempt.started_at, max(attempt.started_at, end))


def _waited(attempt: Attempt) -> Period:
    """How long the job waited for an attempt, which the database has measured, before the worker's own time."""
    return Period(attempt.started_at - timedelta(milliseconds=attempt.queue_ms or 0), attempt.started_at)


def _between(period: Period, moment: datetime) -> datetime:
    return min(max(moment, period.start), period.end)


def _fault_of(attempt: Attempt) -> Fault | None:
    if attempt.status not in _FAILED:
        return None
    return Fault(attempt.error_code or attempt.status.value, attempt.error or "")
