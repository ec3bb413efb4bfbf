"""What becomes of a request for an export: one upload with children, once, whatever fails on the way."""

from __future__ import annotations

import copy
import os
import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from typing_extensions import override

from mediajobs_dagster.attempts.batch import enqueue_stale
from mediajobs_dagster.attempts.forecast import forecast
from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.attempts.recovery import recover
from mediajobs_dagster.attempts.withdrawal import withdraw
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import TimelineError
from mediajobs_dagster.history import Claim, JobFilter
from mediajobs_dagster.intake.batch import Prober
from mediajobs_dagster.intake.export_requests import ExportRequests, Requested
from mediajobs_dagster.intake.intake import Intake, Order
from mediajobs_dagster.intake.search import Search
from mediajobs_dagster.job_types.video_export import picture
from mediajobs_dagster.job_types.video_export.encoding import ExportParams, Profile
from mediajobs_dagster.job_types.video_export.job_type import VideoExport, output_key
from mediajobs_dagster.job_types.video_export.memory import estimated_bytes
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import Job, JobStatus, JsonObject, Progress, Upload, UploadRole, new_id, new_trace_id
from mediajobs_dagster.records import AttemptKey
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage
from mediajobs_dagster.timelines.layout import lay_out
from mediajobs_dagster.timelines.model import Timeline
from tests.clips import Clips
from tests.listeners import Watcher
from tests.platform import AllGone, Platform

OpenPlatform = Callable[..., Platform]
CHILDREN = {"upload_thumb_v1", "upload_edit_proxy_v1", "upload_audio_envelope_v1"}


def taken(platform: Platform, path: Path) -> Upload:
    """A file as an upload that was probed, without jobs."""
    intake = Intake(platform.history, platform.storage)
    candidate = Search(platform.storage).file(str(path))
    info = Prober.from_settings(platform.settings, images=True).probe(candidate, Cancellation())
    (registered,) = intake.commit([intake.store(candidate, new_id(), new_trace_id(), info=info)], Order())
    return registered.upload


def cuts(upload: Upload, *parts: tuple[float, float], **more: Any) -> JsonObject:
    """Parts of an upload, one after the other, in a small picture."""
    return {
        "version": "create_video_v1",
        "canvas": {"width": 320, "height": 180},
        "track": [{"kind": "clip", "source": upload.id, "in": begin, "out": end} for begin, end in parts],
        **more,
    }


def ask(platform: Platform, document: JsonObject, **options: Any) -> Requested:
    """Ask for the export of a timeline."""
    exports = ExportRequests(platform.history, platform.storage)
    return exports.request(exports.prepare(document), **{"params": {"profile": "draft"}} | options)


def exported(platform: Platform) -> list[Upload]:
    """The uploads of role export."""
    day = platform.history.jobs.list(JobFilter(job_type=VideoExport.name))[0].subject_day
    return [upload for upload in platform.history.uploads.of_day(day) if upload.role is UploadRole.EXPORT]


def renders(platform: Platform) -> list[str]:
    """The keys of all objects below renders/."""
    return [stat.key for stat in platform.storage.list("renders/")]


def key_of(platform: Platform, job: Job) -> str:
    """Where the job's latest attempt publishes."""
    return output_key(job, platform.history.attempts.of_job(job.id)[-1].id)


def manifest_of(platform: Platform, job: Job) -> Manifest:
    """The record of the job's latest attempt."""
    latest = platform.history.attempts.of_job(job.id)[-1]
    return Manifest.model_validate(platform.history.attempts.get(latest.id).manifest)


# --- the way it goes --------------------------------------------------------------------------------------------------


class Listens(Watcher):
    """Keeps the stages and fractions it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.steps: list[Progress] = []

    @override
    def stage(self, key: AttemptKey, name: str) -> None:
        if key.job_type == VideoExport.name:
            self.stages.append(name)

    @override
    def progress(self, key: AttemptKey, progress: Progress) -> None:
        if key.job_type == VideoExport.name:
            self.steps.append(progress)


def test_an_export_is_an_upload_with_children_on_its_trace(platform: Platform, clips: Clips) -> None:
    """Thumbnail, proxy and envelope follow; the record tells the source's media info and says whose seconds count."""
    source = taken(platform, clips.landscape())
    listens = Listens()
    title = {"kind": "title", "text": "Hi", "duration": 1}
    requested = ask(platform, cuts(source, (0.5, 1.5), (2, 3), layers=[title]))
    platform.work(listens)
    (export,) = exported(platform)
    assert (export.trace_id, export.filename) == (requested.job.trace_id, "video.mp4")
    assert export.storage_key == key_of(platform, requested.job)
    assert export.media_info is not None
    assert export.media_info.duration_seconds == pytest.approx(2.0, abs=0.02)

    platform.work()
    children = platform.history.jobs.list(JobFilter(parent_job_id=requested.job.id))
    assert {(child.job_type, child.subject_id) for child in children} == {(name, export.id) for name in CHILDREN}
    assert {child.trace_id for child in children} == {requested.job.trace_id}
    assert {child.status for child in children} == {JobStatus.COMPLETED}

    manifest = manifest_of(platform, requested.job)
    assert (manifest.metrics.rtf_basis, manifest.metrics.media_seconds) == ("output", pytest.approx(2.0, abs=0.02))
    assert manifest.metrics.rtf == pytest.approx(2000 / manifest.duration_ms, rel=0.02)
    assert manifest.metrics.input is not None
    assert source.media_info is not None
    assert manifest.metrics.input.duration_seconds == source.media_info.duration_seconds
    assert manifest.input_summary["timelineId"] == requested.job.subject_id
    assert {"source_0", "video.mp4"} <= set(manifest.files)
    assert sum(command.argv[0] == "ffmpeg" and "libx264" in command.argv for command in manifest.ffmpeg_commands) == 1
    assert listens.stages == ["check", "fetch", "probe", "prepare", "plan", "prepare", "ffmpeg", "verify", "publish"]
    fractions = [step.fraction for step in listens.steps if step.fraction is not None]
    assert fractions == sorted(fractions)
    assert len(fractions) > 3
    assert fractions[-1] == pytest.approx(1.0, abs=0.01)
    assert platform.leftovers() == []


def test_the_same_edit_is_rendered_once(platform: Platform, clips: Clips) -> None:
    """Asked for again the job is the same; once it is done the export is offered; forced, it is rendered again."""
    source = taken(platform, clips.landscape())
    document = cuts(source, (0, 1))
    first = ask(platform, document)
    assert first.created
    again = ask(platform, document)
    assert (again.created, again.job.id, again.export) == (False, first.job.id, None)
    platform.work()
    (export,) = exported(platform)
    offered = ask(platform, {**document, "title": "Another name"})
    assert (offered.created, offered.export) == (False, export)
    platform.work()
    forced = ask(platform, document, force=True)
    assert (forced.created, forced.job.id != first.job.id) == (True, True)
    platform.work()
    assert len(exported(platform)) == 2
    other = ask(platform, document, params={"profile": "standard"})
    assert (other.created, other.job.subject_id) == (True, first.job.subject_id)


def test_a_forced_export_stands_for_a_cancelled_one(platform: Platform, clips: Clips) -> None:
    """Asked for again it is offered, although the job that was first asked for never came to one, and others did."""
    document = cuts(taken(platform, clips.landscape()), (0, 0.5))
    first = ask(platform, document)
    platform.history.jobs.cancel(first.job.id)
    forced = ask(platform, document, force=True)
    ask(platform, document, params={"profile": "high"})
    platform.work()
    again = ask(platform, document)
    assert (again.created, again.job.id) == (False, forced.job.id)
    assert again.export is not None
    assert again.export.storage_key == key_of(platform, forced.job)
    assert len(exported(platform)) == 2


def test_what_is_asked_for_again_while_a_forced_one_waits_is_rendered_once(platform: Platform, clips: Clips) -> None:
    document = cuts(taken(platform, clips.landscape()), (0, 0.5))
    first = ask(platform, document)
    platform.history.jobs.cancel(first.job.id)
    forced = ask(platform, document, force=True, priority=1)
    again = ask(platform, document)
    assert (again.created, again.job.id) == (True, first.job.id)
    platform.work()
    assert platform.history.jobs.get(first.job.id).status is JobStatus.SKIPPED
    assert [export.storage_key for export in exported(platform)] == [key_of(platform, forced.job)]


@contextmanager
def files_counted() -> Generator[list[int]]:
    """How many files one process of ours had open, looked up all the time while the block runs."""
    found, is_over = [0], threading.Event()

    def look() -> None:
        while not is_over.wait(0.005):
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    found.append(child.num_fds())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()


def test_fifty_clips_of_fifty_sources(platform: Platform, tools: Tools, tmp_path: Path) -> None:
    """Each source is opened once, and memory stays below what the timeline was forecast to take."""
    first = tmp_path / "clip_0.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=1")
    sound = ("-f", "lavfi", "-i", "sine=frequency=300:duration=1", "-c:a", "aac")
    coded = ("-c:v", "libx264", "-preset", "veryfast", "-refs", "4", "-pix_fmt", "yuv420p")
    subprocess.run([tools.ffmpeg, "-nostdin", "-v", "error", *picture, *sound, *coded, first], check=True)
    paths = [first, *(tmp_path / f"clip_{number}.mp4" for number in range(1, 50))]
    for path in paths[1:]:
        path.write_bytes(first.read_bytes())
    sources = [taken(platform, path) for path in paths]
    track = [{"kind": "clip", "source": source.id, "in": 0.2, "out": 0.4} for source in sources]
    document = {"version": "create_video_v1", "canvas": {"width": 320, "height": 180}, "track": track}
    requested = ask(platform, document)
    with files_counted() as found:
        (outcome,) = platform.work()
    assert outcome.error is None, outcome.error
    assert 50 <= max(found) <= 50 + 30

    known = {source.id: source.media_info for source in sources if source.media_info}
    timeline = Timeline.model_validate(document)
    foretold = estimated_bytes(timeline, lay_out(timeline, known), known) / 2**20
    taken_mb = max(command.max_rss_mb or 0 for command in manifest_of(platform, requested.job).ffmpeg_commands)
    assert foretold / 2.5 < taken_mb < foretold
    assert foretold < 200


def test_each_set_of_options_is_rendered_once(platform: Platform, clips: Clips) -> None:
    """Draft, high, and draft again: the first draft is offered."""
    document = cuts(taken(platform, clips.landscape()), (0, 0.5))
    drafted = ask(platform, document)
    ask(platform, document, params={"profile": "high"})
    platform.work()
    again = ask(platform, document)
    assert (again.created, again.job.id) == (False, drafted.job.id)
    assert again.export is not None
    assert again.export.storage_key == key_of(platform, drafted.job)


def test_an_export_is_named_after_its_title(platform: Platform, clips: Clips) -> None:
    """It is found by that name, unless a source has it, and the attempt tells what was made, not what was read."""
    source = taken(platform, clips.rotated_portrait())
    requested = ask(platform, {**cuts(source, (0, 0.5)), "title": "Summer in Rome", "canvas": {"preset": "1:1"}})
    platform.work()
    (export,) = exported(platform)
    assert export.filename == "Summer in Rome.mp4"
    uploads = platform.history.uploads
    assert uploads.named([export.filename], limit=2) == {export.filename: [export]}
    assert uploads.with_stems(["summer IN rome"], limit=2) == {"summer IN rome": [export]}
    media = manifest_of(platform, requested.job).media
    assert media
    assert media.width == media.height
    assert media.duration_seconds == pytest.approx(0.5, abs=0.05)


def test_file_names_stand_for_sources(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """Exports without a title are called video.mp4; a source of that name stays the one that is meant."""
    (tmp_path / "video.mp4").write_bytes(clips.landscape().read_bytes())
    source = taken(platform, tmp_path / "video.mp4")
    document = cuts(source, (0, 0.5))
    document["track"][0]["source"] = "video.mp4"
    ask(platform, document)
    platform.work()
    assert len(exported(platform)) == 1
    assert not ask(platform, document).created


def test_a_frame_that_is_held_from_next_to_nothing(platform: Platform, clips: Clips) -> None:
    """A hundredth of a second, held for one: there is a picture to hold."""
    document = cuts(taken(platform, clips.landscape()), (1, 1.01))
    document["track"][0]["hold"] = 1
    ask(platform, document)
    (outcome,) = platform.work()
    assert outcome.error is None, outcome.error


def test_an_export_that_was_deleted_is_made_again(platform: Platform, clips: Clips) -> None:
    """By the same job, and it is the same upload as before, of another attempt."""
    source = taken(platform, clips.landscape())
    first = ask(platform, cuts(source, (0, 1)))
    platform.work()
    (export,) = exported(platform)
    platform.storage.delete(export.storage_key)
    again = ask(platform, cuts(source, (0, 1)))
    assert (again.created, again.job.id) == (True, first.job.id)
    platform.work()
    (made,) = exported(platform)
    assert (made.id, made.storage_key) == (export.id, key_of(platform, first.job))
    assert made.storage_key != export.storage_key
    assert made.etag == platform.storage.stat(made.storage_key).etag
    assert renders(platform) == [made.storage_key]


def test_source_that_changed_is_another_export(platform: Platform, clips: Clips) -> None:
    """The etags of what is read are part of what an export is."""
    source = taken(platform, clips.landscape())
    first = ask(platform, cuts(source, (0, 1)))
    path = platform.output(source.storage_key)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)  # the storage sees another version
    second = ask(platform, cuts(source, (0, 1)))
    assert second.created
    assert second.job.subject_id != first.job.subject_id


def test_forecast_comes_from_earlier_exports(platform: Platform, clips: Clips) -> None:
    """None at first; then time and size in proportion to the pixels, of exports with the same options only."""
    source = taken(platform, clips.landscape())
    assert source.media_info is not None
    exports = ExportRequests(platform.history, platform.storage)
    prepared = exports.prepare(cuts(source, (0, 1)))
    layout = lay_out(prepared.timeline, {source.id: source.media_info})
    draft = ExportParams(profile=Profile.DRAFT)
    assert forecast(platform.history, layout, draft) is None
    requested = ask(platform, cuts(source, (0, 1)))
    platform.work()
    manifest = manifest_of(platform, requested.job)
    expected = forecast(platform.history, layout, draft)
    assert expected is not None
    assert expected.attempts == 1
    assert expected.seconds == pytest.approx(manifest.duration_ms / 1000, abs=0.1)
    assert expected.bytes == pytest.approx(manifest.outputs[0].bytes, rel=0.05)
    assert forecast(platform.history, layout, ExportParams(profile=Profile.HIGH)) is None


def test_a_day_is_rendered_again(platform: Platform, clips: Clips) -> None:
    """What a backfill asks for: the timelines of a day whose export is missing."""
    source = taken(platform, clips.landscape())
    requested = ask(platform, cuts(source, (0, 1)), params={})
    platform.work()
    (export,) = exported(platform)
    with platform.media.worker() as worker:

        def stale(dispatch: str) -> int:
            day = requested.job.subject_day
            return enqueue_stale(
                worker, VideoExport(), day, dispatch_id=dispatch, trace_id=source.trace_id, force=False
            )

        assert stale("one") == 0
        platform.storage.delete(export.storage_key)
        assert stale("two") == 1


def test_a_timeline_of_titles_alone(platform: Platform) -> None:
    """It refers to no upload, and is rendered all the same."""
    title = {"kind": "title", "text": "The end", "duration": 1}
    gap = {"kind": "gap", "duration": 1}
    ask(platform, {"version": "create_video_v1", "track": [gap], "layers": [title], "canvas": {"preset": "1:1"}})
    (outcome,) = platform.work()
    assert outcome.error is None, outcome.error
    (export,) = exported(platform)
    assert export.media_info is not None
    assert export.media_info.duration_seconds == pytest.approx(1.0, abs=0.02)


# --- faults -----------------------------------------------------------------------------------------------------------


class KillsTheRender(Watcher):
    """Kills ffmpeg, once, when it encodes."""

    def __init__(self) -> None:
        self.killed = False

    @override
    def progress(self, key: AttemptKey, progress: Progress) -> None:
        for process in psutil.Process(os.getpid()).children():
            with suppress(psutil.Error):  # it has just ended
                if not self.killed and "libx264" in process.cmdline():
                    self.killed = True
                    process.kill()


def test_killed_in_mid_render(platform: Platform, clips: Clips) -> None:
    """The retry makes the one export; nothing of the first attempt is left."""
    source = taken(platform, clips.detailed())
    slow = {"params": {"profile": "high"}}
    requested = ask(platform, {**cuts(source, (0, 4)), "canvas": {"preset": "1080p"}}, **slow)
    (outcome,) = platform.work(KillsTheRender())
    assert outcome.error is not None
    assert (outcome.error.code, outcome.verdict.status) == ("FFMPEG_KILLED", JobStatus.FAILED)
    assert (renders(platform), exported(platform), platform.leftovers()) == ([], [], [])
    platform.work()
    assert platform.history.jobs.get(requested.job.id).status is JobStatus.COMPLETED
    assert len(exported(platform)) == len(renders(platform)) == 1


def test_disk_full_beforehand(open_platform: OpenPlatform, clips: Clips) -> None:
    """An export that cannot fit on the scratch disk is not begun."""
    source = taken(open_platform(), clips.landscape())
    platform = open_platform(scratch_reserve_mb=2**40)
    ask(platform, cuts(source, (0, 1)))
    (outcome,) = platform.work()
    assert outcome.error is not None
    assert outcome.error.code == "DISK_FULL"


class FillsTheDisk(Watcher):
    """Has the render write to a device that is always full."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    @override
    def stage(self, key: AttemptKey, name: str) -> None:
        if key.job_type == VideoExport.name and name == "ffmpeg":
            (folder,) = self._scratch.glob("worker-*/attempt-*")
            (folder / "video.mp4").symlink_to("/dev/full")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_disk_full_in_mid_render(platform: Platform, clips: Clips) -> None:
    """ffmpeg meets the full disk: DISK_FULL, to be tried again; nothing is left behind, and the retry succeeds."""
    requested = ask(platform, cuts(taken(platform, clips.landscape()), (0, 2)))
    (outcome,) = platform.work(FillsTheDisk(platform.settings.scratch))
    assert outcome.error is not None
    assert (outcome.error.code, outcome.verdict.status) == ("DISK_FULL", JobStatus.FAILED)
    assert (renders(platform), exported(platform), platform.leftovers()) == ([], [], [])
    platform.work()
    assert platform.history.jobs.get(requested.job.id).status is JobStatus.COMPLETED


class CancelsAtPublish(Watcher):
    """Cancels the job when its export is being published."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    @override
    def stage(self, key: AttemptKey, name: str) -> None:
        if name == "publish":
            self._platform.history.jobs.cancel(key.job_id)


def test_cancelled_while_it_is_published(platform: Platform, clips: Clips) -> None:
    """The object that was put is taken away again: no upload knows of it."""
    source = taken(platform, clips.landscape())
    requested = ask(platform, cuts(source, (0, 1)))
    platform.work(CancelsAtPublish(platform))
    assert platform.history.jobs.get(requested.job.id).status is JobStatus.CANCELLED
    assert (renders(platform), exported(platform)) == ([], [])


def test_an_export_that_is_made_again_leaves_nothing_behind(platform: Platform, clips: Clips) -> None:
    """Forced, the same job makes another object. The upload points at that one, and the old one goes."""
    requested = ask(platform, cuts(taken(platform, clips.landscape()), (0, 1)))
    platform.work()
    (export,) = exported(platform)
    platform.history.jobs.retry(requested.job.id, force=True)
    platform.work()
    (again,) = exported(platform)
    assert (again.id, again.storage_key) == (export.id, key_of(platform, requested.job))
    assert renders(platform) == [again.storage_key] != [export.storage_key]


def test_an_export_that_is_made_again_after_another_one_leaves_nothing_behind(platform: Platform, clips: Clips) -> None:
    """Other options of the same edit were made meanwhile: that export stays, and the old object of this one goes."""
    document = cuts(taken(platform, clips.landscape()), (0, 0.5))
    drafted, high = ask(platform, document), ask(platform, document, params={"profile": "high"})
    platform.work()
    platform.history.jobs.retry(drafted.job.id, force=True)
    platform.work()
    assert sorted(renders(platform)) == sorted(key_of(platform, each.job) for each in (drafted, high))
    assert {export.storage_key for export in exported(platform)} == set(renders(platform))


def a_dead_workers_export(platform: Platform, clips: Clips) -> Claim:
    """A claim whose worker died between publishing and recording."""
    requested = ask(platform, cuts(taken(platform, clips.landscape()), (0, 1)))
    dispatch = platform.history.leases.assign(VideoExport.name, limit=1, lease_s=60)
    assert dispatch is not None
    claim = platform.history.leases.claim(dispatch.id, run_id="run", host="gone", lease_s=0)
    assert claim is not None
    platform.storage.put(clips.landscape(), key_of(platform, requested.job), content_type="video/mp4")
    return claim


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_what_a_dead_worker_published_is_withdrawn(platform: Platform, clips: Clips, is_cancelled: bool) -> None:
    """Recovery names the attempt, although a job that was cancelled meanwhile is not lost; it is named once."""
    claim = a_dead_workers_export(platform, clips)
    if is_cancelled:
        platform.history.jobs.cancel(claim.job.id)
    recovered = recover(platform.history, platform.settings, AllGone(), settling_s=0)
    assert [each.attempt.id for each in recovered.over] == [claim.attempt.id]
    assert len(recovered.lost) == (0 if is_cancelled else 1)
    assert renders(platform) == [output_key(claim.job, claim.attempt.id)]
    withdraw(recovered.over, platform.registry, platform.history, lambda: platform.storage)
    assert renders(platform) == []
    assert recover(platform.history, platform.settings, AllGone(), settling_s=0).over == ()


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_retry_that_publishes_while_the_failed_attempt_is_withdrawn_keeps_its_object(
    open_platform: OpenPlatform, s3_settings: Settings, clips: Clips, kind: str
) -> None:
    """Whoever withdraws has looked, and then is held up for as long as the whole retry takes: nothing of the first
    attempt is left, and all of the second one.
    """
    on_s3 = s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"})
    platform = open_platform(**(on_s3 if kind == "s3" else {}))
    claim = a_dead_workers_export(platform, clips)
    platform.history.jobs.cancel(claim.job.id)

    def retry() -> None:
        platform.history.jobs.retry(claim.job.id)
        (outcome,) = [each for each in platform.work() if each.job.id == claim.job.id]
        assert outcome.error is None

    storage = held_up(platform.storage, retry)
    recover(platform.history, platform.settings, AllGone(), settling_s=0)
    withdraw([claim], platform.registry, platform.history, lambda: storage)
    (export,) = exported(platform)
    assert renders(platform) == [export.storage_key]
    assert platform.storage.stat(export.storage_key).etag == export.etag


def held_up(storage: Storage, meanwhile: Callable[[], None]) -> Storage:
    """The same storage, in which `meanwhile` happens right before an object is removed."""

    class HeldUp(type(storage)):
        @override
        def _remove(self, key: str) -> None:
            meanwhile()
            super()._remove(key)

    view = copy.copy(storage)
    view.__class__ = HeldUp
    return view


def test_an_output_that_is_not_what_was_asked_for_is_not_published(
    platform: Platform, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Black where the source is not: OUTPUT_INVALID that says where."""
    source = taken(platform, clips.landscape())
    monkeypatch.setattr(picture, "TAGGED_709", "drawbox=c=black:t=fill")
    ask(platform, cuts(source, (0, 2)))
    (outcome,) = platform.work()
    assert outcome.error is not None
    assert outcome.error.code == "OUTPUT_INVALID"
    assert "black at 0.00 s" in str(outcome.error)
    assert renders(platform) == []


def test_a_black_source_is_no_fault(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """What is black in the source may be black in the export."""
    from mediajobs_dagster.media.command import Command, Generated, Output
    from mediajobs_dagster.media.run import Runner

    runner = Runner.from_settings(platform.settings)
    black = Generated("color=black:size=320x180:rate=30:duration=2")
    runner.run(Command((black,), (Output("black.mp4", ("-c:v", "libx264")),)), cwd=tmp_path, report=lambda _: None)
    ask(platform, cuts(taken(platform, tmp_path / "black.mp4"), (0, 2)))
    (outcome,) = platform.work()
    assert outcome.error is None


# --- memory -----------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_length_of_the_clips(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """Nothing is read long before it is shown: neither pictures for the sake of the sound, nor the other way round."""
    sources: list[Upload] = []
    for number in range(12):
        path = tmp_path / f"part_{number}.mp4"
        path.write_bytes(clips.detailed(8).read_bytes())
        sources.append(taken(platform, path))
    peaks: list[float] = []
    for seconds in (0.4, 3):
        document = cuts(sources[0], (1, 1 + seconds), canvas={"width": 1280, "height": 720})
        for number, source in enumerate(sources[1:]):
            (part,) = cuts(source, (1, 1 + seconds))["track"]
            joint = {"transition": {"kind": "dissolve", "duration": seconds / 3}} if number % 4 == 3 else {}
            document["track"].append(part | joint)
        requested = ask(platform, document)
        platform.work()
        peak = manifest_of(platform, requested.job).metrics.mem_rss_mb_max
        assert peak
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 300  # 12 * 2.6 s are 1.2 GB of pictures


# --- reading by range -------------------------------------------------------------------------------------------------


def test_two_seconds_out_of_a_long_source_read_little(
    open_platform: OpenPlatform, s3_settings: Settings, clips: Clips
) -> None:
    """From S3 by range: the index, and what lies around the cut; the sound and the render together read each part once.

    Each source is on record by itself, with each command that read of it.
    """
    platform = open_platform(**s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"}))
    sources = [taken(platform, clips.detailed(120)), taken(platform, clips.detailed(60))]
    document = cuts(sources[0], (80, 82))
    document["track"] += cuts(sources[1], (10, 11))["track"]
    requested = ask(platform, document)
    (outcome,) = platform.work()
    assert outcome.error is None, outcome.error
    manifest = manifest_of(platform, requested.job)
    read = {source.storage_key: 0 for source in sources}
    for operation in manifest.s3_ops:
        if operation.op == "range_read":
            assert operation.status == "ok"
            read[operation.key] += operation.bytes
    for source, length, cut in zip(sources, (120, 60), (2, 1), strict=True):
        # Two seconds from the key frame before to the cut, one that is read ahead, and the index. That is 5 and 8 %
        # of files this short; of a longer one it is less, and the benchmark looks at one of two hours.
        assert 0 < read[source.storage_key] < source.bytes / length * (cut + 3) + 2**20
    assert manifest.metrics.s3_bytes_in == sum(read.values())
    arguments = [argument for command in manifest.ffmpeg_commands for argument in command.argv]
    assert not [argument for argument in arguments if "X-Amz" in argument or "Signature" in argument]


def test_a_source_that_is_replaced_in_mid_render(
    open_platform: OpenPlatform, s3_settings: Settings, clips: Clips
) -> None:
    """It is not rendered half from the one and half from the other; the next attempt sees that it is too short."""
    platform = open_platform(
        **s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"})
        | {"retry_base_s": 0.0, "outage_limit_s": 0.0}
    )
    source = taken(platform, clips.detailed(120))
    requested = ask(platform, cuts(source, (80, 82)))

    class Replacing(Watcher):
        @override
        def stage(self, key: AttemptKey, name: str) -> None:
            if name == "ffmpeg" and key.job_id == requested.job.id:
                platform.storage.put(replacement, source.storage_key, content_type="video/mp4")

    replacement = clips.detailed(60)
    (outcome,) = platform.work(Replacing())
    assert outcome.error is not None
    assert (outcome.error.code, outcome.verdict.status) == ("STORAGE_UNAVAILABLE", JobStatus.FAILED)
    assert "replaced meanwhile" in outcome.error.message
    assert (renders(platform), platform.leftovers()) == ([], [])
    (outcome,) = platform.work()
    assert outcome.error is not None
    assert (outcome.error.code, outcome.verdict.status) == ("TIMELINE_INVALID", JobStatus.DEAD)
    assert "$.track[0]." in outcome.error.message  # of 60 s there is no second 80
    assert isinstance(outcome.error, TimelineError)
    assert [fault["path"] for fault in outcome.error.faults] == ["$.track[0].out"]
