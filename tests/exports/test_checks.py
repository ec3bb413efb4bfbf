"""What an export is held against when it is done: it must not be black or silent by mistake, and may be on purpose."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Check, Plan, Run
from mediajobs_dagster.job_types.video_export.encoding import ExportParams, Profile
from mediajobs_dagster.job_types.video_export.export import Renderer
from mediajobs_dagster.job_types.video_export.preparing import Capabilities
from mediajobs_dagster.job_types.video_export.texts import Texts
from mediajobs_dagster.media.command import Command, Guards
from mediajobs_dagster.media.images import image_info
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.timelines.model import Timeline
from mediajobs_dagster.timelines.text.fonts import Fonts
from tests.exports.barcodes import Footage, Studio, tone, write_wav
from tests.exports.conftest import Renders
from tests.exports.timelines import canvas, clip, gap, image
from tests.job_types.planning import make_calls
from tests.job_types.sources import upload


@pytest.mark.parametrize("side", ["dark", "light"])
def test_a_dark_part_of_a_light_picture(render: Renders, studio: Studio, side: str) -> None:
    """Cropped to what is black in the source, the export is black, and right."""
    half = studio.half_dark("half.mp4")
    crop = {"x": 0.55 if side == "dark" else 0.05, "width": 0.4}
    export = render({"track": [clip(half, 0, 0.5, crop=crop, fit="cover")]}, half)
    assert (export.frames.mean() < 10) == (side == "dark")


def test_a_picture_that_is_covered(render: Renders, studio: Studio, thirty: Footage) -> None:
    """A black card over the whole canvas is no fault."""
    card = studio.folder / "card.png"
    Image.new("RGB", (320, 180)).save(card)
    layer = {"kind": "image", "source": card.name, "scale": 1}
    export = render({"track": [clip(thirty, 0, 0.5)], "layers": [layer]}, thirty, card)
    assert export.frames.max() < 10


def test_a_narrow_picture(render: Renders, studio: Studio) -> None:
    """Most of the canvas is black around it."""
    dim = studio.plain("dim.mp4", (60, 60, 60), "bt709", "bt709")
    export = render({"canvas": canvas(64, 720), "track": [clip(dim, 0, 0.3)]}, dim)
    assert export.frames.mean() < 10


# --- what hides the base track ---------------------------------------------------------------------------------------


@pytest.fixture
def card(studio: Studio) -> Path:
    """A black picture of 160 x 90."""
    path = studio.folder / "black_card.png"
    Image.new("RGB", (160, 90)).save(path)
    return path


@pytest.mark.parametrize("kind", ["image", "title", "captions", "video"])
def test_what_is_bright_is_hidden(render: Renders, studio: Studio, card: Path, kind: str) -> None:
    """All that is not black of a clip lies behind a layer, which is black itself."""
    lettered = studio.lettered("lettered.mp4")
    box = {"size": 0.3, "color": "#000000", "box": {"color": "#000000", "padding": 0.5}}
    cues = "1\n00:00:00,000 --> 00:00:03,000\nBlack"
    black = studio.plain("black.mp4", (0, 0, 0), "bt709", "bt709")
    layer = {
        "image": {"kind": "image", "source": card.name},
        "title": {"kind": "title", "text": "Black", "duration": 3, "style": box},
        "captions": {"kind": "captions", "format": "srt", "text": cues, "style": box, "place": "middle"},
        "video": {"kind": "video", "source": black.name, "scale": 0.5, "position": {"x": 0.5, "y": 0.5}},
    }[kind]
    export = render({"track": [clip(lettered, 0, 0.5)], "layers": [layer]}, lettered, card, black)
    assert export.frames[10].mean() < 10


def test_what_slides_away_hides_its_way(render: Renders, studio: Studio, card: Path) -> None:
    """At the key frame at 2 s the card is half gone, and what it hides no longer lies where it stood."""
    lettered = studio.lettered("lettered.mp4")
    layer = {"kind": "image", "source": card.name, "duration": 2.1, "exit": {"kind": "slide", "side": "right"}}
    render({"track": [clip(lettered, 0, 2.1)], "layers": [layer]}, lettered, card)


def test_pictures_that_are_black_on_purpose(render: Renders, studio: Studio, card: Path) -> None:
    """A black image, one that is white where nothing of it is seen, and a still of what is black."""
    clear = studio.folder / "clear_white.png"
    Image.new("RGBA", (160, 90), (255, 255, 255, 0)).save(clear)
    half = studio.half_dark("half.mp4")
    still = {"kind": "still", "source": half.name, "duration": 1, "crop": {"x": 0.55, "width": 0.4}, "fit": "cover"}
    export = render({"track": [image(card, 2), image(clear, 2), still]}, card, clear, half)
    assert export.frames.mean() < 10


# --- what is wrong ---------------------------------------------------------------------------------------------------


@dataclass
class Workshop:
    """A folder with an export in it, which can be spoilt."""

    folder: Path
    runner: Runner
    tools: Tools
    plan: Plan = field(init=False)

    def render(self, document: Mapping[str, Any], *sources: Footage | Path) -> None:
        """As an attempt does it."""
        made: dict[str, Source] = {}
        for number, each in enumerate(sources):
            path = each.path if isinstance(each, Footage) else each
            is_image = path.suffix == ".png"
            info = image_info(path, 10**7) if is_image else probe(self.runner, str(path))
            made[path.name] = Source(upload(id=path.name), info, f"source_{number}")
            (self.folder / f"source_{number}").symlink_to(path)
        whole = {"version": "create_video_v1", "canvas": {"width": 320, "height": 180, "fps": 30}, **document}
        params = ExportParams(profile=Profile.DRAFT)
        timeline = Timeline.model_validate(whole)
        texts = Texts.of(timeline, (320, 180), Fonts())
        self.plan = Renderer(timeline, made, Capabilities(), params, texts).plan("renders/key")
        make_calls(self.plan, self.folder)
        for step in self.plan.steps:
            if isinstance(step, Run):
                self._run(step.command if isinstance(step.command, Command) else step.command(self.folder))

    def spoil(self, *options: str) -> None:
        """Put the export through ffmpeg."""
        export, before = self.folder / "video.mp4", self.folder / "before.mp4"
        export.rename(before)
        command = [self.tools.ffmpeg, "-v", "error", "-i", before, *options, export]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def found(self) -> list[str]:
        """What the plan's checks say of it."""
        due, found = list(self.plan.checks), list[str]()
        for check in due:
            self._run(check.command)
            for finding in check.judge(self.folder):
                if isinstance(finding, Check):
                    due.append(finding)
                else:
                    found.append(finding)
        return found

    def _run(self, command: Command) -> None:
        self.runner.run(command, cwd=self.folder, report=lambda _: None)


@pytest.fixture
def workshop(tmp_path: Path, tools: Tools) -> Workshop:
    """An empty one."""
    return Workshop(tmp_path, Runner(tools, Guards(threads=1, max_pixels=10**7)), tools)


BLACK = ("-vf", "drawbox=color=black:t=fill")


@pytest.mark.parametrize("wrong", ["picture", "sound", "nothing"])
def test_what_is_missing_is_found(workshop: Workshop, thirty: Footage, wrong: str) -> None:
    """A black or a silent export of a source that is neither."""
    workshop.render({"track": [clip(thirty, 0, 1)]}, thirty)
    workshop.spoil(*{"picture": BLACK, "sound": ("-af", "volume=0"), "nothing": ()}[wrong])
    expected = {"picture": ["it is black"], "sound": ["it is silent"], "nothing": []}[wrong]
    assert [finding[:11] for finding in workshop.found()] == [each[:11] for each in expected]


@pytest.mark.parametrize("kind", ["still", "image"])
def test_what_stands_still_is_looked_at_too(workshop: Workshop, thirty: Footage, red: Path, kind: str) -> None:
    item = image(red, 1) if kind == "image" else {"kind": "still", "source": thirty.name, "at": 1, "duration": 1}
    workshop.render({"track": [item]}, thirty, red)
    assert workshop.found() == []
    workshop.spoil(*BLACK)
    assert workshop.found() == [f"it is black at 0.00 s, where upload {item['source']} is not"]


def test_what_lies_beside_a_layer_or_after_it_is_looked_at(
    workshop: Workshop, studio: Studio, thirty: Footage, card: Path
) -> None:
    """At 0 s a card hides all that is bright, at 2 s it is gone, and at 4 s it hides a part."""
    lettered = studio.lettered("lettered.mp4")
    layers = [
        {"kind": "image", "source": card.name, "duration": 1},
        {"kind": "image", "source": card.name, "start": 3, "scale": 0.3},
    ]
    workshop.render({"track": [clip(lettered, 0, 3), clip(thirty, 0, 2)], "layers": layers}, lettered, thirty, card)
    assert workshop.found() == []
    workshop.spoil(*BLACK, "-g", "250", "-force_key_frames", "0,2,4")
    assert [finding[:20] for finding in workshop.found()] == ["it is black at 2.00 ", "it is black at 4.00 "]


SPOILT = {"silent": "volume=0:enable='between(t,2,3)'", "softer": "volume=-12dB:enable='between(t,2,3)'"}


@pytest.mark.parametrize("loudness", [{"target": -20}, None], ids=["measured", "as it is"])
@pytest.mark.parametrize("how", SPOILT)
def test_a_part_that_is_not_heard_is_found(
    workshop: Workshop, thirty: Footage, other: Footage, loudness: dict[str, Any] | None, how: str
) -> None:
    """One clip of three: of the whole it makes a difference of less than 2 LU."""
    track = [clip(thirty, 0, 2), clip(other, 0, 1), clip(thirty, 2, 4)]
    workshop.render({"track": track, "loudness": loudness}, thirty, other)
    assert workshop.found() == []
    workshop.spoil("-c:v", "copy", "-af", SPOILT[how])
    assert "it is too soft at 2." in " ".join(workshop.found())


def test_a_narration_that_is_not_heard_is_found(workshop: Workshop, voice: Path, music: Path) -> None:
    """The music under it is."""
    narration = {"source": voice.name, "start": 1, "out": 1.5}
    bed = {"source": music.name, "mode": "mix", "gainDb": -24}
    workshop.render({"track": [gap(4)], "narration": [narration], "music": [bed], "loudness": None}, voice, music)
    assert workshop.found() == []
    workshop.spoil("-c:v", "copy", "-af", "volume=-24dB:enable='between(t,1,2.5)'")
    assert "it is too soft at 1." in " ".join(workshop.found())


@pytest.mark.parametrize(("off", "fault"), [("0dB", ""), ("-29dB", "its loudness is"), ("6dB", "its loudness is")])
def test_loudness_where_the_limiter_works(
    workshop: Workshop, studio: Studio, other: Footage, off: str, fault: str
) -> None:
    """It makes softer, but only so much, and never louder."""
    peaks = tone(41, 3, level=0.05)
    peaks[::4800] = 0.9
    clicks = write_wav(studio.folder / "clicks.wav", peaks)
    workshop.render({"track": [gap(3)], "narration": [{"source": clicks.name}]}, clicks)
    assert workshop.found() == []
    workshop.spoil("-c:v", "copy", "-af", f"volume={off}")
    assert [finding[:15] for finding in workshop.found()[:1]] == [fault] * bool(fault)


def test_noise_is_no_fault(workshop: Workshop, studio: Studio) -> None:
    """Loud, soft and bursting: what the codec makes of it is near enough at each moment."""
    random = np.random.default_rng(1)
    noise = random.normal(0, 0.1, 4 * 48_000)
    noise[48_000:96_000] *= 0.02
    noise[96_000:144_000] *= np.repeat(random.integers(0, 2, 48), 1000)
    path = write_wav(studio.folder / "noise.wav", noise.astype(np.float32))
    workshop.render({"track": [gap(4)], "narration": [{"source": path.name}], "loudness": None}, path)
    assert workshop.found() == []
