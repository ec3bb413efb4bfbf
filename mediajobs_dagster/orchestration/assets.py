"""The assets: the uploads, and one asset for each job type of the registry."""

# Dagster's decorators are typed in part:
# pyright: reportUnknownMemberType=false
# No `from __future__ import annotations` here: Dagster reads the annotations of asset functions at run time.
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import dagster as dg

from mediajobs_dagster.attempts.batch import enqueue_stale, requeue_run, work_off
from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.attempts.totals import RunTotals
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.history import DayStanding, WithoutOutput
from mediajobs_dagster.job_types.base import FFMPEG, JobType
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import JobStatus, SubjectKind
from mediajobs_dagster.orchestration import metadata, tags
from mediajobs_dagster.orchestration.internals.core import PreviewWarning, UnresolvedAssetJobDefinition
from mediajobs_dagster.orchestration.old_runs import OldRuns
from mediajobs_dagster.orchestration.partitions import day_of
from mediajobs_dagster.orchestration.redacted_errors import named_failures, redacted_errors
from mediajobs_dagster.orchestration.run_log import RunLog
from mediajobs_dagster.orchestration.termination import was_terminated
from mediajobs_dagster.orchestration.turns import RunsTurn
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.system import MediaJobs

UPLOADS = "uploads"
OUTPUT_CHECK = "every_subject_has_its_output"
WORKER = "worker"
_SIGN_S = 15.0
"""How often a run that searches for its work reports that it is alive, seconds. Recovery waits two minutes."""

_LISTED = 20
"""Subjects without an output that check and log name; of more, they tell how many."""


class HandRun(dg.Config):
    """Options of a run that is started manually or by a backfill."""

    force: bool = False
    """Make every output of the day again, not only the missing and stale ones."""


def uploads_asset(days: dg.DailyPartitionsDefinition) -> dg.AssetSpec:
    """The uploads of a day. They are made outside Dagster; a sensor observes them."""
    return dg.AssetSpec(
        UPLOADS,
        partitions_def=days,
        group_name="media",
        description="The registered media files, by the UTC day they were added.",
    )


def asset_of(job_type: JobType, media: MediaJobs, days: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset that a job type makes. The partition of a job is the UTC day its subject was created.

    So no partition set grows with the number of uploads.
    """

    @dg.asset(
        name=job_type.asset,
        deps=[] if job_type.subject in (SubjectKind.TICK, SubjectKind.VIDEO) else [UPLOADS],
        partitions_def=days,
        group_name="upkeep" if job_type.subject is SubjectKind.TICK else "media",
        kinds=set(job_type.needs & {FFMPEG}),
        description=job_type.summary,
        code_version=str(job_type.version),
        op_tags=tags.of_job_type(job_type),
        required_resource_keys={WORKER},
        check_specs=[_output_check_of(job_type, days)],
        output_required=False,  # a run whose jobs were all cancelled or taken back makes nothing
    )
    def make(
        context: dg.AssetExecutionContext, config: HandRun
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        worker: Worker = replace(context.resources.worker, after_interrupt=lambda: _after_interrupt(context))
        with redacted_errors(), named_failures():
            totals = _work(context, worker, job_type, media.listeners.also(RunLog(context.log)), force=config.force)
            standing = _standing(context, worker, job_type)
        is_dispatched = tags.DISPATCH in context.run.tags
        if not is_dispatched:
            _warn(context, standing)
        yield _check_of(standing)
        if is_dispatched and not totals.attempts:
            context.log.warning("This run has no jobs any more: they were cancelled, or their lease ran out.")
            return
        if fault := _fault_of_system(totals):
            raise _failure(fault, totals, worker)
        # Handed over in the result, Dagster would store the metadata twice: once more with the output.
        context.add_asset_metadata(metadata.of_run(totals, standing.of, worker))
        yield dg.MaterializeResult()
        if is_dispatched and not totals.succeeded:
            # After the materialization: nobody but the input is to blame, so the run is red and the day is not.
            raise _failure(_nothing_made(totals), totals, worker)

    return make


def _output_check_of(job_type: JobType, days: dg.DailyPartitionsDefinition) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        # Partitioned checks are a preview feature. Without the partitions, Dagster plans the check for the day but
        # records it for no partition, so every run leaves a second, "skipped" entry.
        warnings.simplefilter("ignore", PreviewWarning)
        return dg.AssetCheckSpec(
            OUTPUT_CHECK,
            asset=job_type.asset,
            description="Warns of the subjects of the day that have no output, and says why.",
            partitions_def=days,
        )


def job_of(job_type: JobType) -> UnresolvedAssetJobDefinition:
    """The Dagster job that materializes the asset of a job type. It has the job type's name."""
    return dg.define_asset_job(
        job_type.name,
        selection=[job_type.asset],
        description=job_type.summary,
        tags=tags.of_job_type(job_type),
        # An attempt already runs in a process group of its own; a process per step would only add seconds.
        executor_def=dg.in_process_executor,
    )


def worker_resource(media: MediaJobs) -> dg.ResourceDefinition:
    """The worker of a run: opened when the run starts, closed when it ends."""

    @contextmanager
    def opened(context: dg.InitResourceContext) -> Generator[Worker]:
        sweepers = (OldRuns(context.instance, media.registry),) if context.instance else ()
        with redacted_errors(), media.worker(sweepers=sweepers) as worker:
            yield worker

    return dg.ResourceDefinition(opened, description="ffmpeg, storage, history and scratch of one run.")


def _work(
    context: dg.AssetExecutionContext, worker: Worker, job_type: JobType, listeners: Listeners, *, force: bool
) -> RunTotals:
    if lacking := job_type.lacking(worker.settings.offers):
        raise dg.Failure(
            f"{job_type.name} needs {', '.join(lacking)}, which this worker does not offer. Start the run where it is "
            "offered (MEDIAJOBS_OFFERS).",
            allow_retries=False,
        )
    run, own_dispatch = context.run, tags.dispatch_by_hand(context.run.run_id, job_type)
    if parent := run.tags.get(tags.PARENT_RUN):
        # Dagster copied the tags of the earlier run, so the dispatch tag names a dispatch that is over.
        dispatch_id = own_dispatch
        count = requeue_run(worker, job_type, parent, dispatch_id=dispatch_id)
        context.log.info(f"{count} jobs of run {parent} are queued again for this run.")
    elif tags.DISPATCH in run.tags:
        dispatch_id = run.tags[tags.DISPATCH]
    else:
        dispatch_id = own_dispatch
        trace_id = run.tags.get(tags.TRACE_ID) or run.run_id.replace("-", "")  # one trace for all assets of the run
        context.instance.add_run_tags(run.run_id, {tags.TRACE_ID: trace_id})
        day = day_of(run)
        count = enqueue_stale(
            worker,
            job_type,
            day,
            dispatch_id=dispatch_id,
            trace_id=trace_id,
            force=force,
            on_search=_signs_of_life(context),
        )
        context.log.info(f"{count} {job_type.subject}s of {day} have no up-to-date {job_type.asset}; trace {trace_id}.")
    turn = RunsTurn(context.instance, run)
    # What a person started by hand, its run ends.
    is_over = turn.is_over if dispatch_id != own_dispatch and job_type.batch_size > 1 else lambda: False
    return work_off(worker, job_type, dispatch_id, run_id=run.run_id, listeners=listeners, is_over=is_over)


def _signs_of_life(context: dg.AssetExecutionContext) -> Callable[[], None]:
    """A function that tags the run with the current time, at most every `_SIGN_S`; recovery closes a silent run."""
    due = 0.0

    def sign() -> None:
        nonlocal due
        if time.monotonic() >= due:
            context.instance.add_run_tags(context.run.run_id, {tags.SEARCHING: f"{time.time():.3f}"})
            due = time.monotonic() + _SIGN_S

    return sign


@dataclass(frozen=True)
class _Day:
    """A day of one job type."""

    day: date
    of: DayStanding
    without_output: list[WithoutOutput]
    """The first _LISTED of those whose job is tried no more."""


def _standing(context: dg.AssetExecutionContext, worker: Worker, job_type: JobType) -> _Day:
    day = day_of(context.run)
    days, name, kind = worker.history.days, job_type.name, job_type.subject
    standing = days.standing(name, kind, day)
    return _Day(day, standing, days.without_output(name, kind, day, limit=_LISTED) if standing.dead else [])


def _warn(context: dg.AssetExecutionContext, standing: _Day) -> None:
    """Log what the day lacks, for runs by hand and backfills: what is known not to work they do not try again."""
    if not standing.of.dead:
        return
    lines = [f"{each.title} ({each.subject_id}): {each.code}: {each.reason}" for each in standing.without_output]
    more = standing.of.dead - len(lines)
    context.log.warning(
        "\n".join(
            [
                f"{standing.of.dead} of {standing.of.subjects} subjects of {standing.day} have no output:",
                *map(in_one_line, lines),
                *([f"and {more} more"] if more else []),
            ]
        )
    )


def _check_of(standing: _Day) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=OUTPUT_CHECK,
        passed=not standing.of.dead,
        severity=dg.AssetCheckSeverity.ERROR if standing.of.faults else dg.AssetCheckSeverity.WARN,
        metadata=metadata.of_check(standing.of, standing.without_output),
    )


def _failure(fault: str, totals: RunTotals, worker: Worker) -> dg.Failure:
    return dg.Failure(fault, metadata=metadata.of_attempts(totals, worker), allow_retries=False)


def _fault_of_system(totals: RunTotals) -> str | None:
    """Why run and day have to be red, if so: the system was at fault, or jobs were taken away."""
    if totals.first_fault:
        said = _why(totals.first_fault)
        if totals.attempts == 1:
            return said
        return f"{totals.faults} of {totals.attempts} jobs failed by a fault of the system. First: {said}"
    if totals.taken_away:
        return (
            f"{totals.taken_away} of {totals.attempts} jobs were given to other workers, because this one was silent "
            "for longer than its lease. What it made of them was removed."
        )
    return None


def _nothing_made(totals: RunTotals) -> str:
    said = _why(totals.failures[0])
    return said if totals.attempts == 1 else f"None of the {totals.attempts} jobs succeeded. First: {said}"


def _why(outcome: AttemptEnded) -> str:
    error = f"{outcome.error.code}: {outcome.error}" if outcome.error else outcome.verdict.status
    return in_one_line(f"{outcome.title} ({outcome.job.subject_id}): {error}")


def _after_interrupt(context: dg.AssetExecutionContext) -> JobStatus:
    # When a person terminates a run, its jobs are cancelled; when a machine shuts down, they run elsewhere.
    run = context.instance.get_run_by_id(context.run.run_id)
    return JobStatus.CANCELLED if run is not None and was_terminated(context.instance, run) else JobStatus.QUEUED
