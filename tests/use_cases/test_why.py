"""Every cause for which a job waits or ended, each met on a real queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mediajobs_dagster.history import History
from mediajobs_dagster.history.switches import Switch, SwitchScope, SwitchState
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus
from mediajobs_dagster.resilience.breaker import Breaker
from mediajobs_dagster.resilience.dispatch import Dispatcher
from mediajobs_dagster.resilience.held import Held, HeldBy
from mediajobs_dagster.resilience.hosts import HostBreaker
from mediajobs_dagster.resilience.retry import RetryPolicy
from mediajobs_dagster.resilience.states import moment_words
from mediajobs_dagster.use_cases.references import NamedJob
from mediajobs_dagster.use_cases.why import Cause, CauseKind, Explaining, LaneUse, RunSign, RunStage, Why
from tests.history.factories import NOON, THUMB, a_new_job, claimed, ended, let_pass, some_new_jobs
from tests.seam.nightly import Nightly


@dataclass
class Told:
    """What is known of runs: values that a test sets."""

    is_up: bool = True
    runs: dict[str, RunSign] = field(default_factory=dict[str, RunSign])
    at_work: tuple[RunSign, ...] = ()
    limit: int | None = 2

    def run_of(self, dispatch_id: str) -> RunSign | None:
        return self.runs.get(dispatch_id)

    def lane(self, lane: str) -> LaneUse:
        return LaneUse(lane, self.at_work, 3, self.limit)

    def starter(self) -> str | None:
        return "mediajobs up" if self.is_up else None


@pytest.fixture
def told() -> Told:
    return Told()


Ask = Callable[[Job], Why]


@pytest.fixture
def ask(history: History, told: Told) -> Ask:
    """Asks why, with the breaker in between, as `MediaJobs.why` does."""
    registry = Registry.standard().with_types(Nightly())
    dispatcher = Dispatcher(history, Breaker(failures=3), 60)
    hosts = HostBreaker(failures=3)

    def answer(job: Job) -> Why:
        explaining = Explaining(
            history,
            registry,
            RetryPolicy(),
            dispatcher.held,
            lambda: hosts.of_host(history, "here", now=history.now()),
            told,
        )
        return explaining.of(NamedJob(history.jobs.get(job.id), "talk.mp4"))

    return answer


def kinds(why: Why) -> list[CauseKind]:
    return [cause.kind for cause in why.causes]


def queued(history: History, **overrides: Any) -> Job:
    return history.jobs.enqueue([a_new_job(**overrides)])[0].job


def failed(
    history: History,
    *codes: str,
    pause_s: float | None = None,
    status: JobStatus = JobStatus.FAILED,
    job: Job | None = None,
) -> Job:
    """A job, a new one if none is given, whose attempts ended by these errors."""
    job = job or queued(history)
    for number, code in enumerate(codes, start=1):
        dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
        assert dispatch is not None
        claim = history.leases.claim(dispatch.id, run_id="run", host="host-7", lease_s=60)
        assert claim is not None
        is_lost = code == "WORKER_LOST"
        end = ended(claim, AttemptStatus.LOST if is_lost else AttemptStatus.FAILURE, error_code=code, error="It broke.")
        history.leases.finish(end, job_status=status if number == len(codes) else JobStatus.FAILED, pause_s=pause_s)
    return job


def test_a_job_that_nothing_keeps_is_next(history: History, ask: Ask) -> None:
    why = ask(queued(history))
    assert kinds(why) == [CauseKind.STARTING]
    assert (why.again, why.for_uploader) == (None, "This is waiting for its turn.")


def test_the_place_in_the_queue_goes_by_priority_and_turn(history: History, ask: Ask) -> None:
    """Jobs of other types and those that pause are not before it."""
    history.jobs.enqueue(some_new_jobs(3))
    job = queued(history)
    urgent, other = queued(history, priority=5), queued(history, job_type="upload_edit_proxy_v1")
    assert ask(job).cause.text == f"4 {THUMB} jobs are before it in the queue."
    for first in (urgent, other):
        assert kinds(ask(first)) == [CauseKind.STARTING]


def test_a_pause_says_until_when_and_after_what(history: History, ask: Ask) -> None:
    why = ask(failed(history, "STALLED", pause_s=600))
    assert kinds(why) == [CauseKind.PAUSE, CauseKind.FAILED]
    assert why.cause.until is not None
    assert timedelta(minutes=9) < why.cause.until - why.at <= timedelta(minutes=10)
    until = moment_words(why.cause.until, why.at)  # with its date in the last minutes of a day
    assert why.cause.text == f"Its last try ended with STALLED, and it pauses until {until}."
    assert why.causes[1].text == "Attempt 1 failed with STALLED: It broke. The system is at fault."
    assert why.again == f"It will be tried again at {until}: it has attempts left (used: 1)."


def test_a_moment_is_told_with_its_date_on_another_day() -> None:
    late = datetime(2026, 3, 4, 23, 55, tzinfo=UTC)
    assert moment_words(late + timedelta(minutes=4), late) == "23:59:00 UTC"
    assert moment_words(late + timedelta(minutes=10), late) == "2026-03-05 00:05:00 UTC"


def test_a_breaker_says_why_and_when_it_lets_one_try(history: History, ask: Ask) -> None:
    job = queued(history)
    now = history.now()
    for _ in range(3):
        claim = claimed(history)
        history.leases.finish(ended(claim, AttemptStatus.FAILURE, completed_at=now), job_status=JobStatus.DEAD)
    cause = ask(job).cause
    assert (cause.kind, cause.until) == (CauseKind.BREAKER, now + timedelta(seconds=300))
    assert cause.text.startswith(f"Breaker open since {now:%H:%M:%S} UTC (DISK_FULL), next try ")
    assert f"`mediajobs breaker close {job.job_type}` lets it start now" in cause.text


def test_a_quarantined_machine_and_nobody_at_all(history: History, ask: Ask, told: Told) -> None:
    """Each is told; what holds this one job comes behind what holds everything."""
    job = queued(history)
    told.is_up = False
    assert kinds(ask(job)) == [CauseKind.NOBODY]
    switch = Switch(
        scope=SwitchScope.HOST, name="here", state=SwitchState.OPEN, since=history.now(), reason="new disk", who="anna"
    )
    history.switches.set(switch)
    assert kinds(ask(job)) == [CauseKind.HOST, CauseKind.NOBODY]
    claimed(history)  # somebody keeps a lease: `mediajobs work`, or a worker elsewhere
    assert kinds(ask(job)) == [CauseKind.HOST]


def test_a_full_lane_says_by_what(history: History, ask: Ask, told: Told) -> None:
    runs = [RunSign(f"{number}1a2b3c4d5e", RunStage.STARTED, NOON, f"film{number}.mp4") for number in range(2)]
    told.at_work = tuple(runs)
    cause = ask(queued(history)).cause
    assert cause.kind is CauseKind.LANE
    assert cause.text == (
        "The light lane is full: its 2 slots work on film0.mp4 (01a2b3c4), film1.mp4 (11a2b3c4), the first since "
        "2026-03-04 12:00:00 UTC; 3 runs wait for one."
    )
    told.limit = 3
    assert kinds(ask(queued(history))) == [CauseKind.POSITION]


def test_a_batch_that_a_run_has(history: History, ask: Ask, told: Told) -> None:
    """The run has not started, is over, or works on others of the batch."""
    jobs = [entry.job for entry in history.jobs.enqueue(some_new_jobs(3), dispatch_id="d", lease_s=60)]
    last = max(jobs, key=lambda job: job.id)
    gone = ask(last)
    assert kinds(gone) == [CauseKind.RUN_GONE]
    assert gone.cause.until == history.jobs.get(last.id).lease_expires_at
    told.runs["d"] = RunSign("run-1", RunStage.QUEUED, NOON)
    assert ask(last).cause.text == "Run run-1 has it, and has been waiting to start since 2026-03-04 12:00:00 UTC."
    told.runs["d"] = RunSign("run-1", RunStage.STARTING, None, queue="heavy+speech")
    assert "in the cluster's queue heavy+speech. No worker of that queue has taken it" in ask(last).cause.text
    told.runs["d"] = RunSign("run-1", RunStage.STARTED, NOON)
    assert ask(last).cause == Cause(
        CauseKind.BATCH, "Run run-1 has it and works on others of its batch; 2 jobs of its batch are before it."
    )
    told.runs["d"] = RunSign("run-1", RunStage.OVER, NOON)
    assert ask(last).cause.text.startswith("Run run-1, which had it, is over.")


def test_one_at_work_and_one_whose_worker_is_silent(history: History, ask: Ask) -> None:
    job = claimed(history).job
    assert kinds(ask(job)) == [CauseKind.AT_WORK]
    assert "by worker-1 since" in ask(job).cause.text
    let_pass(history, 61)
    why = ask(job)
    assert kinds(why) == [CauseKind.SILENT]
    assert why.cause.text.startswith("Its worker worker-1 has not been heard of")


@pytest.mark.parametrize(
    ("codes", "again"),
    [
        (["INPUT_CORRUPT"], "another try cannot mend INPUT_CORRUPT"),
        (["STALLED"] * 3, "its attempts are used up (3)"),
        (["WORKER_LOST"] * 3, "its worker died 3 times in a row"),
        (["OUT_OF_MEMORY"] * 2, "it ran out of memory again, with fewer threads and alone on its machine"),
        (["DISK_FULL"] * 5, "the outage has lasted for too long, 5 attempts"),
        (["WORKER_LOST", *["STALLED"] * 3], "its attempts are used up (4 attempts, 3 of them counted)"),
        (["DISK_FULL"] * 3 + ["STALLED"] * 3, "its attempts are used up (6 attempts, 3 of them counted)"),
    ],
)
def test_a_dead_one_says_why_it_is_not_tried_again(history: History, ask: Ask, codes: list[str], again: str) -> None:
    why = ask(failed(history, *codes, status=JobStatus.DEAD))
    assert kinds(why) == [CauseKind.FAILED]
    retry = f"`mediajobs jobs retry {why.named.job.id}` tries it"
    cure = f"{retry} all the same" if codes == ["INPUT_CORRUPT"] else f"Once that is mended, {retry} again"
    assert why.again == f"It will not be tried again: {again}. {cure}."


@pytest.mark.parametrize(
    ("code", "because"),
    [
        ("WORKER_LOST", "an interruption uses up no attempt"),
        ("DISK_FULL", "an outage uses up no attempts, and may be over by then"),
        ("OUT_OF_MEMORY", "with fewer threads, and with nothing beside it on its machine"),
    ],
)
def test_a_failed_one_says_why_it_is_tried_again(history: History, ask: Ask, code: str, because: str) -> None:
    assert ask(failed(history, code)).again == f"It will be tried again as soon as it can: {because}."


def test_attempts_are_told_apart_from_those_that_count(history: History, ask: Ask) -> None:
    """While it is tried again as well; and after a retry by hand those before it count no more."""
    job = failed(history, "WORKER_LOST", "DISK_FULL", "STALLED")
    used = "it has attempts left (used: 3 attempts, 1 of them counted)"
    assert ask(job).again == f"It will be tried again as soon as it can: {used}."
    failed(history, "STALLED", "STALLED", status=JobStatus.DEAD, job=job)
    history.jobs.retry(job.id)
    failed(history, "WORKER_LOST", "STALLED", job=job)
    used = "it has attempts left (used: 2 attempts since it was retried by hand, 1 of them counted)"
    assert ask(job).again == f"It will be tried again as soon as it can: {used}."


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (JobStatus.COMPLETED, CauseKind.COMPLETED),
        (JobStatus.SKIPPED, CauseKind.UP_TO_DATE),
        (JobStatus.CANCELLED, CauseKind.CANCELLED),
    ],
)
def test_what_is_over_says_so(history: History, ask: Ask, status: JobStatus, kind: CauseKind) -> None:
    claim = claimed(history)
    history.leases.finish(ended(claim, AttemptStatus.SUCCESS), job_status=status)
    why = ask(claim.job)
    assert (kinds(why), why.again) == ([kind], None)


def test_nobody_is_told_of_a_tick(history: History, ask: Ask) -> None:
    """It is no uploader's."""
    assert ask(queued(history, job_type=Nightly.name)).for_uploader is None


def test_whatever_holds_a_type_back_is_a_cause(history: History) -> None:
    """A new one has to be known here, too."""
    assert {each.value for each in HeldBy} <= {each.value for each in CauseKind}
    held = Held(job_type=THUMB, by=HeldBy.NEEDS, waiting=1, at=NOON, lacking=("speech",))
    explaining = Explaining(history, Registry.standard(), RetryPolicy(), lambda _: held, lambda: None)
    why = explaining.of(NamedJob(queued(history), None))
    assert why.cause == Cause(
        CauseKind.NEEDS, "No worker here offers speech. Install it, and name it in MEDIAJOBS_OFFERS."
    )
