"""Clips out of the middle of sources whose container does not say where their key frames are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mediajobs_dagster.media.tools import find_tools
from tests.exports.barcodes import Footage, Studio, marks
from tests.exports.conftest import Renders
from tests.exports.timelines import clip

FPS = Fraction(30)
ONE_KEY_FRAME = ("-g", "9999", "-keyint_min", "9999", "-sc_threshold", "0", "-bf", "2")
TWO_SECONDS = ("-g", "60", "-sc_threshold", "0", "-bf", "3")
FRAGMENTS = ("-movflags", "+frag_keyframe+empty_moov")

CONTAINERS = [
    ("one_key.ts", ONE_KEY_FRAME),
    ("two_seconds.ts", TWO_SECONDS),
    ("one_key.flv", ONE_KEY_FRAME),
    ("two_seconds.flv", TWO_SECONDS),
    ("one_key.mkv", ONE_KEY_FRAME),
    ("two_seconds.mkv", TWO_SECONDS),
    ("no_cues.mkv", (*TWO_SECONDS, "-live", "1")),
    ("fragmented.mp4", (*TWO_SECONDS, *FRAGMENTS)),
    ("one_fragment.mp4", (*ONE_KEY_FRAME, "-movflags", "+empty_moov")),
    ("two_seconds.mp4", TWO_SECONDS),
    ("many_b.mp4", ("-g", "60", "-bf", "8", "-b_strategy", "0", "-refs", "4", "-sc_threshold", "0")),
    ("open_gop.ts", ("-x264-params", "open-gop=1:keyint=40:min-keyint=40:scenecut=0:bframes=3")),
    ("one_key.mpg", ("-c:v", "mpeg2video", "-q:v", "3", "-g", "600", "-sc_threshold", "1000000000", "-bf", "1")),
    ("two_seconds.mpg", ("-c:v", "mpeg2video", "-q:v", "3", "-g", "60", "-sc_threshold", "1000000000")),
    ("one_key.avi", ("-c:v", "mpeg4", "-q:v", "3", "-g", "600")),
    ("two_seconds.avi", ("-c:v", "mpeg4", "-q:v", "3", "-g", "60")),
    ("two_seconds.wmv", ("-c:v", "wmv2", "-b:v", "3M", "-g", "60")),
    ("two_seconds.mxf", ("-c:v", "mpeg2video", "-q:v", "3", "-g", "60", "-bf", "1", "-ar", "48000")),
]
"""Names and how they are encoded."""
SOUND = {".mpg": "mp2", ".wmv": "wmav2", ".mxf": "pcm_s16le", ".avi": "mp3"}
"""The codec of the sound where it is not AAC."""


@pytest.mark.parametrize(("name", "options"), CONTAINERS)
def test_parts_show_the_frames_of_their_times(
    render: Renders, studio: Studio, name: str, options: Sequence[str]
) -> None:
    """A part near the end, one near the beginning, and one that begins just behind a key frame."""
    footage = studio.clip(name, 40, seconds=8, options=options, sound_codec=SOUND.get(Path(name).suffix, "aac"))
    late, parts = _begins(footage), [(6.5, 7.1), (1.2, 1.8), (4.1, 4.5)]
    export = render({"track": [clip(footage, *part) for part in parts], "loudness": None}, footage)
    expected = [
        shown
        for begin, end in parts
        for shown in footage.part(round((end - begin) * 30), FPS, in_=Fraction(str(begin)) - late)
    ]
    assert export.numbers == expected
    assert np.allclose(marks(export.sound), [0.5 + float(late)], atol=0.03)


@pytest.mark.parametrize("suffix", ["h264", "hevc"])
def test_a_stream_without_container(render: Renders, studio: Studio, suffix: str) -> None:
    """It has no times: frames are counted from its beginning, wherever the part begins."""
    codec = ("-c:v", "libx265", "-x265-params", "log-level=error:keyint=60") if suffix == "hevc" else TWO_SECONDS
    footage = studio.clip(f"bare.{suffix}", 41, seconds=6, rate="25", options=codec, silent=True)
    export = render({"track": [clip(footage, 4.2, 4.8), clip(footage, 1, 1.4)]}, footage)
    expected = [*footage.part(18, FPS, in_=Fraction("4.2")), *footage.part(12, FPS, in_=Fraction(1))]
    assert export.numbers == expected


@pytest.mark.parametrize("name", ["slides.mp4", "slides.mkv", "slides_in_fragments.mp4", "slides.ts"])
def test_slides_that_stay_for_seconds(render: Renders, studio: Studio, name: str) -> None:
    """The one that is on show at a time, though a key frame that is shown later is decoded before."""
    left = [0, 1, 2, 60, 61, 150, 152, 154, 240, 241, 242, 300]
    dropped = [frame for frame in range(310) if frame not in left]
    fragments = FRAGMENTS if "fragments" in name else ()
    options = ("-g", "3", "-bf", "2", "-sc_threshold", "0", *fragments)
    footage = studio.clip(name, 42, seconds=310 / 30, options=options, drop=dropped)
    late = Fraction({".ts": "0.021333", ".mkv": "0"}.get(Path(name).suffix, "1/15" if fragments else "0"))
    parts = [("7", "7.4"), ("4.9", "5.3"), ("1", "1.2"), ("9.8", "10")]
    track = [clip(footage, float(begin), float(end)) for begin, end in parts]
    export = render({"track": track, "loudness": None}, footage)
    expected = [
        shown
        for begin, end in parts
        for shown in footage.part(round((Fraction(end) - Fraction(begin)) * 30), FPS, in_=Fraction(begin) - late)
    ]
    assert export.numbers == expected


def test_a_picture_that_begins_late(render: Renders, studio: Studio) -> None:
    """Times are those of the whole file: the last second and a half of the picture is there, and so is its sound."""
    whole = studio.clip("begins.mp4", 43, seconds=6)
    late = _late_picture(studio, whole, "late_picture.mp4")
    export = render({"track": [clip(late, 4, 7.5)], "loudness": None}, late)
    assert export.numbers == whole.part(105, FPS, in_=Fraction("2.5"))
    assert np.allclose(marks(export.sound), [0, 1], atol=0.02)


@pytest.mark.parametrize("name", ["late_sound.ts", "late_sound.mkv", "late_sound.flv"])
def test_sound_that_begins_late_in_other_containers(render: Renders, studio: Studio, name: str) -> None:
    """Silent until it begins, and in time from then on; also where it is mixed in without its picture."""
    whole = studio.clip(f"whole_{Path(name).suffix[1:]}.mp4", 44, seconds=4)
    late = studio.delayed(whole, name, 1.3)
    voice = {"source": late.name, "start": 4, "in": 0.5}
    track = [clip(late, 0, 4), {"kind": "gap", "duration": 4}]
    export = render({"track": track, "narration": [voice], "loudness": None}, late)
    assert export.numbers[:119] == whole.part(119, FPS)
    assert np.abs(export.sound[: round(1.25 * 48000)]).max() < 5e-3
    # From 1.3 s on a mark each second; the voice begins at 0.5 s of the file, at 4 s of the export.
    assert np.allclose(marks(export.sound), [1.3, 2.3, 3.3, 4.8, 5.8, 6.8, 7.8], atol=0.02)


def test_sound_that_goes_on(render: Renders, studio: Studio) -> None:
    """The last picture stays while there is sound, and a note says so; without `out`, the whole is used."""
    short = studio.clip("short_picture.mp4", 45, seconds=5, drop=[*range(60, 150)])
    export = render({"track": [clip(short)], "loudness": None}, short)
    assert len(export.numbers) == 150
    assert export.numbers[59:] == [(45, 59)] * 91
    assert any("last frame is held" in note for note in export.manifest.notes)


def _begins(footage: Footage) -> Fraction:
    """How late the picture of a file is, counted from the beginning of the file, seconds.

    Muxers put a frame of AAC before the picture, or delay it by the frames that are reordered; that of AVI repeats the
    first one. So the fourth frame tells.
    """
    asked = "format=start_time:frame=best_effort_timestamp_time"
    shown = ("-select_streams", "v", "-show_entries", asked, "-read_intervals", "%+#12")
    command = [find_tools().ffprobe, "-v", "error", *shown, "-of", "json", footage.path]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    fourth, start = answer["frames"][3]["best_effort_timestamp_time"], answer["format"]["start_time"]
    return Fraction(fourth) - Fraction(start) - 3 / footage.rate


def _late_picture(studio: Studio, whole: Footage, name: str) -> Footage:
    path = studio.folder / name
    late = ("-itsoffset", "1.5", "-i", str(whole.path))
    studio.run("-i", str(whole.path), *late, "-map", "1:v", "-map", "0:a", "-c", "copy", str(path))
    return Footage(path, whole.clip, whole.rate, whole.frames)
