"""Footage for all tests of exports, and the way from a timeline to what it became."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.intake.export_requests import ExportRequests
from mediajobs_dagster.media.images import image_info
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.media.tools import Tools
from tests.exports.barcodes import (
    Area,
    Footage,
    Pixels,
    Samples,
    Studio,
    decode,
    decode_sound,
    numbers_in,
    tone,
    write_wav,
)
from tests.platform import Platform


@dataclass(frozen=True)
class Export:
    """What a timeline became."""

    path: Path
    manifest: Manifest

    @cached_property
    def frames(self) -> Pixels:
        """All frames, RGB."""
        return decode(self.path)

    @cached_property
    def sound(self) -> Samples:
        """All samples, stereo."""
        return decode_sound(self.path)

    @cached_property
    def numbers(self) -> list[tuple[int, int] | None]:
        """Clip and frame that each frame shows."""
        return numbers_in(self.frames)

    def numbers_at(self, area: Area) -> list[tuple[int, int] | None]:
        """The same, of a clip that does not fill the canvas."""
        return numbers_in(self.frames, area)


@dataclass(frozen=True)
class Renders:
    """Renders timelines through the whole attempt."""

    platform: Platform

    def add(self, *paths: Path) -> None:
        """Make files known, probed."""
        runner = Runner.from_settings(self.platform.settings)
        for path in paths:
            upload = self.platform.register(path)
            is_image = path.suffix in (".png", ".jpg", ".heic", ".avif")
            info = image_info(path, 8192 * 8192) if is_image else probe(runner, str(path))
            self.platform.history.uploads.set_media_info(upload.id, info)

    def attempt(self, document: Mapping[str, Any], *sources: Footage | Path, **params: object) -> Manifest:
        """What became of one attempt at a timeline."""
        self.add(*(each.path if isinstance(each, Footage) else each for each in sources))
        exports = ExportRequests(self.platform.history, self.platform.storage)
        exports.request(exports.prepare({"version": "create_video_v1", **document}), params=params)
        (outcome,) = self.platform.work()
        attempt = self.platform.history.attempts.get(outcome.attempt_id)
        return Manifest.model_validate(attempt.manifest)

    def __call__(self, document: Mapping[str, Any], *sources: Footage | Path, **params: object) -> Export:
        """A timeline's export; references are file names. 320x180 at 30 fps, unless it says otherwise."""
        whole = {"canvas": {"width": 320, "height": 180, "fps": 30}, **document}
        manifest = self.attempt(whole, *sources, **params)
        assert not manifest.errors, f"{manifest.errors}\n{[each.stderr_tail for each in manifest.ffmpeg_commands[-1:]]}"
        (output,) = manifest.outputs
        return Export(self.platform.output(output.key), manifest)


@pytest.fixture
def render(platform: Platform) -> Renders:
    """Renders timelines on a platform of the test's own."""
    return Renders(platform)


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory, tools: Tools) -> Studio:
    """Makes footage, each once."""
    return Studio(tmp_path_factory.mktemp("footage"), tools)


@pytest.fixture(scope="session")
def thirty(studio: Studio) -> Footage:
    """Clip 1: 5 s at 30 fps, one key frame in the whole of it, B-frames."""
    return studio.clip("thirty.mp4", 1, seconds=5)


@pytest.fixture(scope="session")
def other(studio: Studio) -> Footage:
    """Clip 2: 5 s at 30 fps, a key frame every 10 frames."""
    return studio.clip("other.mp4", 2, seconds=5, options=("-g", "10", "-bf", "2"))


@pytest.fixture(scope="session")
def film(studio: Studio) -> Footage:
    """Clip 3: 4 s at 24 fps."""
    return studio.clip("film.mp4", 3, rate="24")


@pytest.fixture(scope="session")
def pal(studio: Studio) -> Footage:
    """Clip 4: 4 s at 25 fps."""
    return studio.clip("pal.mp4", 4, rate="25", options=("-g", "12", "-bf", "0"))


@pytest.fixture(scope="session")
def ntsc_film(studio: Studio) -> Footage:
    """Clip 5: 96 frames at 23.976 fps."""
    return studio.clip("ntsc_film.mp4", 5, rate="24000/1001", seconds=4.004)


@pytest.fixture(scope="session")
def sixty(studio: Studio) -> Footage:
    """Clip 6: 3 s at 60 fps."""
    return studio.clip("sixty.mp4", 6, rate="60", seconds=3)


@pytest.fixture(scope="session")
def uneven(studio: Studio) -> Footage:
    """Clip 7: frames of a 60 fps clip, 1/60 s to 11/60 s apart."""
    dropped = [frame for frame in range(1, 240) if frame % 20 in (3, 4, 5, 7, 11) or 60 < frame < 72]
    return studio.clip("uneven.mp4", 7, rate="60", seconds=4, drop=dropped)


@pytest.fixture(scope="session")
def voice(studio: Studio) -> Path:
    """2 s of clip 20's tone, with marks, as a WAV."""
    return write_wav(studio.folder / "voice.wav", tone(20, 2))


@pytest.fixture(scope="session")
def music(studio: Studio) -> Path:
    """1.5 s of clip 30's tone, without marks, as a WAV: it has to be looped to fill anything."""
    return write_wav(studio.folder / "music.wav", tone(30, 1.5, marks=False))


@pytest.fixture(scope="session")
def red(studio: Studio) -> Path:
    """A picture of 160 x 90, all in (200, 30, 60)."""
    path = studio.folder / "red.png"
    Image.new("RGB", (160, 90), (200, 30, 60)).save(path)
    return path


@pytest.fixture(scope="session")
def blue(studio: Studio) -> Path:
    """A picture of 160 x 90, all in (30, 90, 200)."""
    path = studio.folder / "blue.png"
    Image.new("RGB", (160, 90), (30, 90, 200)).save(path)
    return path
