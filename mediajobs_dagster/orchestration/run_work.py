"""What a run of a job type does, however many ops it has."""

# No `from __future__ import annotations` here: Dagster reads the annotations of its configuration at run time.
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import dagster as dg

from mediajobs_dagster.attempts.batch import enqueue_stale, requeue_run, work_off
from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.attempts.totals import RunTotals
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.history import DayStanding, WithoutOutput
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.orchestration import metadata, tags
from mediajobs_dagster.orchestration.partitions import day_of
from mediajobs_dagster.orchestration.redacted_errors import named_failures, redacted_errors
from mediajobs_dagster.orchestration.termination import was_terminated
from mediajobs_dagster.orchestration.turns import RunsTurn
from mediajobs_dagster.printable import in_one_line

Metadata = Mapping[str, Any]
Event = TypeVar("Event")
RunContext = dg.AssetExecutionContext | dg.OpExecutionContext
OUTPUT_CHECK = "every_subject_has_its_output"
_SIGN_S = 15.0
"""How often a run that searches for its work reports that it is alive, seconds. Recovery waits two minutes."""

_LISTED = 20
"""Subjects without an output that check and log name; of more, they tell how many."""


class HandRun(dg.Config):
    """Options of a run that is started manually or by a backfill."""

    force: bool = False
    """Make every output of the day again, not only the missing and stale ones."""


Working = Callable[[Listeners, Cancellation | None], RunTotals]


def assigned(context: RunContext, worker: Worker, job_type: JobType, *, force: bool) -> Working:
    """Find out which jobs a run is for; returns the function that attempts them, in any thread."""
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

    def attempt_all(listeners: Listeners, stop: Cancellation | None) -> RunTotals:
        run_id = run.run_id
        return work_off(worker, job_type, dispatch_id, run_id=run_id, listeners=listeners, is_over=is_over, stop=stop)

    return attempt_all


def _signs_of_life(context: RunContext) -> Callable[[], None]:
    """A function that tags the run with the current time, at most every `_SIGN_S`; recovery closes a silent run."""
    due = 0.0

    def sign() -> None:
        nonlocal due
        if time.monotonic() >= due:
            context.instance.add_run_tags(context.run.run_id, {tags.SEARCHING: f"{time.time():.3f}"})
            due = time.monotonic() + _SIGN_S

    return sign


@dataclass(frozen=True)
class Day:
    """A day of one job type."""

    day: date
    of: DayStanding
    without_output: list[WithoutOutput]
    """The first _LISTED of those whose job is tried no more."""


def standing_of(context: RunContext, worker: Worker, job_type: JobType) -> Day:
    """How the day of a run stands."""
    day = day_of(context.run)
    days, name, kind = worker.history.days, job_type.name, job_type.subject
    standing = days.standing(name, kind, day)
    return Day(day, standing, days.without_output(name, kind, day, limit=_LISTED) if standing.dead else [])


def warn(context: RunContext, standing: Day) -> None:
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


def check_of(standing: Day) -> dg.AssetCheckResult:
    """The result of the check that each subject has its output."""
    return dg.AssetCheckResult(
        check_name=OUTPUT_CHECK,
        passed=not standing.of.dead,
        severity=dg.AssetCheckSeverity.ERROR if standing.of.faults else dg.AssetCheckSeverity.WARN,
        metadata=metadata.of_check(standing.of, standing.without_output),
    )


def end_of_run(
    context: RunContext, worker: Worker, job_type: JobType, totals: RunTotals, made: Callable[[Metadata], Event]
) -> Iterator[dg.AssetCheckResult | Event]:
    """The events that end a run; `made` turns the figures of what was made into one. Raises dg.Failure."""
    with redacted_errors(), named_failures():
        standing = standing_of(context, worker, job_type)
    is_dispatched = tags.DISPATCH in context.run.tags
    if not is_dispatched:
        warn(context, standing)
    yield check_of(standing)
    if is_dispatched and not totals.attempts:
        context.log.warning("This run has no jobs any more: they were cancelled, or their lease ran out.")
        return
    if fault := fault_of_system(totals):
        raise failure(fault, totals, worker)
    yield made(metadata.of_run(totals, standing.of, worker))
    if is_dispatched and not totals.succeeded:
        # After the materialization: nobody but the input is to blame, so the run is red and the day is not.
        raise failure(nothing_made(totals), totals, worker)


def failure(fault: str, totals: RunTotals, worker: Worker) -> dg.Failure:
    """The failure of a run, with what it did."""
    return dg.Failure(fault, metadata=metadata.of_attempts(totals, worker), allow_retries=False)


def fault_of_system(totals: RunTotals) -> str | None:
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


def nothing_made(totals: RunTotals) -> str:
    """Why nothing was made, where no attempt succeeded."""
    said = _why(totals.failures[0])
    return said if totals.attempts == 1 else f"None of the {totals.attempts} jobs succeeded. First: {said}"


def _why(outcome: AttemptEnded) -> str:
    error = f"{outcome.error.code}: {outcome.error}" if outcome.error else outcome.verdict.status
    return in_one_line(f"{outcome.title} ({outcome.job.subject_id}): {error}")


def after_interrupt(context: RunContext) -> JobStatus:
    """The status of a job whose attempt was interrupted."""
    # When a person terminates a run, its jobs are cancelled; when a machine shuts down, they run elsewhere.
    run = context.instance.get_run_by_id(context.run.run_id)
    return JobStatus.CANCELLED if run is not None and was_terminated(context.instance, run) else JobStatus.QUEUED
