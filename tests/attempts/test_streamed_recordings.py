"""Recordings that were streamed, as browsers and live encoders make them: nothing in the file says how long it is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import AttemptStatus
from tests.clips import Clips
from tests.platform import Platform


@pytest.fixture
def streamed(clips: Clips, tools: Tools, tmp_path: Path) -> Path:
    """The plain clip, written to a pipe: the muxer could not go back and note the length."""
    command = [tools.ffmpeg, "-v", "error", "-i", clips.landscape(), "-c", "copy", "-f", "matroska", "pipe:1"]
    path = tmp_path / "recording.mkv"
    path.write_bytes(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return path


def test_all_outputs_are_made(platform: Platform, streamed: Path) -> None:
    """Each verified; the proxy and the envelope are as long as the recording turned out to be."""
    upload = platform.add(streamed)
    outcomes = platform.work()
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert [outcome.status for outcome in outcomes] == [AttemptStatus.SUCCESS] * 3

    source = platform.manifest(upload, Thumbnail.name).metrics.input
    assert source is not None
    assert source.duration_seconds == pytest.approx(3, abs=0.05)  # it does not declare it
    (proxy,) = platform.manifest(upload, EditProxy.name).outputs
    assert proxy.media_info is not None
    assert proxy.media_info.duration_seconds == pytest.approx(3, abs=0.1)
    (envelope,) = platform.manifest(upload, AudioEnvelope.name).outputs
    assert len(json.loads(platform.output(envelope.key).read_text())["points"]) == pytest.approx(30, abs=1)
