"""What an export will take is told from what earlier ones took."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from mediajobs_dagster.attempts.forecast import Forecast, forecast
from mediajobs_dagster.attempts.manifest import Metrics, OutputRecord
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.video_export.encoding import ExportParams, Profile
from mediajobs_dagster.job_types.video_export.job_type import VideoExport
from mediajobs_dagster.models import AttemptStatus, HostFacts, MediaInfo, VideoStream
from mediajobs_dagster.timelines.layout import Layout, Segment
from tests.attempts.test_cohort import a_manifest
from tests.history.factories import an_attempt
from tests.platform import Platform

DRAFT, HIGH = ExportParams(profile=Profile.DRAFT), ExportParams(profile=Profile.HIGH)
LAYOUT = Layout(width=200, height=50, fps=Fraction(25), segments=(Segment("$.track[0]", None, 0, 100),))
"""A million pixels: twice what `VIDEO` has in two seconds."""
VIDEO = VideoStream(index=0, codec="h264", width=100, height=100, fps=25.0)


@pytest.fixture
def history(platform: Platform) -> History:
    """An empty history."""
    return platform.history


def an_export(
    history: History,
    *,
    params: ExportParams = DRAFT,
    video: VideoStream | None = VIDEO,
    is_media: bool = True,
    **row: Any,
) -> None:
    """Put an export on record, of two seconds unless it made no media."""
    tracks = (video,) if video else ()
    info = MediaInfo(container="mp4", duration_seconds=2.0, bytes=1, video=tracks) if is_media else None
    made = (OutputRecord(key="one", bytes=1, sha256="f" * 64, media_info=info),)
    summary = {"params": params.to_json()}
    manifest = a_manifest(Metrics(host=HostFacts(hostname="h")), summary=summary).model_copy(update={"outputs": made})
    values = {"duration_ms": 5000, "bytes_out": 1000, "max_rss_mb": 64.04}
    values |= {"job_name": VideoExport.name, "manifest": manifest.to_json()} | row
    history.attempts.record(an_attempt(**values))


def test_time_and_size_grow_with_the_pixels_and_memory_does_not(history: History) -> None:
    """Of three the one in the middle counts, for each figure."""
    assert forecast(history, LAYOUT, DRAFT) is None
    an_export(history)
    an_export(history, duration_ms=50_004, bytes_out=1003, max_rss_mb=100.0)
    an_export(history, duration_ms=35_026, bytes_out=4000, max_rss_mb=1.0)
    expected = forecast(history, LAYOUT, DRAFT)
    assert expected == Forecast(attempts=3, seconds=70.1, bytes=2006, memory_mb=64.0)
    assert expected.to_json() == {"attempts": 3, "seconds": 70.1, "bytes": 2006, "memoryMb": 64.0}


def test_what_was_not_measured_counts_as_nothing(history: History) -> None:
    """However long the export is."""
    an_export(history, duration_ms=None, bytes_out=None, max_rss_mb=None)
    long = replace(LAYOUT, segments=(Segment("$.track[0]", None, 0, 10_000),))
    assert forecast(history, long, DRAFT) == Forecast(attempts=1, seconds=0.0, bytes=0, memory_mb=0.0)


@pytest.mark.parametrize(("fps", "seconds"), [(None, 8.3), (30.0, 8.3), (50.0, 5.0)])
def test_the_pixels_of_an_export_are_those_of_all_its_frames(
    history: History, fps: float | None, seconds: float
) -> None:
    """Thirty a second where nobody knows."""
    an_export(history, video=VIDEO.model_copy(update={"fps": fps}))
    expected = forecast(history, LAYOUT, DRAFT)
    assert expected is not None
    assert expected.seconds == seconds


def test_only_exports_of_that_kind_count(history: History) -> None:
    """Neither others, nor what failed, nor what holds no picture."""
    an_export(history, params=HIGH)
    an_export(history, job_name="upload_edit_proxy_v1")
    an_export(history, status=AttemptStatus.FAILURE)
    an_export(history, video=None)
    an_export(history, is_media=False)
    assert forecast(history, LAYOUT, DRAFT) is None
    expected = forecast(history, LAYOUT, HIGH)
    assert expected is not None
    assert expected.attempts == 1


def test_the_latest_hundred_are_looked_at(history: History) -> None:
    for _ in range(101):
        an_export(history)
    expected = forecast(history, LAYOUT, DRAFT)
    assert expected is not None
    assert expected.attempts == 100
