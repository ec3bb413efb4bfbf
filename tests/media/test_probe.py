"""What ffprobe says becomes what the planners need to know."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mediajobs_dagster import errors
from mediajobs_dagster.media.probe import parse_probe, probe
from mediajobs_dagster.media.process import Limits
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import JsonObject, MediaInfo, VideoStream
from tests.clips import Clips
from tests.media.conftest import Records

SAVED = Path(__file__).parent / "probes"


def saved(name: str) -> JsonObject:
    """An answer that ffprobe gave."""
    return json.loads((SAVED / f"{name}.json").read_text())


def picture(info: MediaInfo) -> VideoStream:
    """The main picture, which there is."""
    assert info.main_video
    return info.main_video


# --- saved answers ---------------------------------------------------------------------------------------------------


def test_a_phones_clip_is_portrait() -> None:
    """A display matrix turns the stored picture; sizes stay as stored."""
    video = picture(parse_probe(saved("rotated_portrait")))
    assert (video.width, video.height, video.rotation) == (640, 360, 90)
    assert video.display_size == (360, 640)


@pytest.mark.parametrize(
    ("name", "code", "rate"),
    [
        ("hour.mov", "01:00:00:00", "25"),
        ("dropped.mov", "00:59:59;28", "30000/1001"),
        ("hour.mp4", "10:00:00:00", "25"),
    ],
)
def test_the_time_code_of_the_first_frame(
    clips: Clips, runner: Runner, tmp_path: Path, name: str, code: str, rate: str
) -> None:
    """Wherever the container keeps it; None without one, and for tags that are none."""
    assert probe(runner, str(clips.timecode(name, code, rate))).timecode == code
    assert probe(runner, str(clips.landscape())).timecode is None
    answer = saved("matroska")
    answer["streams"][0]["tags"]["timecode"] = "at noon"
    assert parse_probe(answer).timecode is None
    answer["format"]["tags"] = {"timecode": code}
    assert parse_probe(answer).timecode == code


@pytest.mark.parametrize(("tag", "rotation"), [("90", 90), ("180", 180), ("270", 270), ("-90", 270), ("0", 0)])
def test_the_old_rotate_tag_is_understood(tag: str, rotation: int) -> None:
    """ffmpeg before 5 told the rotation in a tag, clockwise."""
    answer = saved("matroska")
    answer["streams"][0]["tags"]["rotate"] = tag
    assert picture(parse_probe(answer)).rotation == rotation


def test_pixels_that_are_not_square() -> None:
    """The sample aspect widens the picture for display; an unknown one counts as square."""
    answer = saved("anamorphic")
    assert picture(parse_probe(answer)).display_size == (640, 360)
    for unknown in ("0:1", "N/A", None):
        answer["streams"][0]["sample_aspect_ratio"] = unknown
        assert picture(parse_probe(answer)).sample_aspect == (1, 1)


def test_frame_rates() -> None:
    """A constant rate, a variable one, and one that is off by a rounding only."""
    assert picture(parse_probe(saved("matroska"))).variable_frame_rate is False
    uneven = picture(parse_probe(saved("variable_frame_rate")))
    assert uneven.variable_frame_rate is True
    assert uneven.fps == pytest.approx(14.66, abs=0.01)
    answer = saved("matroska")
    answer["streams"][0] |= {"avg_frame_rate": "30000/1001", "r_frame_rate": "30/1"}
    assert picture(parse_probe(answer)).variable_frame_rate is False


def test_hdr_and_pixel_format() -> None:
    """The transfer tells HDR."""
    video = picture(parse_probe(saved("ten_bit_422")))
    assert (video.pixel_format, video.transfer, video.is_hdr) == ("yuv422p10le", "smpte2084", True)


def test_cover_art_is_counted_and_is_no_video() -> None:
    """An attached picture never passes for a moving one."""
    song, film = parse_probe(saved("cover_art")), parse_probe(saved("video_with_cover"))
    assert (song.video, len(song.audio), song.attached_pictures) == ((), 1, 1)
    assert (len(film.video), film.attached_pictures, picture(film).codec) == (1, 1, "h264")


def test_tracks_of_sound() -> None:
    """All of them, in order, with language and channels."""
    both = parse_probe(saved("two_audio_tracks")).audio
    assert [(track.language, track.channels, track.sample_rate) for track in both] == [
        ("eng", 2, 48_000),
        ("deu", 2, 48_000),
    ]
    assert parse_probe(saved("surround")).audio[0].channels == 6


def test_duration_falls_back_to_the_longest_track_and_then_to_nothing() -> None:
    """Where the container tells no duration, its tracks do; a single picture may have none."""
    answer = saved("matroska")
    assert parse_probe(answer).duration_seconds == 3.021
    assert picture(parse_probe(answer)).duration_seconds == 3.0
    del answer["format"]["duration"]
    assert parse_probe(answer).duration_seconds == 3.021
    for stream in answer["streams"]:
        del stream["tags"]
    assert parse_probe(answer).duration_seconds == 0


def test_one_frame_is_a_video() -> None:
    """A track of one frame is a track."""
    assert picture(parse_probe(saved("one_frame"))).frames == 1


def test_a_given_size_wins() -> None:
    """The caller's knowledge of the length counts before ffprobe's."""
    assert parse_probe(saved("bigbuckbunny")).bytes == 1055736
    assert parse_probe(saved("bigbuckbunny"), 7).bytes == 7


@pytest.mark.parametrize("answer", [{}, {"streams": [], "format": {}}, {"streams": [{"codec_type": "subtitle"}]}])
def test_no_tracks_is_no_media(answer: JsonObject) -> None:
    """Neither picture nor sound: not media."""
    with pytest.raises(errors.InputNotMediaError):
        parse_probe(answer)


# --- real probes -----------------------------------------------------------------------------------------------------


def test_a_real_probe_tells_what_was_made(runner: Runner, clips: Clips, records: Records) -> None:
    """Size, tracks and length of a clip come out as they went in, and the probe is on record as ffprobe."""
    path = clips.landscape()
    info = probe(runner, path.name, cwd=path.parent, report=records)
    assert info.bytes == path.stat().st_size
    assert info.duration_seconds == pytest.approx(3, abs=0.05)
    assert (picture(info).codec, info.audio[0].codec) == ("h264", "aac")
    record = records.only
    assert (record.argv[0], record.status, record.exit_code) == ("ffprobe", "ok", 0)
    assert record.argv[-1] == f"file:{path.name}"


@pytest.mark.parametrize(
    ("make", "size", "rotation", "shown"),
    [
        (Clips.odd_size, (853, 481), 0, (853, 481)),
        (Clips.rotated_portrait, (640, 360), 90, (360, 640)),
        (Clips.upside_down, (640, 360), 180, (640, 360)),
        (Clips.anamorphic, (480, 360), 0, (640, 360)),
        (Clips.short, (640, 360), 0, (640, 360)),
    ],
)
def test_pictures_of_all_shapes(
    make, size: tuple[int, int], rotation: int, shown: tuple[int, int], runner: Runner, clips: Clips
) -> None:
    """The clips that other tests rely on are what their names say."""
    video = picture(probe(runner, str(make(clips))))
    assert (video.width, video.height) == size
    assert video.rotation == rotation
    assert video.display_size == shown


def test_a_probe_that_hangs_is_stopped(runner: Runner, records: Records, tmp_path: Path) -> None:
    """A probe of something that never answers ends as TIMEOUT."""
    script = tmp_path / "hangs"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    script.chmod(0o755)
    (tmp_path / "source").write_bytes(b"x")
    hanging = replace(runner, tools=replace(runner.tools, ffprobe=script), limits=Limits(total_s=0.5))
    with pytest.raises(errors.DeadlineError, match="ffprobe"):
        probe(hanging, "source", cwd=tmp_path, report=records)
    assert records.only.status == "TIMEOUT"


def test_a_missing_file_is_a_fault_of_the_caller(runner: Runner, tmp_path: Path) -> None:
    """No process is started for a path that does not exist."""
    with pytest.raises(FileNotFoundError):
        probe(runner, "gone", cwd=tmp_path)


@pytest.mark.parametrize("text", ["abc", "nan", "inf", "-inf", "1e400", "1:2:3:4", ""])
def test_tags_that_make_no_sense_are_passed_over(text: str) -> None:
    """What a writer put into its tags may be anything: no length and no turn, but no failure either."""
    stream = {"index": 0, "codec_type": "video", "codec_name": "h264", "width": 64, "height": 64}
    tags = {"rotate": text, "DURATION": text}
    info = parse_probe({"format": {"duration": text}, "streams": [{**stream, "tags": tags}]}, 1)
    assert info.duration_seconds == 0
    assert info.video[0].rotation == 0


@pytest.mark.parametrize(
    "nonsense",
    [{"width": "wide"}, {"nb_frames": "many"}, {"tags": 7}, {"avg_frame_rate": f"{'9' * 400}/1"}, {"index": None}],
)
def test_nonsense_is_a_fault_of_the_input(runner: Runner, tmp_path: Path, nonsense: JsonObject) -> None:
    """Whatever a file says of itself, and ffprobe passes on, ends as a fault of that file."""
    stream = {"index": 0, "codec_type": "video", "codec_name": "h264", "width": 64, "height": 36, **nonsense}
    said = json.dumps({"streams": [stream], "format": {"format_name": "mov", "duration": "3.0"}})
    script = tmp_path / "ffprobe"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    script.chmod(0o755)
    (tmp_path / "clip.mp4").write_bytes(b"x")
    lying = replace(runner, tools=replace(runner.tools, ffprobe=script))
    with pytest.raises(errors.InputNotMediaError):
        probe(lying, str(tmp_path / "clip.mp4"))
