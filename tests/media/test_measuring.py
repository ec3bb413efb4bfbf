"""Lengths and beginnings of tracks that no header tells rightly, measured with the real ffmpeg."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mediajobs_dagster.errors import InputTruncatedError
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import MediaInfo
from mediajobs_dagster.settings import Settings

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=8")
SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=8")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25")


def make(tools: Tools, *arguments: str | Path) -> None:
    """Run ffmpeg."""
    subprocess.run([tools.ffmpeg, "-nostdin", "-v", "error", "-y", *arguments], check=True)


@pytest.fixture
def probed(tmp_path: Path) -> Runner:
    """What probes."""
    return Runner.from_settings(Settings(_env_file=None, home=tmp_path))


def info_of(runner: Runner, path: Path) -> MediaInfo:
    """What a file is found to hold."""
    return probe(runner, str(path))


def test_a_track_that_begins_behind_what_a_probe_reads(probed: Runner, tools: Tools, tmp_path: Path) -> None:
    """ffprobe reads some megabytes, and takes a track that it did not meet for one that begins with the others."""
    path = tmp_path / "late.mkv"
    noise = ("-f", "lavfi", "-i", "nullsrc=s=320x180:r=25:d=16,geq=random(1)*255:128:128")
    late = ("-itsoffset", "12", "-f", "lavfi", "-i", "sine=duration=4")
    make(tools, *noise, *late, "-c:v", "mjpeg", "-q:v", "1", "-c:a", "flac", path)
    assert path.stat().st_size > 6 << 20
    info = info_of(probed, path)
    assert info.is_measured
    assert info.audio[0].start_seconds == pytest.approx(12, abs=0.05)
    assert info.audio[0].duration_seconds == pytest.approx(4, abs=0.1)
    assert info.duration_seconds == pytest.approx(16, abs=0.1)


def test_streams_that_were_joined(probed: Runner, tools: Tools, tmp_path: Path) -> None:
    """They are as long as all of their parts, and cannot be sought by time."""
    part, path = tmp_path / "part.ts", tmp_path / "joined.ts"
    make(tools, *PICTURE, *SOUND, *H264, "-c:a", "aac", part)
    path.write_bytes(2 * part.read_bytes())
    info = info_of(probed, path)
    assert info.duration_seconds == pytest.approx(16, abs=0.2)
    assert (info.is_joined, info.has_times) == (True, False)
    assert info_of(probed, part).has_times


def test_a_header_that_lies(probed: Runner, tools: Tools, tmp_path: Path) -> None:
    """The packets tell the length."""
    path = tmp_path / "lies.mkv"
    make(tools, *PICTURE, *SOUND, *H264, "-c:a", "flac", path)
    whole = path.read_bytes()
    at = whole.index(b"\x44\x89\x88") + 3  # the element Duration, a float of 8 bytes, milliseconds
    path.write_bytes(whole[:at] + bytes.fromhex("4122 4f80 0000 0000") + whole[at + 8 :])
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"DURATIOX"))
    assert info_of(probed, path).duration_seconds == pytest.approx(8, abs=0.1)


def test_an_upload_that_was_cut_off(probed: Runner, tools: Tools, tmp_path: Path) -> None:
    """The media ends in the middle of a packet: that is no header that lies. The error says how much is there."""
    path = tmp_path / "cut.mkv"
    make(tools, *PICTURE, *SOUND, *H264, "-c:a", "flac", path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputTruncatedError, match=r"declares 8\.\d s of media but ends after [34]\.\d s"):
        info_of(probed, path)


def test_a_stream_without_times(probed: Runner, tools: Tools, tmp_path: Path) -> None:
    """Its frames are counted."""
    path = tmp_path / "bare.h264"
    make(tools, *PICTURE, *H264, path)
    info = info_of(probed, path)
    assert info.duration_seconds == pytest.approx(8, abs=0.05)
    assert not info.has_times


def test_a_track_without_packets_and_a_still(probed: Runner, tools: Tools, tmp_path: Path) -> None:
    """One is not listed, the other is not taken for the picture."""
    path = tmp_path / "still.mkv"
    still = ("-f", "lavfi", "-i", "color=red:s=400x400:r=25:d=0.04")
    tracks = ("-map", "0:v", "-map", "1:v", "-map", "2:a")
    make(tools, *still, *PICTURE, *SOUND, *tracks, *H264, "-c:a", "flac", path)
    info = info_of(probed, path)
    assert [each.is_still for each in info.video] == [True, False]
    assert info.main_video == info.video[1]
