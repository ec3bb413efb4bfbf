"""Small files that ask for hours or gigabytes: they end soon, for good, and keep no other job waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from typing_extensions import override

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.base import Lane
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import AttemptStatus, JobStatus, new_trace_id
from tests.clips import Clips
from tests.listeners import Watcher
from tests.platform import Platform

PROXY, ENVELOPE = EditProxy.name, AudioEnvelope.name
OpenPlatform = Callable[..., Platform]


class LightProxy(EditProxy):
    """A proxy in the light lane, of which several are made side by side."""

    name: ClassVar[str] = "test_light_proxy_v1"
    asset: ClassVar[str] = "light_proxy"
    lane: ClassVar[Lane] = Lane.LIGHT
    batch_size: ClassVar[int] = 20
    threads: ClassVar[int] = 1


def test_hours_of_nothing_are_the_inputs(open_platform: OpenPlatform, clips: Clips) -> None:
    """A day in eleven kilobytes is worked on for as long as such a file deserves, once, and blamed on the file."""
    platform = open_platform(base_timeout_s=1, job_timeout_s=2)
    upload = platform.add(clips.sparse(80_000), PROXY)
    (outcome,) = platform.work()
    (attempt,) = platform.attempts(upload, PROXY)
    assert (outcome.status, attempt.error_code, attempt.blame) == (
        AttemptStatus.FAILURE,
        "INPUT_TOO_LONG",
        Blame.INPUT,
    )
    assert platform.job(upload, PROXY).status is JobStatus.DEAD
    assert (attempt.duration_ms or 0) < 60_000
    assert platform.leftovers() == []
    assert platform.work() == []


def test_an_operator_can_allow_more(open_platform: OpenPlatform, clips: Clips) -> None:
    """Longer media pass when MEDIAJOBS_MAX_MEDIA_S says so."""
    platform = open_platform(max_media_s=2_000_000)
    platform.add(clips.endless_gif(), ENVELOPE)
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS
    assert outcome.manifest.metrics.media_seconds == 1_310_700


def test_one_slow_file_keeps_no_other_waiting(open_platform: OpenPlatform, clips: Clips) -> None:
    """Good files of the same batch are done while the slow one is still under way."""
    platform = open_platform(registry=Registry([LightProxy()]))
    slow = platform.register(clips.sparse(80_000))
    good = [platform.register(path) for path in (clips.short(), clips.one_frame(), clips.no_audio())]
    trace_id = new_trace_id()
    platform.history.jobs.enqueue([LightProxy().request(each, trace_id=trace_id) for each in (slow, *good)])

    class CancelsTheSlowOne(Watcher):
        """Ends the slow job when all others are done."""

        done = 0

        @override
        def ended(self, outcome: AttemptEnded) -> None:
            self.done += 1
            if self.done == len(good):
                platform.history.jobs.cancel(platform.job(slow, LightProxy.name).id)

    outcomes = platform.work(CancelsTheSlowOne())
    assert [outcome.status for outcome in outcomes] == [*[AttemptStatus.SUCCESS] * 3, AttemptStatus.CANCELLED]
    completed = platform.history.jobs.list(JobFilter(statuses=(JobStatus.COMPLETED,)))
    assert {job.subject_id for job in completed} == {upload.id for upload in good}


def test_a_wall_of_pixels_is_a_picture_like_any_other(platform: Platform, clips: Clips) -> None:
    """A GIF of 8000x8000 is decoded within what is reckoned for it; nothing of it is decoded in this process."""
    upload = platform.add(clips.wall_gif(), PROXY)
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS
    assert 0 < (platform.attempts(upload, PROXY)[0].max_rss_mb or 0) < 2400
