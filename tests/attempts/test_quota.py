"""What would not fit into a quota is not started: the history says skipped, what is left and what is needed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus, Tick, new_trace_id, utc_now
from mediajobs_dagster.resilience.held import HeldBy
from mediajobs_dagster.resilience.quota import YOUTUBE_SEARCH
from tests.clips import Clips
from tests.platform import Platform
from tests.seam.metered import Metered, MeteredUpload

OpenPlatform = Callable[..., Platform]


def open_with(open_platform: OpenPlatform, **settings: object) -> Platform:
    """A platform with the two metered job types."""
    return open_platform(registry=Registry([Metered(), MeteredUpload()]), offers=("none",), **settings)


def ask(platform: Platform, **params: object) -> Job:
    """Enqueue a metered job on a tick."""
    known = len(platform.media.jobs())  # a tick is a moment to the second, and has one job
    tick = Tick(schedule=Metered.name, created_at=utc_now() + timedelta(minutes=known))
    (enqueued,) = platform.history.jobs.enqueue([Metered().request(tick, trace_id=new_trace_id(), params=params)])
    return enqueued.job


def left(platform: Platform) -> int:
    """Calls of the search that are left."""
    return next(each.left for each in platform.media.quota.standings() if each.bucket.name == YOUTUBE_SEARCH)


def test_an_attempt_that_would_not_fit_is_not_started(open_platform: OpenPlatform) -> None:
    """It ends as skipped, nobody is to blame, nothing is tried again, and nothing was charged."""
    platform = open_with(open_platform, youtube_search_limit=2)
    job = ask(platform)
    (ended,) = platform.work()
    assert (ended.status, ended.error) == (AttemptStatus.SKIPPED, None)
    assert [stage.name for stage in ended.manifest.stages] == ["check"]
    row = platform.history.attempts.get(ended.attempt_id)
    assert (row.error_code, row.blame) == ("QUOTA_EXHAUSTED", None)
    assert row.result is not None
    assert row.result | {"resetsAt": ""} == {
        "skipped": "quota_exhausted",
        "bucket": YOUTUBE_SEARCH,
        "unitsLeft": 2,
        "unitsNeeded": 3,
        "resetsAt": "",
    }
    assert row.error is not None
    assert row.error.startswith("Quota youtube.search: 2 of 2 calls left, 3 needed. It resets at ")
    assert ended.manifest.notes == (row.error,)
    assert platform.history.jobs.get(job.id).status is JobStatus.SKIPPED
    assert left(platform) == 2


def test_an_attempt_that_runs_short_on_the_way_is_skipped_too(open_platform: OpenPlatform) -> None:
    """Others may have taken what was left when it began."""
    platform = open_with(open_platform, youtube_search_limit=4)
    ask(platform, units=5)
    (ended,) = platform.work()
    row = platform.history.attempts.get(ended.attempt_id)
    assert (ended.status, row.error_code) == (AttemptStatus.SKIPPED, "QUOTA_EXHAUSTED")
    assert (row.result or {})["unitsNeeded"] == 5
    assert left(platform) == 4


def test_jobs_on_ticks_are_turned_away_before_their_run(open_platform: OpenPlatform) -> None:
    """Each has its row, as if it had been tried; the reason says all of it. With enough left, nobody is turned away."""
    platform = open_with(open_platform, youtube_search_limit=3)
    assert platform.media.quota.turn_away(Metered()) is None
    ask(platform)
    assert platform.media.quota.turn_away(Metered()) is None
    (ended,) = platform.work()
    assert ended.status is AttemptStatus.SUCCESS
    jobs = [ask(platform), ask(platform, units=1)]
    told = platform.media.quota.turn_away(Metered())
    assert told
    assert told.startswith("Skipped 2 jobs of metered_v1. Quota youtube.search: 0 of 3 calls left, 3 needed. It resets")
    for job in jobs:
        (row,) = platform.history.attempts.of_job(job.id)
        assert (row.status, row.error_code, row.run_id) == (AttemptStatus.SKIPPED, "QUOTA_EXHAUSTED", None)
        assert (row.result or {})["unitsLeft"] == 0
        assert platform.history.jobs.get(job.id).status is JobStatus.SKIPPED
        details = platform.media.attempt(job.id)
        assert (details.manifest, details.outputs) == (None, ())
    assert platform.work() == []
    assert platform.media.quota.turn_away(Metered()) is None


def test_other_jobs_wait_for_the_reset(open_platform: OpenPlatform, clips: Clips) -> None:
    """An upload has no next tick, so its job stays in the queue, and everybody is told why."""
    platform = open_with(open_platform, youtube_search_limit=0)
    platform.add(clips.text_named_mp4(), MeteredUpload.name)
    (held,) = platform.media.held()
    assert (held.by, held.waiting) == (HeldBy.QUOTA, 1)
    assert held.reason.startswith("1 metered_upload_v1 job waits: Quota youtube.search: 0 of 0 calls left, 3 needed.")
    assert platform.media.quota.turn_away(MeteredUpload()) == held.reason
    (job,) = platform.history.jobs.list(JobFilter(job_type=MeteredUpload.name))
    assert (job.status, job.attempts) == (JobStatus.QUEUED, 0)
