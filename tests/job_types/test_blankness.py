"""Which frames of real footage count as a picture, and which as nothing to look at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mediajobs_dagster.errors import OutputInvalidError
from mediajobs_dagster.job_types.blankness import is_blank
from mediajobs_dagster.media.tools import Tools
from tests.clips import real_footage

SIZE = (640, 360)
NOISE = np.random.default_rng(1).normal(0, 1, (SIZE[1], SIZE[0], 3))


def saved(folder: Path, picture: Image.Image) -> Path:
    """The picture as a thumbnail would be kept."""
    picture.save(folder / "a.jpg", quality=90)
    return folder / "a.jpg"


def noisy(level: int, grain: float) -> Image.Image:
    """A grey area with the grain of a sensor."""
    return Image.fromarray(np.clip(level + grain * NOISE, 0, 255).astype(np.uint8))


def titled(ground: str, ink: str, share: float) -> Image.Image:
    """A ground with a mark in the middle that covers a share of it."""
    picture = Image.new("RGB", SIZE, ground)
    edge = (share * SIZE[0] * SIZE[1]) ** 0.5
    middle = SIZE[0] / 2, SIZE[1] / 2
    box = (middle[0] - edge / 2, middle[1] - edge / 2, middle[0] + edge / 2, middle[1] + edge / 2)
    ImageDraw.Draw(picture).rectangle(box, fill=ink)
    return picture


@pytest.mark.parametrize("colour", ["black", "white", "#808080", "#0000ff", "#c83232", "#101010"])
def test_one_colour_is_blank(tmp_path: Path, colour: str) -> None:
    """A slate, whatever its colour."""
    assert is_blank(saved(tmp_path, Image.new("RGB", SIZE, colour)))


@pytest.mark.parametrize(("level", "grain"), [(16, 6), (3, 12), (128, 8), (250, 8)])
def test_grain_is_no_picture(tmp_path: Path, level: int, grain: float) -> None:
    """Black is never quite black in a camera."""
    assert is_blank(saved(tmp_path, noisy(level, grain)))


@pytest.mark.parametrize(
    ("ground", "ink", "share"),
    [("black", "white", 0.003), ("black", "#c83232", 0.02), ("white", "black", 0.003), ("#202020", "#a0a0a0", 0.02)],
)
def test_a_logo_on_a_ground_is_a_picture(tmp_path: Path, ground: str, ink: str, share: float) -> None:
    """Somebody made it to be seen."""
    assert not is_blank(saved(tmp_path, titled(ground, ink, share)))


def test_two_colours_of_one_brightness_are_a_picture(tmp_path: Path) -> None:
    """Luma alone would see nothing in it."""
    picture = Image.new("RGB", SIZE, (200, 60, 60))
    picture.paste((60, 119, 108), (0, 0, SIZE[0] // 2, SIZE[1]))
    luma = np.asarray(picture.convert("L"))
    assert int(luma.max()) - int(luma.min()) < 4
    assert not is_blank(saved(tmp_path, picture))


@pytest.mark.parametrize("name", ["bigbuckbunny.mp4", "bikes.mp4"])
@pytest.mark.parametrize(("light", "blank"), [(1.0, False), (0.6, False), (0.15, True), (0.05, True), (0.0, True)])
def test_a_fade_from_black_is_blank_until_something_can_be_made_out(
    tmp_path: Path, tools: Tools, name: str, light: float, blank: bool
) -> None:
    """Real footage, with a share of its light."""
    path = tmp_path / "a.jpg"
    dimmed = ("-vf", f"colorchannelmixer=rr={light}:gg={light}:bb={light},scale=640:-2", "-q:v", "3")
    command = [tools.ffmpeg, "-v", "error", "-ss", "2", "-i", real_footage(name), *dimmed, "-frames:v", "1", path]
    subprocess.run(command, check=True)
    assert is_blank(path) == blank


@pytest.mark.parametrize("size", [(1, 1), (640, 1), (1, 640), (3, 2)])
def test_any_size_can_be_judged(tmp_path: Path, size: tuple[int, int]) -> None:
    """A thumbnail of a strip is a strip."""
    assert is_blank(saved(tmp_path, Image.new("RGB", size, "black")))


def test_what_is_no_picture_is_an_invalid_output(tmp_path: Path) -> None:
    """Not an error of the operating system."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(OutputInvalidError, match="cannot be decoded"):
        is_blank(path)
