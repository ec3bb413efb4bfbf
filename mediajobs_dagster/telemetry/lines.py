"""What a record says in a log: a sentence, and its figures by name. Whoever logs records takes the words from here."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass, field
from typing import Any

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.media.command import without_guards
from mediajobs_dagster.models import Job, JobStatus, JsonObject, StorageOp
from mediajobs_dagster.printable import counted, in_one_line
from mediajobs_dagster.records import (
    AttemptKey,
    AttemptProgressed,
    AttemptRecord,
    AttemptStarted,
    BreakerChanged,
    CallEnded,
    CallStarted,
    CommandEnded,
    CommandStarted,
    JobCancelled,
    JobQueued,
    JobsDispatched,
    JobsHeld,
    LeaseLost,
    Record,
    StageEnded,
    StageStarted,
    StorageOpEnded,
)

_OK = "ok"


@dataclass(frozen=True)
class Line:
    """One line of a log."""

    context: str
    """The part of the program."""
    event: str
    """What kind of line it is, for programs: `stage_ended`."""
    message: str
    """For people."""
    data: JsonObject = field(default_factory=dict[str, Any])
    ids: JsonObject = field(default_factory=dict[str, Any])
    """Job, attempt, trace and run that it is about."""
    level: int = logging.INFO


def line_of(record: Record) -> Line | None:
    """The line that tells a record; None for one that no log needs, such as progress."""
    match record:
        case AttemptProgressed():
            return None
        case AttemptRecord():
            return _of_attempt(record)
        case _:
            return _of_queue(record)


def ending_of(ended: AttemptEnded) -> str:
    """How an attempt ended, in a sentence: with the name of the subject first, and the reason if it failed."""
    job, manifest = ended.job, ended.manifest
    how = f"job {job.id}, attempt {manifest.attempt}: {ended.status} in {manifest.duration_ms} ms"
    named = in_one_line(f"{ended.title} ({job.subject_id})")
    if ended.error is None:
        return f"{named}: {how}."
    return f"{named}: {ended.error.code}: {ended.error} ({how}; the job is {ended.verdict.status}.)"


def _of_queue(record: Record) -> Line | None:
    match record:
        case JobQueued(job=job):
            is_again = isinstance(job, Job) and job.updated_at != job.created_at
            event, again = ("queued_again", " again") if is_again else ("queued", "")
            about = {"jobType": job.job_type, "subjectId": job.subject_id, "priority": job.priority}
            return Line("queue", event, f"A job of type {job.job_type} is queued{again}.", about, _ids_of_job(job))
        case JobCancelled(job=job):
            about = {"jobType": job.job_type}
            return Line("queue", "cancelled", f"A job of type {job.job_type} was cancelled.", about, _ids_of_job(job))
        case JobsDispatched(jobs=jobs):
            data = {
                "dispatchId": record.dispatch_id,
                "jobType": jobs[0].job_type,
                "jobs": [job.id for job in jobs],
            }
            ids = _ids_of_job(jobs[0]) if len(jobs) == 1 else {"traceId": jobs[0].trace_id}
            said = f"{counted(len(jobs), 'job')} of type {jobs[0].job_type} dispatched."
            return Line("dispatch", "dispatched", said, data, ids)
        case JobsHeld():
            data = {"jobType": record.job_type, "waiting": record.waiting, "errorCodes": list(record.error_codes)}
            return Line("dispatch", "held", record.reason, data, level=logging.WARNING)
        case BreakerChanged():
            data = {"jobType": record.job_type, "before": record.before, "after": record.after}
            said = f"The breaker of {record.job_type} went from {record.before} to {record.after}: {record.reason}"
            return Line("breaker", "breaker_changed", said, data, level=logging.WARNING)
        case LeaseLost(job=job):
            data = {"jobType": job.job_type, "attemptId": record.attempt_id, "host": record.host}
            said = f"The worker {record.host} fell silent; its attempt at {job.job_type} is recorded as lost."
            return Line("recovery", "lost", said, data, _ids_of_job(job), logging.WARNING)
        case _:
            return None


def _of_attempt(record: AttemptRecord) -> Line | None:
    ids = _ids_of(record.key)
    match record:
        case AttemptStarted(key=key):
            data = {"jobType": key.job_type, "subjectId": key.subject_id, "attemptId": key.attempt_id}
            return Line("attempt", "attempt_started", f"Attempt {key.number} at {key.job_type} begins.", data, ids)
        case StageStarted(stage=stage):
            return Line("attempt", "stage_started", f"Stage {stage} begins.", {"stage": stage}, ids)
        case StageEnded(stage=stage):
            data = {"stage": stage, "status": record.status, "durationMs": record.duration_ms}
            return _ending("attempt", "stage_ended", f"Stage {stage}", data, ids)
        case CommandStarted(argv=argv):
            said = f"{argv[0]} begins."
            return Line("command", "command_started", said, {"command": shlex.join(without_guards(argv))}, ids)
        case CommandEnded(command=command, stage=stage):
            data = {
                "stage": stage,
                "status": command.status,
                "durationMs": command.duration_ms,
                "exitCode": command.exit_code,
                "cpuSeconds": command.cpu_seconds,
                "maxRssMb": command.max_rss_mb,
                "speed": command.speed,
            }
            return _ending("command", "command_ended", command.argv[0], data, ids)
        case StorageOpEnded(op=op, stage=stage):
            return _of_storage(op, stage, ids)
        case CallStarted():
            data = {"stage": record.stage, "service": record.service, "op": record.op, "target": record.target}
            return Line("service", "call_started", f"{record.service} {record.op} begins.", data, ids)
        case CallEnded(call=call, stage=stage):
            data = {
                "stage": stage,
                "service": call.service,
                "op": call.op,
                "target": call.target,
                "status": call.status,
                "durationMs": call.duration_ms,
                "tries": call.tries,
                "bytes": call.bytes,
                "units": call.units,
            }
            return _ending("service", "call_ended", f"{call.service} {call.op}", data, ids)
        case AttemptEnded():
            return _of_ending(record, ids)
        case _:
            return None


def _of_storage(op: StorageOp, stage: str | None, ids: JsonObject) -> Line:
    data = {**op.to_json(), "stage": stage}
    level = logging.DEBUG if op.status == _OK else logging.WARNING
    return Line(
        "storage", "storage_op_ended", f"{op.op} {op.key}: {op.status} in {op.duration_ms} ms.", data, ids, level
    )


def _of_ending(ended: AttemptEnded, ids: JsonObject) -> Line:
    job = ended.job
    data = {
        "jobType": job.job_type,
        "subjectId": job.subject_id,
        "attemptId": ended.attempt_id,
        "status": ended.status.value,
        "jobStatus": ended.verdict.status.value,
        "durationMs": ended.manifest.duration_ms,
        "retryInS": ended.verdict.pause_s,
        "errorCode": ended.error.code if ended.error else None,
        "timeLedger": ended.manifest.time_ledger.to_json(),
        "outputs": [output.key for output in ended.manifest.outputs],
    }
    is_dead = ended.verdict.status is JobStatus.DEAD
    level = logging.INFO if ended.error is None else logging.ERROR if is_dead else logging.WARNING
    return Line("attempt", "attempt_ended", ending_of(ended), data, ids, level)


def _ending(context: str, event: str, what: str, data: JsonObject, ids: JsonObject) -> Line:
    status = data["status"]
    said = f"{what} ended after {data['durationMs']} ms" if status == _OK else f"{what} failed by {status}"
    return Line(context, event, f"{said}.", data, ids, logging.INFO if status == _OK else logging.WARNING)


def _ids_of(key: AttemptKey) -> JsonObject:
    return {"jobId": key.job_id, "attempt": key.number, "traceId": key.trace_id, "runId": key.run_id}


def _ids_of_job(job: Any) -> JsonObject:
    return {"jobId": job.id, "traceId": job.trace_id}
