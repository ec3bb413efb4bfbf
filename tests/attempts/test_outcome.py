"""What is said of an attempt that has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from typing_extensions import override

from mediajobs_dagster.attempts import outcome
from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.errors import (
    CancelledError,
    DiskFullError,
    InputCorruptError,
    MediaJobsError,
    StorageUnavailableError,
)
from mediajobs_dagster.history import Claim, History, JobFilter
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Child, Output, Plan
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import (
    AttemptStatus,
    HostFacts,
    Job,
    JobStatus,
    JsonObject,
    SubjectKind,
    Upload,
    UploadRole,
    new_trace_id,
    result_origin,
)
from mediajobs_dagster.records import AttemptKey
from mediajobs_dagster.resilience.retry import Past, RetryPolicy, Verdict
from tests.history.factories import an_upload, claimed, let_pass
from tests.platform import Platform
from tests.seam.greeting import Greeting

TICK = "storage_report_v1@2026-03-04T03:00:00Z"


@pytest.fixture
def ended(platform: Platform) -> AttemptEnded:
    """An attempt that completed its job."""
    claim = claimed(platform.history)
    recorder = Recorder.of(claim, HostFacts(hostname="here"), lambda _: None)
    return AttemptEnded(
        key=recorder.key,
        job=claim.job,
        attempt_id=claim.attempt.id,
        status=AttemptStatus.SUCCESS,
        verdict=Verdict(JobStatus.COMPLETED),
        manifest=recorder.manifest(AttemptStatus.SUCCESS),
    )


@pytest.mark.parametrize(
    ("summary", "title"),
    [
        ({}, "upload-1"),
        ({"filename": "a.mp4"}, "a.mp4"),
        ({"title": "Holidays"}, "Holidays"),
        ({"filename": "a.mp4", "title": "Holidays"}, "a.mp4"),
    ],
)
def test_it_is_named_after_what_people_know_it_by(ended: AttemptEnded, summary: JsonObject, title: str) -> None:
    """The file, or the timeline; else the subject's id."""
    manifest = ended.manifest.model_copy(update={"input_summary": summary})
    assert replace(ended, manifest=manifest).title == title


@pytest.mark.parametrize(
    ("error", "of_upload", "of_tick"),
    [
        (None, False, False),
        (CancelledError("Asked for."), False, False),
        (InputCorruptError("It is."), False, True),
        (DiskFullError(), True, True),
    ],
)
def test_operators_have_to_act_on_what_no_uploader_can_mend(
    ended: AttemptEnded, error: MediaJobsError | None, *, of_upload: bool, of_tick: bool
) -> None:
    """Of what a schedule asked for, there is no uploader."""
    scheduled = ended.job.model_copy(update={"subject_id": TICK})
    assert replace(ended, error=error).concerns_operators is of_upload
    assert replace(ended, error=error, job=scheduled).concerns_operators is of_tick


@pytest.mark.parametrize("status", list(JobStatus))
def test_it_succeeded_if_nothing_is_left_to_do(ended: AttemptEnded, status: JobStatus) -> None:
    """What another worker completed meanwhile is no success of this one."""
    is_done = status in (JobStatus.COMPLETED, JobStatus.SKIPPED)
    assert replace(ended, verdict=Verdict(status)).succeeded is is_done
    assert replace(ended, verdict=Verdict(status), is_stale=True).succeeded is False


# --- what comes of it ------------------------------------------------------------------------------------------------


class Family(JobType):
    """Two texts, of which one becomes an upload; both it and the subject are greeted."""

    name: ClassVar[str] = "family_v1"
    asset: ClassVar[str] = "family"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    is_wanting: ClassVar[bool] = False

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        folder = f"family/{material.subject.id}"
        return Plan(
            outputs=(
                Output("a.txt", f"{folder}/a.txt", "text/plain", literal=b"a"),
                Output(
                    *("b.txt", f"{folder}/b.txt", "text/plain"),
                    literal=b"bb",
                    becomes=UploadRole.EXPORT,
                    title="A child",
                    details={"by": "family"},
                ),
            ),
            children=(
                Child(Greeting.name, {"greeting": "Ahoy"}),
                Child(Greeting.name, {"greeting": "Welcome"}, on_result=True),
            ),
            also_wanted=self.is_wanting,
        )


class Wanted(Greeting):
    """What every upload gets."""

    name: ClassVar[str] = "wanted_v1"

    @override
    def wanted_for(self, upload: Upload) -> bool:
        return upload.role is UploadRole.EXPORT


@pytest.fixture
def family(open_platform: Callable[..., Platform]) -> Platform:
    """A platform on which texts beget texts."""
    return open_platform(registry=Registry([Family(), Greeting(), Wanted()]), offers=("none",))


def begin(family: Platform) -> Job:
    """Ask for a job that has children."""
    upload = family.history.uploads.add(an_upload(origin=None))
    request = Family().request(upload, trace_id=new_trace_id(), priority=7, max_attempts=5)
    (enqueued,) = family.history.jobs.enqueue([request])
    return enqueued.job


@pytest.mark.parametrize("is_wanting", [False, True])
def test_outputs_become_uploads_and_have_children(
    family: Platform, monkeypatch: pytest.MonkeyPatch, *, is_wanting: bool
) -> None:
    """In the trace, with the priority and the number of attempts of the job that they come from."""
    monkeypatch.setattr(Family, "is_wanting", is_wanting)
    job = begin(family)
    (ended,) = family.work()
    origin = result_origin(job.id, "b.txt")
    made = family.history.uploads.known([origin])[origin]
    stat = family.storage.stat(ended.manifest.outputs[1].key)
    assert made == Upload(
        id=made.id,
        role=UploadRole.EXPORT,
        storage_key=stat.key,
        filename="A child.txt",
        bytes=2,
        etag=stat.etag,
        origin=origin,
        details={"by": "family"},
        created_at=made.created_at,
        trace_id=job.trace_id,
    )
    expected = {
        (Greeting.name, job.subject_id, "Ahoy"),
        (Greeting.name, made.id, "Welcome"),
        *([(Wanted.name, made.id, "Hello")] if is_wanting else []),
    }
    assert {(each.job_type, each.subject_id, each.params["greeting"]) for each in ended.children} == expected
    children = family.history.jobs.list(JobFilter(parent_job_id=job.id))
    assert {(each.job_type, each.subject_id, each.params["greeting"]) for each in children} == expected
    assert {(each.trace_id, each.priority, each.max_attempts) for each in children} == {(job.trace_id, 7, 5)}
    assert (ended.key, ended.job.id, ended.error) == (
        AttemptKey(
            attempt_id=ended.attempt_id,
            job_type=Family.name,
            subject_id=job.subject_id,
            job_id=job.id,
            trace_id=job.trace_id,
            run_id="run",
        ),
        job.id,
        None,
    )


def test_the_result_of_an_attempt_tells_what_it_made(family: Platform) -> None:
    """And of one that found all of it there, what that was. An upload that is made again is the same one."""
    job = begin(family)
    (ended,) = family.work()
    result = family.history.attempts.get(ended.attempt_id).result
    assert result is not None
    assert result == {
        "fingerprint": result["fingerprint"],
        "outputs": [output.to_json() for output in ended.manifest.outputs],
        "children": [Greeting.name, Greeting.name],
    }
    family.work()
    origin = result_origin(job.id, "b.txt")
    before = family.history.uploads.known([origin])[origin]
    family.history.jobs.retry(job.id)
    (skipped,) = family.work()
    assert family.history.attempts.get(skipped.attempt_id).result == {
        "skipped": "up_to_date",
        "fingerprint": result["fingerprint"],
        "upToDate": [output.key for output in ended.manifest.outputs],
    }
    assert (skipped.status, skipped.verdict.status) == (AttemptStatus.SKIPPED, JobStatus.SKIPPED)
    family.storage.delete(before.storage_key)
    family.history.jobs.retry(job.id)
    family.work()
    after = family.history.uploads.known([origin])[origin]
    assert (after.id, after.created_at) == (before.id, before.created_at)
    assert after.storage_key != before.storage_key
    assert before.storage_key not in {stat.key for stat in family.storage.list("")}


class Troubled(Greeting):
    """Fails by one error after the other."""

    name: ClassVar[str] = "troubled_v1"
    errors: ClassVar[tuple[MediaJobsError, ...]] = (
        StorageUnavailableError("It is away."),
        MediaJobsError("It broke."),
        MediaJobsError("It broke again."),
    )

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        raise self.errors[material.job.attempts - 1]


def test_an_attempt_that_an_outage_ended_does_not_count_for_the_next(open_platform: Callable[..., Platform]) -> None:
    """A job with two attempts has two that fail by themselves."""
    registry = Registry([Troubled()])
    platform = open_platform(registry=registry, offers=("none",), outage_base_s=0.001, outage_limit_s=3600.0)
    upload = platform.history.uploads.add(an_upload(origin=None))
    platform.history.jobs.enqueue([Troubled().request(upload, trace_id=new_trace_id(), max_attempts=2)])
    ends: list[tuple[str, JobStatus]] = []
    for _ in Troubled.errors:
        (ended,) = platform.work()
        assert ended.error
        ends.append((ended.error.message, ended.verdict.status))
        let_pass(platform.history, 1)
    assert ends == [
        ("It is away.", JobStatus.FAILED),
        ("It broke.", JobStatus.FAILED),
        ("It broke again.", JobStatus.DEAD),
    ]


def test_of_a_past_that_cannot_be_looked_up_nothing_is_held_against_a_job(platform: Platform, tmp_path: Path) -> None:
    """Its end has to be recorded all the same, as soon as that can be done."""
    claim = claimed(platform.history)
    third = Claim(claim.job.model_copy(update={"attempts": 3}), claim.attempt.model_copy(update={"attempt": 3}))
    away = History(Database(f"sqlite:///{tmp_path / 'nosuch' / 'history.db'}", timeout_s=1))
    with platform.media.worker() as worker:
        error = MediaJobsError("It broke.")
        assert outcome._past(third, replace(worker, history=away), error, RetryPolicy()) == Past(outages=2)
