"""The totals over the attempts of a run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mediajobs_dagster.attempts.totals import KEPT, RunTotals
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
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
    assert len(totals.first) == len(totals.failures) == KEPT
    assert totals.first[:2] == outcomes
    lost = next(outcome for outcome in outcomes if outcome.error and outcome.error.code == "STORAGE_MISSING")
    assert (totals.faults, totals.first_fault) == (KEPT + 1, lost)
