"""Job types that have nothing to do with ffmpeg go the same way as all: queue, attempt, row, manifest, retries."""

from __future__ import annotations

from collections.abc import Callable

from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus, new_trace_id
from tests.clips import Clips
from tests.platform import Platform
from tests.seam.greeting import Greeting
from tests.seam.headline import Headline
from tests.seam.service import running_service

OpenPlatform = Callable[..., Platform]
NOWHERE = {"ffmpeg_path": "/nowhere/ffmpeg", "ffprobe_path": "/nowhere/ffprobe"}

# --- a literal -------------------------------------------------------------------------------------------------------


def test_a_literal_needs_no_ffmpeg(open_platform: OpenPlatform, clips: Clips) -> None:
    """Nothing is fetched, probed or run; the output is published, and the second time it is up to date."""
    platform = open_platform(registry=Registry.standard().with_types(Greeting()), offers=("none",), **NOWHERE)
    upload = platform.add(clips.text_named_mp4(), Greeting.name)
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    key = f"greetings/uploads/{upload.id}/{outcome.attempt_id}/greeting.txt"
    assert platform.output(key).read_text() == f"Hello, {upload.title}!\n"
    manifest = platform.manifest(upload, Greeting.name)
    assert (manifest.versions.ffmpeg, manifest.ffmpeg_commands, manifest.time_ledger.ffmpeg_ms) == (None, (), 0)

    platform.history.jobs.retry(platform.job(upload, Greeting.name).id)
    (again,) = platform.work()
    assert again.status is AttemptStatus.SKIPPED
    assert [(stage.name, stage.status) for stage in again.manifest.stages] == [("check", "ok")]


def test_a_worker_never_claims_what_it_cannot_do(open_platform: OpenPlatform, clips: Clips) -> None:
    """A worker without ffmpeg leaves a thumbnail in the queue, untried, for one that has it."""
    platform = open_platform(offers=("none",), **NOWHERE)
    upload = platform.add(clips.landscape(), "upload_thumb_v1")
    assert platform.work() == []
    job = platform.job(upload, "upload_thumb_v1")
    assert (job.status, job.attempts, job.dispatch_id) == (JobStatus.QUEUED, 0, None)


# --- a service -------------------------------------------------------------------------------------------------------


def ask_for_headline(platform: Platform, clips: Clips, address: str, **params: object) -> Job:
    """Enqueue a headline for a clip."""
    upload = platform.add(clips.text_named_mp4(), "upload_thumb_v1")
    wanted = Headline().request(upload, trace_id=new_trace_id(), params={"address": address, **params})
    (enqueued,) = platform.history.jobs.enqueue([wanted])
    return enqueued.job


def test_a_call_is_tried_again_and_recorded(open_platform: OpenPlatform, clips: Clips) -> None:
    """Two refusals and an answer are one call of three tries; the time it took is the service's in the ledger."""
    registry = Registry([Headline(), Registry.standard()["upload_thumb_v1"]])
    with running_service(failures=2) as service:
        platform = open_platform(registry=registry, service_retry_base_s=0.05, max_attempts=1)
        job = ask_for_headline(platform, clips, service.address)
        outcome = next(each for each in platform.work() if each.job.id == job.id)
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    (call,) = outcome.manifest.calls
    assert (call.service, call.op, call.status, call.tries) == ("headlines", "write", "ok", 3)
    assert call.target.startswith(f"{service.address}/headline")
    assert outcome.manifest.time_ledger.service_ms >= call.duration_ms - 5
    assert [stage.name for stage in outcome.manifest.stages].count("write_headline") == 1
    row = platform.history.attempts.get(outcome.attempt_id)
    assert row.result is not None
    assert row.result["figures"] == {"words": 3}


def test_a_call_ends_at_its_deadline(open_platform: OpenPlatform, clips: Clips) -> None:
    """A service that never answers costs no more than the step may take, and the job is tried again later."""
    registry = Registry([Headline(), Registry.standard()["upload_thumb_v1"]])
    with running_service() as service:
        platform = open_platform(registry=registry, retry_base_s=600.0)
        job = ask_for_headline(platform, clips, f"{service.address}/silent", deadlineS=0.3)
        outcome = next(each for each in platform.work() if each.job.id == job.id)
        assert service.began.is_set()
    assert outcome.error
    assert outcome.error.retryable
    assert outcome.error.blame.concerns_operators
    (call,) = outcome.manifest.calls
    assert call.status == outcome.error.code
    assert platform.history.jobs.get(job.id).status is JobStatus.FAILED
    assert platform.leftovers() == []
