"""The totals over the attempts of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.attempts.totals import KEPT, RunTotals
from mediajobs_dagster.errors import (
    CancelledError,
    DiskFullError,
    InputCorruptError,
    MediaJobsError,
    WorkerLostError,
)
from mediajobs_dagster.models import AttemptStatus, FfmpegCommand, HostFacts, JobStatus, StorageOp, utc_now
from mediajobs_dagster.resilience.retry import Verdict
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
from tests.history.factories import claimed
from tests.platform import Platform

ENVELOPE, THUMB = "upload_audio_envelope_v1", "upload_thumb_v1"


def test_figures_are_the_sums_of_the_manifests(
    open_platform: Callable[..., Platform], s3_settings: Settings, clips: Clips
) -> None:
    """Over two attempts that made something and one that found a file without any media."""
    platform = open_platform(**s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"}))
    for clip, job_type in ((clips.landscape(), THUMB), (clips.audio_only(), ENVELOPE), (clips.text_named_mp4(), THUMB)):
        platform.add(clip, job_type)
    outcomes = platform.work()
    totals = RunTotals()
    for outcome in outcomes:
        totals.add(outcome)
    manifests = [outcome.manifest for outcome in outcomes]
    made = [manifest for manifest in manifests if manifest.metrics.rtf is not None]
    commands = [command for manifest in manifests for command in manifest.ffmpeg_commands]
    assert (totals.attempts, totals.succeeded, totals.failed, totals.faults) == (3, 2, 1, 0)
    assert len(made) == 2
    assert totals.commands == len(commands) > 0
    assert totals.storage_ops == sum(len(manifest.s3_ops) for manifest in manifests) > 0
    assert totals.spent_ms == sum(manifest.duration_ms for manifest in manifests)
    assert totals.ffmpeg_ms == sum(manifest.metrics.ffmpeg_ms for manifest in manifests) > 0
    assert totals.making_ms == sum(manifest.duration_ms for manifest in made)
    assert totals.rtf == pytest.approx(6 / (totals.making_ms / 1000), rel=0.05)
    assert totals.bytes_in == sum(manifest.metrics.s3_bytes_in for manifest in manifests) > 0
    assert totals.bytes_out == sum(manifest.metrics.s3_bytes_out for manifest in manifests) > 0


def test_some_outcomes_are_kept_in_full(platform: Platform, clips: Clips) -> None:
    """The first ones to end, and the first failures; a fault of the system is told from one of the file."""
    platform.add(clips.text_named_mp4(), THUMB)
    good = platform.add(clips.landscape(), THUMB)
    platform.storage.delete(good.storage_key)
    outcomes = platform.work()
    totals = RunTotals()
    for _ in range(KEPT + 1):
        for outcome in outcomes:
            totals.add(outcome)
    assert len(totals.first) == len(totals.failures) == KEPT == 20
    assert totals.first[:2] == outcomes
    lost = next(outcome for outcome in outcomes if outcome.error and outcome.error.code == "STORAGE_MISSING")
    assert (totals.faults, totals.first_fault) == (KEPT + 1, lost)


def test_each_outcome_counts_for_what_it_was(platform: Platform) -> None:
    """What was made, what failed and by whose fault, and what was taken away from its worker in the meantime."""
    assert _figures(RunTotals()) == (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0, 0)
    assert RunTotals().rtf == 0.0
    claim = claimed(platform.history)
    recorder = Recorder.of(claim, HostFacts(hostname="here"), lambda _: None)
    now = utc_now()
    for _ in range(2):
        recorder.add_command(FfmpegCommand(argv=(), started_at=now, duration_ms=1, exit_code=0, status="ok"))
    recorder.add_storage_op(StorageOp(op="get", bucket="b", key="k", duration_ms=1, status="ok"))
    plain = recorder.manifest(AttemptStatus.SUCCESS).model_copy(update={"duration_ms": 2000})

    def outcome(status: JobStatus, error: MediaJobsError | None = None, *, is_stale: bool = False) -> AttemptEnded:
        return AttemptEnded(
            key=recorder.key,
            job=claim.job,
            attempt_id=claim.attempt.id,
            status=AttemptStatus.SUCCESS,
            verdict=Verdict(status),
            manifest=plain,
            error=error,
            is_stale=is_stale,
        )

    def with_metrics(**metrics: float) -> AttemptEnded:
        changed = plain.metrics.model_copy(update=metrics)
        return replace(outcome(JobStatus.COMPLETED), manifest=plain.model_copy(update={"metrics": changed}))

    made = with_metrics(rtf=3.0, media_seconds=6.0, ffmpeg_ms=500, s3_bytes_in=10, s3_bytes_out=20)
    at_once, unknown = with_metrics(media_seconds=6.0), with_metrics(rtf=3.0)
    skipped = outcome(JobStatus.SKIPPED)
    by_input = outcome(JobStatus.DEAD, InputCorruptError("It is."))
    by_system, again = (outcome(JobStatus.FAILED, DiskFullError()) for _ in range(2))
    taken = outcome(JobStatus.COMPLETED, WorkerLostError("Gone."), is_stale=True)
    cancelled = outcome(JobStatus.CANCELLED, CancelledError("Asked for."), is_stale=True)
    totals = RunTotals()
    for each in (made, at_once, unknown, skipped, by_input, by_system, again, taken, taken, cancelled):
        totals.add(each)
    assert _figures(totals) == (10, 4, 6, 4, 2, 20, 10, 20_000, 500, 2000, 6.0, 10, 20)
    assert totals.rtf == 3.0
    assert totals.failures == [by_input, by_system, again, taken, taken, cancelled]
    assert totals.first_fault is by_system


def _figures(totals: RunTotals) -> tuple[float, ...]:
    return (
        totals.attempts,
        totals.succeeded,
        totals.failed,
        totals.faults,
        totals.taken_away,
        totals.commands,
        totals.storage_ops,
        totals.spent_ms,
        totals.ffmpeg_ms,
        totals.making_ms,
        totals.media_seconds,
        totals.bytes_in,
        totals.bytes_out,
    )
