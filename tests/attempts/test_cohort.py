"""What the row of an attempt says of its cohort: all that its cost depends on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mediajobs_dagster.attempts.cohort import cohort_of
from mediajobs_dagster.attempts.manifest import InputMetrics, Manifest, Metrics, TimeLedger, Versions
from mediajobs_dagster.job_types.base import RtfBasis
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, FfmpegCommand, HostFacts, JsonObject
from tests.clips import Clips
from tests.history.factories import NOON
from tests.platform import Platform

SOURCE = InputMetrics(duration_seconds=60.5, video_codec="h264", width=1280, height=720, fps=29.97)


def a_manifest(metrics: Metrics, *argvs: str, summary: JsonObject | None = None) -> Manifest:
    """The manifest of an attempt that ran these commands."""
    commands = tuple(
        FfmpegCommand(argv=tuple(argv.split()), started_at=NOON, duration_ms=1, exit_code=0, status="ok")
        for argv in argvs
    )
    return Manifest(
        job_id="job",
        job_type="upload_thumb_v1",
        attempt=1,
        trace_id="a" * 32,
        run_id=None,
        status=AttemptStatus.SUCCESS,
        started_at=NOON,
        finished_at=NOON + timedelta(seconds=1),
        duration_ms=1000,
        queue_ms=0,
        input_summary=summary or {},
        ffmpeg_commands=commands,
        metrics=metrics,
        time_ledger=TimeLedger(queue_ms=0, other_ms=1000),
        versions=Versions(),
    )


def test_a_real_attempt_has_its_cohort_in_its_row(platform: Platform, clips: Clips) -> None:
    """The picture as it was uploaded, the machine, and how much of it the attempt had."""
    upload = platform.add(clips.landscape(), EditProxy.name)
    platform.work()
    [row] = platform.history.attempts.of_job(platform.job(upload, EditProxy.name).id)
    source = platform.manifest(upload, EditProxy.name).metrics.input
    assert source is not None
    assert (row.width, row.height, row.fps, row.video_codec) == (640, 360, source.fps, "h264")
    assert row.media_seconds == source.duration_seconds
    assert platform.manifest(upload, EditProxy.name).metrics.media_seconds == source.duration_seconds
    assert row.input_bytes == upload.bytes
    assert row.threads is not None
    assert row.threads >= 1
    assert row.side_by_side == 1, "an encode has the machine to itself"
    assert row.wasted_ms == 0


def test_the_row_of_an_attempt_says_what_its_manifest_says(platform: Platform, clips: Clips) -> None:
    """What lists and statistics read, they read without the manifest."""
    upload = platform.add(clips.landscape(), EditProxy.name)
    platform.work()
    [row] = platform.history.attempts.of_job(platform.job(upload, EditProxy.name).id)
    manifest = platform.manifest(upload, EditProxy.name)
    metrics, commands = manifest.metrics, manifest.ffmpeg_commands
    assert (row.status, row.completed_at, row.duration_ms) == (
        AttemptStatus.SUCCESS,
        manifest.finished_at,
        manifest.duration_ms,
    )
    assert row.rtf == metrics.rtf
    assert row.rtf
    assert row.ffmpeg_ms == metrics.ffmpeg_ms
    assert row.ffmpeg_ms
    assert row.bytes_in == metrics.s3_bytes_in == upload.bytes
    assert row.bytes_out == sum(output.bytes for output in manifest.outputs) > 0
    assert row.cpu_seconds == pytest.approx(sum(command.cpu_seconds or 0 for command in commands))
    assert row.cpu_seconds
    assert row.max_rss_mb == max(command.max_rss_mb or 0 for command in commands)
    assert row.max_rss_mb


def test_a_failed_attempt_has_wasted_its_time(platform: Platform, clips: Clips) -> None:
    """In the statistics, too."""
    upload = platform.add(clips.text_named_mp4(), Thumbnail.name)
    platform.work()
    [row] = platform.history.attempts.of_job(platform.job(upload, Thumbnail.name).id)
    assert row.wasted_ms == row.duration_ms
    assert (row.width, row.media_seconds, row.input_bytes) == (None, None, upload.bytes)


def test_media_seconds_are_those_that_the_real_time_factor_counts() -> None:
    """An export has its own; what made nothing has its input's, and a failed export has none."""
    host = HostFacts(hostname="h")
    for basis, counted, expected in (
        (RtfBasis.INPUT, 60.4, 60.4),
        (RtfBasis.INPUT, None, 60.5),
        (RtfBasis.OUTPUT, 12.0, 12.0),
        (RtfBasis.OUTPUT, None, None),
    ):
        metrics = Metrics(media_seconds=counted, rtf_basis=basis, input=SOURCE, host=host)
        assert cohort_of(a_manifest(metrics))["media_seconds"] == expected


def test_threads_are_the_most_that_a_command_was_told_unless_handed_over() -> None:
    """Inputs may have fewer; a command that says nothing of them counts for nothing."""
    metrics = Metrics(host=HostFacts(hostname="h", instance_type="c7i.large"))
    manifest = a_manifest(metrics, "ffmpeg -threads 1 -i a -threads 4 b", "ffprobe c -threads")
    assert cohort_of(manifest)["threads"] == 4
    assert cohort_of(manifest, threads=8)["threads"] == 8
    assert cohort_of(a_manifest(metrics, "ffprobe c"))["threads"] is None
    assert cohort_of(manifest, side_by_side=3)["side_by_side"] == 3
    assert cohort_of(manifest)["instance_type"] == "c7i.large"


def test_of_each_attempt_is_told_what_is_known() -> None:
    """Of one that found no media, hardly anything."""
    host = HostFacts(hostname="h", instance_type="c7i.large")
    manifest = a_manifest(
        Metrics(media_seconds=60.4, input=SOURCE, host=host), "ffmpeg -threads 4 b", summary={"bytes": 1000}
    )
    assert cohort_of(manifest, side_by_side=3) == {
        "width": 1280,
        "height": 720,
        "fps": 29.97,
        "video_codec": "h264",
        "media_seconds": 60.4,
        "input_bytes": 1000,
        "instance_type": "c7i.large",
        "threads": 4,
        "side_by_side": 3,
    }
    empty = cohort_of(a_manifest(Metrics(host=HostFacts(hostname="h"))))
    assert empty == dict.fromkeys(cohort_of(manifest))
