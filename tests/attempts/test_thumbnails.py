"""Thumbnails of real clips: which moment they show, and in which colours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import AttemptStatus
from tests.clips import real_footage
from tests.platform import Platform

Pixel = tuple[int, int, int]

PATCHES: tuple[Pixel, ...] = (
    *((200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30)),
    *((120, 60, 180), (235, 235, 235), (18, 18, 18), (128, 128, 128)),
)
"""Colours side by side, from left to right."""
WORDS = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020nc"}
"""The matrices of the filter `scale`, in the words of tags."""
LEVELS_OFF = 4


def ffmpeg(tools: Tools, *arguments: str | Path, stdin: bytes | None = None) -> None:
    """Run ffmpeg."""
    subprocess.run([tools.ffmpeg, "-v", "error", "-y", *arguments], check=True, input=stdin)


def thumbnail(platform: Platform, path: Path, **params: float) -> tuple[Image.Image, tuple[str, ...]]:
    """The thumbnail of a file, in RGB, and the notes of its attempt."""
    upload = platform.register(path)
    asked = platform.registry[Thumbnail.name].request(upload, trace_id=upload.trace_id, params=params)
    platform.history.jobs.enqueue([asked])
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    manifest = platform.manifest(upload, Thumbnail.name)
    (output,) = manifest.outputs
    with Image.open(platform.output(output.key)) as image:
        return image.convert("RGB"), manifest.notes


def off(image: Image.Image, wanted: Pixel, x: float, y: float = 0.5) -> int:
    """How far the pixel at shares of width and height is from a colour, in levels of its worst channel."""
    found = image.getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(found, tuple)
    return max(abs(have - want) for have, want in zip(found, wanted, strict=True))


# --- which moment ----------------------------------------------------------------------------------------------------


def blink(tools: Tools, path: Path, dark: float, seconds: float, *options: str) -> Path:
    """Footage of bikes at 25 fps that is black for `dark` seconds."""
    lit = f"drawbox=t=fill:color=black:enable='lt(t,{dark})'"
    source = ("-stream_loop", "-1", "-i", real_footage("bikes.mp4"), "-t", f"{seconds}", "-an", "-r", "25")
    ffmpeg(tools, *source, "-vf", lit, "-c:v", "libx264", "-preset", "ultrafast", *options, path)
    return path


def brightness(image: Image.Image) -> int:
    """The mean of luma, levels."""
    found = image.convert("L").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize(
    ("dark", "seconds", "shown"),
    [
        (0.0, 10, None),
        (0.1, 10, None),
        (0.4, 10, "0.5 s"),
        (1.5, 10, "2.5 s"),
        (2.8, 10, "3 s"),
        (0.5, 1.4, "0.7 s"),
        (7.0, 40, "the key frame before 10 s"),
    ],
)
def test_a_black_beginning_is_passed_over(
    platform: Platform, tools: Tools, tmp_path: Path, dark: float, seconds: float, shown: str | None
) -> None:
    """The first moment with a picture is taken, and the manifest says which and why."""
    clip = blink(tools, tmp_path / "a.mp4", dark, seconds, "-g", "50")
    image, notes = thumbnail(platform, clip)
    assert brightness(image) > 60
    assert notes == ((f"The picture at 0.2 s is blank. The thumbnail shows {shown}.",) if shown else ())


def test_a_black_beginning_is_passed_over_where_no_length_is_declared(
    platform: Platform, tools: Tools, tmp_path: Path
) -> None:
    """A streamed recording, and a raw stream, which is decoded from its start."""
    clip = blink(tools, tmp_path / "a.mp4", 2.0, 5)
    raw, streamed = tmp_path / "a.h264", tmp_path / "a.mkv"
    ffmpeg(tools, "-i", clip, "-c", "copy", raw)
    command = [tools.ffmpeg, "-v", "error", "-i", clip, "-c", "copy", "-f", "matroska", "pipe:1"]
    streamed.write_bytes(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    for path, shown in ((raw, "3 s"), (streamed, "2.5 s")):  # half of its length
        image, notes = thumbnail(platform, path)
        assert brightness(image) > 60
        assert notes == (f"The picture at 0.2 s is blank. The thumbnail shows {shown}.",)


def test_where_all_is_black_the_first_moment_is_kept(platform: Platform, tools: Tools, tmp_path: Path) -> None:
    """It is what the video looks like."""
    image, notes = thumbnail(platform, blink(tools, tmp_path / "a.mp4", 99, 8))
    assert brightness(image) < 5
    assert notes == ("The picture at 0.2 s is blank, and there is no better one at 0.8, 2, 3, 4 s.",)


def test_a_damaged_beginning_is_passed_over(platform: Platform, tools: Tools, tmp_path: Path) -> None:
    """What follows a damaged key frame is grey with ghosts, up to the next one."""
    path = blink(tools, tmp_path / "a.mp4", 0, 8, "-g", "25", "-bf", "0", "-movflags", "+faststart")
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 2000
    content[start : start + 4000] = b"\xa5" * 4000
    path.write_bytes(content)
    _, notes = thumbnail(platform, path)
    assert "The picture at 0.2 s is damaged. The thumbnail shows 2 s." in notes


def test_the_moment_that_was_asked_for_is_shown(platform: Platform, tools: Tools, tmp_path: Path) -> None:
    """Black or not."""
    clip = blink(tools, tmp_path / "a.mp4", 1.0, 5)
    image, notes = thumbnail(platform, clip, at_seconds=0.2)
    assert (brightness(image) < 5, notes) == (True, ())


@pytest.mark.parametrize("cut", [0, 40])
def test_a_transport_stream_shows_the_first_moment_that_it_can(
    platform: Platform, tools: Tools, tmp_path: Path, cut: int
) -> None:
    """With one key frame, which nothing can be sought without; or cut before its second one, at 3 s."""
    clip, stream = blink(tools, tmp_path / "a.mp4", 0, 6, "-g", "75", "-bf", "2"), tmp_path / "a.ts"
    ffmpeg(tools, "-i", clip, "-t", "6" if cut else "2.8", "-c", "copy", "-muxdelay", "0", stream)
    stream.write_bytes(stream.read_bytes()[cut * 188 :])
    image, notes = thumbnail(platform, stream)
    exact = tmp_path / "exact.ppm"
    ffmpeg(
        tools, "-i", clip, "-vf", f"select=gte(t\\,{2.999 if cut else 0.199}),scale=640:272", "-frames:v", "1", exact
    )
    with Image.open(exact) as wanted:
        difference = ImageChops.difference(image, wanted.convert("RGB")).convert("L")
    assert (brightness(difference) <= 4, notes) == (True, ())


def test_a_moment_after_the_end_is_moved_into_the_recording(platform: Platform, tools: Tools, tmp_path: Path) -> None:
    """Though it was streamed, and does not declare its length."""
    clip, streamed = blink(tools, tmp_path / "a.mp4", 0, 2), tmp_path / "a.mkv"
    command = [tools.ffmpeg, "-v", "error", "-i", clip, "-c", "copy", "-f", "matroska", "pipe:1"]
    streamed.write_bytes(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    image, notes = thumbnail(platform, streamed, at_seconds=100)
    assert brightness(image) > 60
    assert notes == ()


def test_one_picture_under_a_long_sound_is_shown(platform: Platform, tools: Tools, tmp_path: Path) -> None:
    """The moment is clamped into the picture's length, not into that of the file."""
    path = tmp_path / "a.mp4"
    still = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=0.04", "-f", "lavfi", "-i", "sine=duration=5")
    ffmpeg(tools, *still, "-c:v", "libx264", "-c:a", "aac", path)
    image, notes = thumbnail(platform, path)
    assert (brightness(image) > 60, notes) == (True, ())


@pytest.mark.parametrize(
    ("name", "encoder"),
    [("a.h264", "libx264"), ("a.hevc", "libx265"), ("a.m2v", "mpeg2video"), ("a.ivf", "libvpx-vp9")],
)
def test_raw_streams_have_thumbnails(platform: Platform, tools: Tools, tmp_path: Path, name: str, encoder: str) -> None:
    """Streams without a container tell no times; their pictures count on from the first."""
    path = tmp_path / name
    log = ("-x265-params", "log-level=error") if encoder == "libx265" else ()
    ffmpeg(tools, "-ss", "2", "-i", real_footage("bikes.mp4"), "-t", "1", "-an", "-c:v", encoder, *log, path)
    image, notes = thumbnail(platform, path)
    assert (brightness(image) > 60, notes) == (True, ())


# --- which colours ---------------------------------------------------------------------------------------------------


def patches(size: tuple[int, int]) -> bytes:
    """The patches as raw RGB."""
    image = Image.new("RGB", size)
    for number, patch in enumerate(PATCHES):
        left, right = (size[0] * edge // len(PATCHES) for edge in (number, number + 1))
        image.paste(patch, (left, 0, right, size[1]))
    return image.tobytes()


def assert_colours(image: Image.Image) -> None:
    """Each patch is what it was, as far as 8 bits and JPEG let it be."""
    found = [off(image, patch, (number + 0.5) / len(PATCHES)) for number, patch in enumerate(PATCHES)]
    assert max(found) <= LEVELS_OFF, found


@pytest.mark.parametrize(
    "size", [(1280, 720), (720, 1280), (320, 240), (1280, 722)], ids=["hd", "portrait_hd", "sd", "hd_odd"]
)
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020", None])
@pytest.mark.parametrize("form", ["yuv420p:tv", "yuv420p:pc", "yuv420p10le:tv", "yuv444p:tv"])
def test_colours_are_those_of_the_video(
    platform: Platform, tools: Tools, tmp_path: Path, size: tuple[int, int], matrix: str | None, form: str
) -> None:
    """Whatever matrix and range it declares; if it declares none, by its size."""
    pixels, span = form.split(":")
    used = matrix or ("bt709" if min(size) >= 720 else "bt601")
    tag = f"setparams=colorspace={WORDS[used] if matrix else 'unknown'}:range={span}"
    filters = f"scale=out_color_matrix={used}:out_range={span}:flags=bicubic+accurate_rnd,format={pixels},{tag}"
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", "25", "-i", "-")
    path = tmp_path / "a.mp4"
    encoding = ("-frames:v", "1", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "4")
    ffmpeg(tools, *raw, "-vf", filters, *encoding, path, stdin=patches(size))
    assert_colours(thumbnail(platform, path)[0])


@pytest.mark.parametrize(
    ("name", "coding"),
    [
        ("a.mkv", "-c:v ffv1 -pix_fmt bgr0"),
        ("a.mov", "-c:v qtrle -pix_fmt rgb24"),
        ("a.avi", "-c:v mjpeg -q:v 1 -vf scale=out_color_matrix=bt601:out_range=full,format=yuvj420p"),
        ("a.avi", "-c:v rawvideo -pix_fmt bgr24"),
    ],
)
def test_colours_of_rgb_and_of_jpegs(platform: Platform, tools: Tools, tmp_path: Path, name: str, coding: str) -> None:
    """HD, and yet not BT.709: RGB has no matrix, and JPEG always the one of BT.601."""
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "1280x720", "-r", "25", "-i", "-")
    path = tmp_path / name
    ffmpeg(tools, *raw, *coding.split(), path, stdin=patches((1280, 720)))
    assert_colours(thumbnail(platform, path)[0])


@pytest.mark.parametrize("coding", ["prores_ks -profile:v 4444 -pix_fmt yuva444p10le", "qtrle -pix_fmt argb"])
def test_transparent_parts_lie_on_black(platform: Platform, tools: Tools, tmp_path: Path, coding: str) -> None:
    """What their pixels hold is not shown."""
    path = tmp_path / "a.mov"
    half = "color=red:s=640x360:d=1,format=rgba,geq=r=200:g=30:b=30:a='if(lt(X,320),255,0)'"
    ffmpeg(tools, "-f", "lavfi", "-i", half, "-c:v", *coding.split(), path)
    image, _ = thumbnail(platform, path)
    assert off(image, (200, 30, 30), 0.25) <= LEVELS_OFF
    assert off(image, (0, 0, 0), 0.75) <= LEVELS_OFF


def test_hdr_looks_as_in_an_export(platform: Platform, tools: Tools, tmp_path: Path) -> None:
    """Tone-mapped by the same filter; decoded as BT.709 and as JPEG, both have the same colours."""
    path = tmp_path / "a.mp4"
    tags = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv"
    pq = f"scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le,{tags}"
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "1280x720", "-r", "25", "-i", "-")
    encoding = ("-frames:v", "1", "-c:v", "libx265", "-x265-params", "log-level=error:qp=4")
    ffmpeg(tools, *raw, "-vf", pq, *encoding, path, stdin=patches((1280, 720)))
    image, _ = thumbnail(platform, path)

    to_709 = "scale=640:360:flags=lanczos:out_color_matrix=bt709:out_range=tv:out_primaries=bt709:out_transfer=bt709"
    shown = tmp_path / "shown.ppm"
    ffmpeg(tools, "-i", path, "-vf", f"{to_709}:intent=perceptual,format=yuv420p,scale,format=rgb24", shown)
    with Image.open(shown) as export:
        wanted = [export.getpixel(((2 * number + 1) * 640 // 16, 180)) for number in range(8)]
    found = [off(image, pixel, (number + 0.5) / 8) for number, pixel in enumerate(wanted)]  # pyright: ignore[reportArgumentType]
    assert max(found) <= LEVELS_OFF, found
