"""What follows a job: the next one of a chain begins when the output of the one before is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Output, Plan
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import (
    AttemptStatus,
    FollowUp,
    Job,
    JobStatus,
    SubjectKind,
    Upload,
    UploadRole,
    new_trace_id,
)
from tests.clips import Clips
from tests.platform import Platform
from tests.seam.greeting import Greeting

OpenPlatform = Callable[..., Platform]


class Copied(JobType):
    """A job whose output becomes an upload."""

    name: ClassVar[str] = "copied_v1"
    asset: ClassVar[str] = "copied"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    content: ClassVar[bytes]

    def plan(self, material: Material, params: Params) -> Plan:
        key = f"copies/uploads/{material.subject.id}/copy.mp4"
        made = Output("copy.mp4", key, "video/mp4", literal=self.content, becomes=UploadRole.SOURCE, title="A copy")
        return Plan(outputs=(made,))


def opened(open_platform: OpenPlatform, clips: Clips) -> tuple[Platform, Upload]:
    """A platform with those job types, and an upload without jobs."""
    Copied.content = clips.short().read_bytes()
    platform = open_platform(registry=Registry.standard().with_types(Greeting(), Copied()), max_attempts=1)
    return platform, platform.register(clips.landscape())


def ask(platform: Platform, upload: Upload, *chain: FollowUp) -> Job:
    """Ask for a chain in a trace of its own."""
    first, *rest = chain
    job_type = platform.registry[first.job_type]
    wanted = job_type.request(
        upload, trace_id=new_trace_id(), params=first.params, priority=3, max_attempts=1, follow_up=rest
    )
    (enqueued,) = platform.history.jobs.enqueue([wanted])
    return enqueued.job


def chain_of(platform: Platform, job: Job) -> list[Job]:
    """The jobs of a trace, the first one first."""
    return sorted(platform.history.jobs.list(JobFilter(trace_id=job.trace_id)), key=lambda each: each.id)


def work_all(platform: Platform) -> None:
    """Work until nothing is left to do."""
    while platform.work():
        pass


COPY, GREET, THUMB = FollowUp(job_type="copied_v1"), FollowUp(job_type="greeting_v1"), "upload_thumb_v1"


def test_one_follows_the_other_on_the_result(open_platform: OpenPlatform, clips: Clips) -> None:
    """The greeting and the thumbnail are made of the upload that the copy became, each with its parameters."""
    platform, upload = opened(open_platform, clips)
    greet = FollowUp(job_type="greeting_v1", params={"greeting": "Ahoy"})
    first = ask(platform, upload, COPY, greet, FollowUp(job_type=THUMB))
    assert [each.job_type for each in first.follow_up] == ["greeting_v1", THUMB]
    work_all(platform)
    copied, greeted, thumb = chain_of(platform, first)
    assert {each.status for each in (copied, greeted, thumb)} == {JobStatus.COMPLETED}
    assert (greeted.parent_job_id, thumb.parent_job_id) == (copied.id, greeted.id)
    assert greeted.subject_id == thumb.subject_id != upload.id
    assert platform.history.uploads.get(greeted.subject_id).title == "A copy.mp4"
    assert (greeted.params, greeted.priority, thumb.priority) == ({"greeting": "Ahoy"}, 3, 3)
    assert (greeted.max_attempts, thumb.max_attempts) == (1, 1)
    assert (greeted.force, thumb.force) == (False, False)
    assert (greeted.follow_up, thumb.follow_up) == ((FollowUp(job_type=THUMB),), ())


def test_each_chain_has_jobs_of_its_own(open_platform: OpenPlatform, clips: Clips) -> None:
    """To the last; what is to be made in any case is made again."""
    platform, upload = opened(open_platform, clips)
    chains = [ask(platform, upload, COPY, GREET) for _ in range(2)]
    chains.append(ask(platform, upload, COPY, FollowUp(job_type="greeting_v1", force=True)))
    work_all(platform)
    _, greeted = zip(*(chain_of(platform, chain) for chain in chains), strict=True)
    assert [(job.status, job.force) for job in greeted] == [
        (JobStatus.COMPLETED, False),
        (JobStatus.SKIPPED, False),
        (JobStatus.COMPLETED, True),
    ]


def test_what_is_up_to_date_is_not_made_again(open_platform: OpenPlatform, clips: Clips) -> None:
    """A second chain makes nothing anew, but goes the whole way, and adds what is missing at its end."""
    platform, upload = opened(open_platform, clips)
    first = ask(platform, upload, COPY, GREET)
    work_all(platform)
    again = ask(platform, upload, COPY, GREET, FollowUp(job_type=THUMB))
    work_all(platform)
    assert [job.status for job in chain_of(platform, again)] == [
        *(JobStatus.SKIPPED, JobStatus.SKIPPED),
        JobStatus.COMPLETED,
    ]
    before, after = chain_of(platform, first), chain_of(platform, again)
    assert before[1].subject_id == after[1].subject_id == after[2].subject_id


def test_a_failure_ends_the_chain(open_platform: OpenPlatform, clips: Clips) -> None:
    """Nothing follows a job that made nothing."""
    platform, _ = opened(open_platform, clips)
    broken = platform.register(clips.text_named_mp4())
    first = ask(platform, broken, FollowUp(job_type=THUMB), GREET)
    work_all(platform)
    (thumb,) = chain_of(platform, first)
    assert thumb.status is JobStatus.DEAD


def test_what_cannot_follow_fails_the_job(open_platform: OpenPlatform, clips: Clips) -> None:
    """A job type that is not installed here, and parameters that it does not take, are told before anything is made."""
    platform, upload = opened(open_platform, clips)
    for wrong in (FollowUp(job_type="nosuch_v1"), FollowUp(job_type="greeting_v1", params={"greeting": 7})):
        job = ask(platform, upload, GREET, wrong)
        (outcome,) = platform.work()
        assert (outcome.status, outcome.job.id) == (AttemptStatus.FAILURE, job.id)
        assert platform.current_keys(upload, "greeting_v1") == []
        assert len(chain_of(platform, job)) == 1
