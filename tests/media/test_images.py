"""Images of users: decoded by a process of their own, whatever they declare."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from PIL import Image

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import (
    CancelledError,
    FfmpegKilledError,
    InputCorruptError,
    InputTooLargeError,
    InputTruncatedError,
    InputUnsupportedError,
)
from mediajobs_dagster.media.images import fitted_image, image_info
from tests.clips import Clips
from tests.heif_pictures import LEFT, RIGHT, of_unknown_coding, two_coloured, written
from tests.servers.mediajobs_up import command_line

MAX_PIXELS = 8192 * 8192
FORMATS = {"a.png": "PNG", "a.jpg": "JPEG", "a.webp": "WEBP", "a.gif": "GIF", "a.bmp": "BMP", "a.tif": "TIFF"}

PEAK = """
import json, resource, sys
from pathlib import Path
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.media.images import image_info
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    found = image_info(Path(sys.argv[1]), 8192 * 8192).video[0].width
except MediaJobsError as error:
    found = error.code
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([found, after - before]))
"""


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_accepted_format_is_read(tmp_path: Path, name: str) -> None:
    """Size and pixels are those of the file."""
    Image.new("RGB", (40, 30), "red").save(tmp_path / name, FORMATS[name])
    info = image_info(tmp_path / name, MAX_PIXELS)
    assert (info.is_image, info.video[0].width, info.video[0].height) == (True, 40, 30)
    picture = fitted_image(tmp_path / name, MAX_PIXELS, (20, 10), (0.5, 0.0, 0.5, 0.5))
    assert (picture.mode, picture.size) == ("RGBA", (20, 10))
    red, green, blue, alpha = picture.getpixel((10, 5))  # pyright: ignore[reportGeneralTypeIssues]
    assert red > 240
    assert max(green, blue) < 15
    assert alpha == 255


Place = tuple[float, float]


def colour_at(image: Image.Image, place: Place) -> tuple[int, ...]:
    """The pixel at shares of width and height, in steps of 64 levels."""
    found = image.getpixel((int(place[0] * image.width), int(place[1] * image.height)))
    assert isinstance(found, tuple)
    return tuple(round(level / 64) for level in found[:3])


@pytest.mark.parametrize("name", ["a.heic", "a.avif"])
@pytest.mark.parametrize(
    ("orientation", "size", "of_left", "of_right"),
    [
        (1, (90, 60), (0.1, 0.5), (0.9, 0.5)),
        (3, (90, 60), (0.9, 0.5), (0.1, 0.5)),
        (6, (60, 90), (0.5, 0.1), (0.5, 0.9)),
        (8, (60, 90), (0.5, 0.9), (0.5, 0.1)),
    ],
)
def test_photos_of_phones_stand_upright(
    tmp_path: Path, name: str, orientation: int, size: tuple[int, int], of_left: Place, of_right: Place
) -> None:
    """Both the picture's own property and EXIF tell how it is turned; it is turned once."""
    path = written(tmp_path / name, orientation=orientation)
    info = image_info(path, MAX_PIXELS)
    assert info.video[0].upright_size == size
    image = fitted_image(path, MAX_PIXELS, size)
    assert colour_at(image, of_left) == tuple(round(level / 64) for level in LEFT)
    assert colour_at(image, of_right) == tuple(round(level / 64) for level in RIGHT)


@pytest.mark.parametrize(("name", "brand"), [("a.heic", b"mif1"), ("a.heic", b"heix"), ("a.avif", b"mif1")])
def test_what_decodes_a_photo_is_told_by_all_of_its_brands(tmp_path: Path, name: str, brand: bytes) -> None:
    """The first one may only say that it is a picture; the name of the file says nothing."""
    path = written(tmp_path / name, brand=brand).rename(tmp_path / "a.jpg")
    assert image_info(path, MAX_PIXELS).video[0].upright_size == (90, 60)


def test_a_moving_picture_is_shown_as_a_still(tmp_path: Path) -> None:
    """As a GIF is: an image shows its first picture."""
    path = tmp_path / "a.avif"
    two_coloured().save(path, save_all=True, append_images=[Image.new("RGB", (90, 60))], duration=500)
    assert path.read_bytes()[8:12] == b"avis"
    assert image_info(path, MAX_PIXELS).video[0].upright_size == (90, 60)
    assert colour_at(fitted_image(path, MAX_PIXELS, (90, 60)), (0.1, 0.5)) == (3, 0, 0)


@pytest.mark.parametrize("name", ["a.heic", "a.avif"])
def test_a_photo_of_many_pixels_is_read_within_its_memory(tmp_path: Path, name: str) -> None:
    """12 megapixels, as phones take them."""
    path = written(tmp_path / name, two_coloured((4032, 3024)))
    assert image_info(path, MAX_PIXELS).video[0].upright_size == (4032, 3024)
    with pytest.raises(InputTooLargeError, match="4032x3024 pixels; the limit is 1000000"):
        image_info(path, 1_000_000)


def test_a_photo_that_nothing_here_decodes_is_not_called_corrupt(tmp_path: Path) -> None:
    """In a coding that is not known: nothing is wrong with it."""
    with pytest.raises(InputUnsupportedError, match="HEIC or AVIF picture not decodable here") as refused:
        image_info(of_unknown_coding(tmp_path / "b.heic"), MAX_PIXELS)
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("name", ["a.avif", "a.heic"])
def test_a_photo_that_was_cut_off(tmp_path: Path, name: str) -> None:
    """Some decoders leave what is missing empty, and say nothing; the error says how much it is."""
    cut, whole = tmp_path / f"cut_{name}", written(tmp_path / name)
    cut.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(InputTruncatedError, match="lacks 20 bytes"):
        image_info(cut, MAX_PIXELS)


@pytest.mark.parametrize(
    ("size", "found"),
    [((8000, 8000), 8000), ((8192, 8193), "INPUT_TOO_LARGE"), ((16383, 16383), "INPUT_TOO_LARGE")],
)
def test_pixels_take_no_memory_of_ours(clips: Clips, size: tuple[int, int], found: object) -> None:
    """Some fifty bytes that declare a wall of pixels are decoded elsewhere, or refused."""
    path = clips.wall_webp(*size)
    assert path.stat().st_size < 100
    answer = subprocess.run([sys.executable, "-c", PEAK, path], check=True, capture_output=True, text=True)
    said, grown_kib = json.loads(answer.stdout)
    assert said == found
    assert grown_kib < 50 * 1024


def test_what_does_not_decode_is_corrupt(tmp_path: Path) -> None:
    """Whatever Pillow raises about a file, it is the file's fault."""
    Image.new("RGB", (640, 480), "red").save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    for number, broken in enumerate((b"", b"GIF89a", content[:60], content[:100] + b"x" + content[101:])):
        path = tmp_path / f"{number}.png"
        path.write_bytes(broken)
        with pytest.raises(InputCorruptError):
            image_info(path, MAX_PIXELS)


def test_pixels_of_unknown_range_are_refused(tmp_path: Path) -> None:
    """Floating-point pixels could be anything."""
    Image.new("F", (8, 8)).save(tmp_path / "a.tif")
    with pytest.raises(InputUnsupportedError):
        image_info(tmp_path / "a.tif", MAX_PIXELS)


def test_reading_can_be_cancelled(tmp_path: Path) -> None:
    """An intake that is stopped does not wait for an image."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    cancel = Cancellation()
    cancel.cancel(CancelledError())
    with pytest.raises(CancelledError):
        image_info(tmp_path / "a.png", MAX_PIXELS, cancel)
    with pytest.raises(CancelledError):
        fitted_image(tmp_path / "a.png", MAX_PIXELS, (4, 4), cancel=cancel)


def test_too_many_pixels_are_named(tmp_path: Path) -> None:
    """The message has the size and the limit."""
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    with pytest.raises(InputTooLargeError, match="40x30 pixels; the limit is 1000"):
        image_info(tmp_path / "a.png", 1000)


def test_who_kills_the_reader_is_not_the_image(tmp_path: Path) -> None:
    """An operator, or the stop of a container: the image is as good as it was, and is tried again."""
    path = tmp_path / "large.png"
    Image.new("RGB", (8000, 8000)).save(path)

    def readers() -> list[psutil.Process]:
        return [each for each in psutil.Process().children() if "picture_reader" in " ".join(command_line(each))]

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(image_info, path, MAX_PIXELS)
        while not readers():
            assert not found.done(), "it was read before it could be killed"
            time.sleep(0.005)
        readers()[0].kill()
        with pytest.raises(FfmpegKilledError, match="signal 9"):
            found.result(60)
