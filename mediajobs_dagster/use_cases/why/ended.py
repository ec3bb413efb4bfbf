"""Why a job ended as it did, or why it failed for now, and whether it will be tried again."""

from __future__ import annotations

from datetime import datetime

from mediajobs_dagster.errors import Blame, MediaJobsError, all_errors
from mediajobs_dagster.models import Attempt, AttemptStatus, Job, JobStatus
from mediajobs_dagster.printable import counted, in_one_line
from mediajobs_dagster.resilience.retry import DEADLY, Past
from mediajobs_dagster.resilience.states import moment_words
from mediajobs_dagster.use_cases.why.answer import Cause, CauseKind

_WHOSE = {
    Blame.INPUT: "The input is at fault.",
    Blame.SYSTEM: "The system is at fault.",
    Blame.EXTERNAL: "An outside service is at fault.",
}


def cause_of_end(job: Job, latest: Attempt | None) -> Cause:
    """Why a job is over, or failed for now."""
    match job.status:
        case JobStatus.COMPLETED:
            return Cause(CauseKind.COMPLETED, "It is done.")
        case JobStatus.SKIPPED:
            if latest is not None and latest.error_code:
                return Cause(CauseKind.QUOTA, f"It was skipped: {in_one_line(latest.error or latest.error_code)}")
            return Cause(CauseKind.UP_TO_DATE, "Its output was there already, and up to date.")
        case JobStatus.CANCELLED:
            return Cause(CauseKind.CANCELLED, "It was cancelled.")
        case _:
            return Cause(CauseKind.FAILED, _failure(job, latest))


def _failure(job: Job, latest: Attempt | None) -> str:
    if latest is None or not latest.error_code:
        return f"It failed with {job.error_code}."
    whose = _WHOSE.get(latest.blame, "") if latest.blame else ""
    verb = "was lost" if latest.status is AttemptStatus.LOST else "failed"
    message = in_one_line(latest.error or "").rstrip(".")
    return f"Attempt {latest.attempt} {verb} with {latest.error_code}: {message}. {whose}".rstrip()


def whether_again(job: Job, past: Past, at: datetime) -> str | None:
    """Whether a job that failed will be tried again, and why or why not. `past` includes all of its attempts."""
    if job.status is JobStatus.FAILED:
        when = (
            f"at {moment_words(job.not_before, at)}" if job.not_before and job.not_before > at else "as soon as it can"
        )
        return f"It will be tried again {when}: {_because(job, past)}."
    if job.status is not JobStatus.DEAD:
        return None
    retry = f"`mediajobs jobs retry {job.id}` tries it"
    cure = f"Once that is mended, {retry} again" if _kind_of(job).retryable else f"{retry} all the same"
    return f"It will not be tried again: {_because_not(job, past)}. {cure}."


def _because(job: Job, past: Past) -> str:
    kind = _kind_of(job)
    if kind.is_interruption:
        return "an interruption uses up no attempt"
    if kind.is_outage and past.outages_in_a_row:
        return "an outage uses up no attempts, and may be over by then"
    if kind.is_retried_alone:
        return "with fewer threads, and with nothing beside it on its machine"
    return f"it has attempts left (used: {_used(past)})"


def _because_not(job: Job, past: Past) -> str:
    kind = _kind_of(job)
    if not kind.retryable:
        return f"another try cannot mend {job.error_code}"
    if kind.is_interruption and past.deaths_in_a_row >= DEADLY:
        return f"its worker died {past.deaths_in_a_row} times in a row"
    if kind.is_retried_alone and past.tried_alone > 1:
        return "it ran out of memory again, with fewer threads and alone on its machine"
    if kind.is_outage and past.outages_in_a_row > 1 and _counted(past) < job.max_attempts:
        return f"the outage has lasted for too long, {past.outages_in_a_row} attempts"
    return f"its attempts are used up ({_used(past)})"


def _counted(past: Past) -> int:
    """The attempts that count, since it was asked for or retried by hand; where outages count, they are the rest."""
    return max(1, past.attempts - past.interruptions - past.outages)


def _used(past: Past) -> str:
    """How many attempts there were, and how many of them count."""
    since, counting = " since it was retried by hand" if past.before else "", _counted(past)
    if counting >= past.attempts:
        return f"{counting}{since}"
    return f"{counted(past.attempts, 'attempt')}{since}, {counting} of them counted"


def _kind_of(job: Job) -> type[MediaJobsError]:
    return next((kind for kind in all_errors() if kind.code == job.error_code), MediaJobsError)
