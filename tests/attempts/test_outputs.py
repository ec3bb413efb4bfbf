"""What the three job types make of real files, looked at with ffprobe and by decoding, never by asking our own code."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import AttemptStatus, MediaInfo, RtfBasis
from tests.clips import Clips, real_footage
from tests.platform import Platform

Ask = Callable[..., Any]


@pytest.fixture
def ffprobe(tools: Tools) -> Ask:
    """Asks ffprobe for entries of the first track of a kind."""

    def ask(path: Path, entries: str, *, stream: str = "v:0", more: tuple[str, ...] = ()) -> Any:
        command = [tools.ffprobe, "-v", "error", "-select_streams", stream, *more, "-show_entries", entries]
        answer = subprocess.run([*command, "-of", "json", path], check=True, capture_output=True)
        return json.loads(answer.stdout)

    return ask


def make(platform: Platform, path: Path, job_type: str, **options: Any) -> Path:
    """Make one output and return its file."""
    upload = platform.add(path, job_type, **options)
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    assert platform.leftovers() == []
    return platform.output(platform.manifest(upload, job_type).outputs[0].key)


@pytest.mark.parametrize(
    ("clip", "size"),
    [
        ("landscape", (640, 360)),
        ("rotated_portrait", (360, 640)),
        ("upside_down", (640, 360)),
        ("anamorphic", None),
        ("odd_size", (640, 361)),
        ("one_frame", (640, 360)),
        ("short", (640, 360)),
        ("variable_frame_rate", (640, 360)),
        ("ten_bit_422", (640, 360)),
        ("video_with_cover", (640, 360)),
        ("transport_stream", (640, 360)),
    ],
)
def test_thumbnail_has_a_long_edge_of_640(platform: Platform, clips: Clips, clip: str, size: tuple[int, int]) -> None:
    """The thumbnail of any kind of video is a JPEG, upright and in square pixels, with a long edge of 640."""
    path = make(platform, getattr(clips, clip)(), Thumbnail.name)
    with Image.open(path) as image:
        image.load()
        assert image.format == "JPEG"
        assert max(image.size) == 640
        if size:
            assert image.size == size


def test_thumbnail_of_anamorphic_video_is_as_wide_as_it_is_shown(platform: Platform, clips: Clips) -> None:
    """Pixels that are wider than high make the thumbnail wider than the coded picture."""
    coded_width, coded_height = 480, 360
    with Image.open(make(platform, clips.anamorphic(), Thumbnail.name)) as image:
        assert image.width / image.height > coded_width / coded_height * 1.2


def test_thumbnail_is_taken_where_it_was_asked_for(platform: Platform, tmp_path: Path, tools: Tools) -> None:
    """A clip that is black for a second and white after: the default is black, at two seconds it is white."""
    clip = tmp_path / "black_then_white.mp4"
    graph = "color=black:s=320x240:d=1[a];color=white:s=320x240:d=2[b];[a][b]concat=n=2"
    subprocess.run([tools.ffmpeg, "-v", "error", "-f", "lavfi", "-i", graph, "-c:v", "libx264", clip], check=True)
    with Image.open(make(platform, clip, Thumbnail.name)) as image:
        assert image.convert("L").resize((1, 1)).getpixel((0, 0)) < 10
    upload = platform.add(clip)
    asked = platform.registry[Thumbnail.name].request(upload, trace_id="0" * 32, params={"atSeconds": 2})
    platform.history.jobs.enqueue([asked])
    platform.work()
    with Image.open(platform.output(*platform.current_keys(upload, Thumbnail.name))) as image:
        assert image.convert("L").resize((1, 1)).getpixel((0, 0)) > 245


@pytest.mark.parametrize(
    ("clip", "size"),
    [
        ("landscape", (540, 304)),
        ("rotated_portrait", (304, 540)),
        ("odd_size", (540, 304)),
        ("variable_frame_rate", (540, 304)),
        ("ten_bit_422", (540, 304)),
        ("surround", (540, 304)),
        ("two_audio_tracks", (540, 304)),
        ("no_audio", (540, 304)),
        ("one_frame", (540, 304)),
        ("short", (540, 304)),
        ("matroska", (540, 304)),
    ],
)
def test_proxy_is_made_for_scrubbing(
    platform: Platform, clips: Clips, ffprobe: Ask, clip: str, size: tuple[int, int]
) -> None:
    """H.264 main, yuv420p, long edge 540, even sizes, 30 fps constant, a keyframe every 8 frames, index first."""
    source: Path = getattr(clips, clip)()
    path = make(platform, source, EditProxy.name)

    entries = "stream=codec_name,profile,pix_fmt,width,height,sample_aspect_ratio,r_frame_rate,avg_frame_rate"
    (video,) = ffprobe(path, entries)["streams"]
    assert (video["codec_name"], video["profile"], video["pix_fmt"]) == ("h264", "Main", "yuv420p")
    assert (video["width"], video["height"]) == size
    assert video["r_frame_rate"] == video["avg_frame_rate"] == "30/1"
    assert video.get("sample_aspect_ratio", "1:1") == "1:1"

    frames = ffprobe(path, "frame=key_frame,pts_time")["frames"]
    keys = [number for number, frame in enumerate(frames) if frame["key_frame"]]
    assert keys == list(range(0, len(frames), 8))
    times = np.array([float(frame["pts_time"]) for frame in frames])
    assert np.allclose(np.diff(times), 1 / 30, atol=1e-3)

    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_proxy_sound_is_stereo_aac_where_there_is_sound(platform: Platform, clips: Clips, ffprobe: Ask) -> None:
    """5.1 becomes 48 kHz stereo AAC; a silent film stays silent."""
    entries = "stream=codec_name,channels,sample_rate"
    loud = make(platform, clips.surround(), EditProxy.name)
    (audio,) = ffprobe(loud, entries, stream="a")["streams"]
    assert (audio["codec_name"], audio["channels"], audio["sample_rate"]) == ("aac", 2, "48000")
    silent = make(platform, clips.no_audio(), EditProxy.name)
    assert ffprobe(silent, entries, stream="a")["streams"] == []


def test_proxy_of_real_footage_shows_the_same_picture(platform: Platform, tools: Tools, tmp_path: Path) -> None:
    """Decoded and compared with the scaled source, real footage keeps an SSIM above 0.9."""
    source = real_footage("bigbuckbunny.mp4")
    proxy = make(platform, source, EditProxy.name)
    graph = "[0:v]fps=30,scale=540:304[a];[1:v]setpts=PTS-STARTPTS[b];[a][b]ssim"
    command = [tools.ffmpeg, "-hide_banner", "-i", source, "-i", proxy, "-lavfi", graph, "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert float(said.rsplit("All:", 1)[1].split()[0]) > 0.9


def reference_envelope(tools: Tools, source: Path) -> list[float]:
    """The contract's formula over the decoded sound, written down a second time, in floating point."""
    # rematrix_maxval: the weights of the mix add up to 1, as they do by default when the samples are integers.
    mix = ("-af", "aresample=osr=48000:ochl=mono:rematrix_maxval=1", "-f", "f32le", "-")
    command = [tools.ffmpeg, "-v", "error", "-i", source, "-map", "0:a:0", *mix]
    samples = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, dtype="<f4")
    values: list[float] = []
    for start in range(0, len(samples), 4800):
        rms = float(np.sqrt(np.mean(samples[start : start + 4800].astype(np.float64) ** 2)))
        decibels = 20 * np.log10(rms) if rms > 0 else -np.inf
        values.append(float(np.sqrt(10 ** (min(0.0, max(-60.0, decibels)) / 20))))
    return values


@pytest.mark.parametrize("clip", ["landscape", "surround", "two_audio_tracks", "audio_only", "silence", "bunny"])
def test_envelope_agrees_with_an_independent_computation(
    platform: Platform, clips: Clips, tools: Tools, clip: str
) -> None:
    """Every point is within 0.01 of the formula computed apart from it, ten points a second."""
    source: Path = real_footage("bigbuckbunny.mp4") if clip == "bunny" else getattr(clips, clip)()
    envelope = json.loads(make(platform, source, AudioEnvelope.name).read_text())
    expected = reference_envelope(tools, source)
    assert envelope["version"] == "audio_envelope_v3"
    assert envelope["hasAudio"] is True
    assert envelope["intervalSeconds"] == 0.1
    assert [point["t"] for point in envelope["points"]] == [round(number / 10, 1) for number in range(len(expected))]
    assert max(abs(point["v"] - value) for point, value in zip(envelope["points"], expected, strict=True)) < 0.01
    assert envelope["durationSeconds"] == pytest.approx(len(expected) / 10, abs=0.11)


def test_envelope_of_a_silent_film_says_so(platform: Platform, clips: Clips) -> None:
    """A video without sound gives hasAudio false and no points, and no ffmpeg is run for it."""
    path = make(platform, clips.no_audio(), AudioEnvelope.name)
    envelope = json.loads(path.read_text())
    assert envelope["hasAudio"] is False
    assert envelope["points"] == []
    assert envelope["durationSeconds"] == pytest.approx(3, abs=0.1)


def test_file_names_are_never_used_in_keys_or_paths(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """A name with spaces, quotes, a newline and dots is kept for people, and appears nowhere else."""
    name = "../ 'quoted' \"twice\"\n; rm -rf $HOME `x` .mp4".replace("/", "⁄")
    nasty = tmp_path / name
    nasty.write_bytes(clips.landscape().read_bytes())
    upload = platform.add(nasty)
    assert [outcome.status for outcome in platform.work()] == [AttemptStatus.SUCCESS] * 3
    assert upload.filename == name
    assert name not in json.dumps([obj.key for obj in platform.storage.list("")], ensure_ascii=False)
    assert platform.leftovers() == []


def test_proxy_is_as_long_as_the_tracks_it_shows(platform: Platform, tools: Tools, tmp_path: Path) -> None:
    """A second sound track that is longer than the film is not used, and no reason to refuse the proxy."""
    film = tmp_path / "long_commentary.mp4"
    tracks = ("testsrc2=size=320x240:rate=30:d=2", "sine=440:d=2", "sine=220:d=6")
    inputs = [argument for track in tracks for argument in ("-f", "lavfi", "-i", track)]
    maps = [argument for number in range(3) for argument in ("-map", str(number))]
    encode = [tools.ffmpeg, "-v", "error", *inputs, *maps, "-c:v", "libx264", "-pix_fmt", "yuv420p", film]
    subprocess.run(encode, check=True)
    upload = platform.add(film, EditProxy.name)
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    info = platform.manifest(upload, EditProxy.name).outputs[0].media_info
    assert info is not None
    assert info.duration_seconds == pytest.approx(2, abs=0.1)
    assert any("its source declares 6" in note for note in outcome.manifest.notes)


def test_the_metrics_tell_how_much_media_was_made_how_fast(platform: Platform, clips: Clips) -> None:
    """Whose seconds count, and by which factor they were faster than real time."""
    upload = platform.add(clips.landscape(), AudioEnvelope.name)
    platform.work()
    manifest = platform.manifest(upload, AudioEnvelope.name)
    metrics = manifest.metrics
    assert metrics.media_seconds == pytest.approx(3.0, abs=0.1)
    assert metrics.rtf_basis is RtfBasis.INPUT
    assert metrics.rtf == round((metrics.media_seconds or 0) / (manifest.duration_ms / 1000), 3)


def test_small_faults_of_a_source_are_noted(platform: Platform, clips: Clips) -> None:
    """A player shrugs them off, and so does a proxy; who looks at it later learns what they are from."""
    scratched = platform.add(clips.scratched(), EditProxy.name)
    sound = platform.add(clips.landscape(), EditProxy.name)
    platform.work()
    (note,) = platform.manifest(scratched, EditProxy.name).notes
    assert note == "ffmpeg reported small faults in its input: 1 damaged picture."
    assert platform.manifest(sound, EditProxy.name).notes == ()


def test_lengths_that_were_not_measured_are_probed_anew(platform: Platform, clips: Clips) -> None:
    """An earlier version noted what the container declares, which is wrong where it has no index."""
    upload = platform.add(clips.matroska(), EditProxy.name)
    noted = MediaInfo(container="matroska,webm", duration_seconds=99.0, bytes=upload.bytes or 0)
    platform.history.uploads.set_media_info(upload.id, noted)
    platform.work()
    source = platform.manifest(upload, EditProxy.name).metrics.input
    assert source is not None
    assert source.duration_seconds == pytest.approx(3, abs=0.1)
    known = platform.history.uploads.get(upload.id).media_info
    assert known is not None
    assert (known.is_measured, known.duration_seconds) == (True, source.duration_seconds)
