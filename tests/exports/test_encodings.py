"""Codecs, profiles and graphics hardware: what comes out is what was asked for, and it can be read."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from typing import Any

import pytest

from mediajobs_dagster.media.tools import Tools
from tests.exports.barcodes import Footage
from tests.exports.conftest import Export, Renders
from tests.exports.timelines import clip

FPS = Fraction(30)


def streams(export: Export, tools: Tools) -> dict[str, Any]:
    """Picture and sound as ffprobe tells them."""
    command = [tools.ffprobe, "-v", "error", "-show_streams", "-show_format", "-of", "json", export.path]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
def test_codecs(render: Renders, thirty: Footage, tools: Tools, codec: str) -> None:
    export = render({"track": [clip(thirty, 1, 1.3)]}, thirty, codec=codec)
    if tools.can_decode(codec):
        assert export.numbers == thirty.part(9, FPS, in_=Fraction(1))
        assert not export.manifest.notes
    else:
        (note,) = export.manifest.notes
        assert "cannot decode it" in note
    video, audio = streams(export, tools)["streams"]
    tagged = {key: video[key] for key in ("codec_name", "pix_fmt", "color_space", "color_transfer", "color_primaries")}
    assert tagged == {
        "codec_name": codec,
        "pix_fmt": "yuv420p",
        "color_space": "bt709",
        "color_transfer": "bt709",
        "color_primaries": "bt709",
    }
    assert video["color_range"] == "tv"
    assert (video["r_frame_rate"], video["sample_aspect_ratio"], video["start_pts"]) == ("30/1", "1:1", 0)
    assert (audio["codec_name"], audio["sample_rate"], audio["channels"]) == ("aac", "48000", 2)
    assert video["codec_tag_string"] == {"h264": "avc1", "hevc": "hvc1", "av1": "av01", "vp9": "vp09"}[codec]


@pytest.mark.parametrize("profile", ["draft", "high"])
def test_profiles(render: Renders, thirty: Footage, profile: str) -> None:
    export = render({"track": [clip(thirty, 1, 1.3)]}, thirty, profile=profile)
    assert export.numbers == thirty.part(9, FPS, in_=Fraction(1))


@pytest.mark.parametrize("hardware", ["nvenc", "qsv", "videotoolbox", "vaapi"])
def test_absent_hardware_is_done_without(render: Renders, thirty: Footage, tools: Tools, hardware: str) -> None:
    """On a machine that has it, it encodes; the manifest tells which of both it was."""
    export = render({"track": [clip(thirty, 1, 1.3)]}, thirty, hardware=hardware)
    assert export.numbers == thirty.part(9, FPS, in_=Fraction(1))
    instead = f"h264_{hardware} does not work on this machine; libx264 was used instead."
    assert export.manifest.notes == (() if tools.can_encode(f"h264_{hardware}") else (instead,))


def test_nothing_of_a_source_travels(render: Renders, thirty: Footage, tools: Tools) -> None:
    """Titles, places and dates that stand in a source's file are not in the export's."""
    marked = thirty.path.with_name("marked.mp4")
    told = ("-metadata", "title=secret title", "-metadata", "location=+48.1+011.5/", "-metadata", "comment=secret")
    command = [tools.ffmpeg, "-v", "error", "-y", "-i", thirty.path, "-c", "copy", *told, marked]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    export = render({"track": [{"kind": "clip", "source": marked.name, "out": 0.2}]}, marked)
    assert b"secret" not in export.path.read_bytes()
    assert "+48.1" not in json.dumps(streams(export, tools))
