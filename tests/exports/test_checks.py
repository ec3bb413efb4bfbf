"""What an export is held against when it is done: it must not be black by mistake, and may be on purpose."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from PIL import Image

from mediajobs_dagster.job_types.base import Check, Source
from mediajobs_dagster.job_types.video_export.checking import checks_of
from mediajobs_dagster.job_types.video_export.layout import lay_out
from mediajobs_dagster.job_types.video_export.timeline import Timeline
from mediajobs_dagster.media.command import Guards
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.media.tools import Tools
from tests.exports.barcodes import Footage, Studio
from tests.exports.conftest import Renders
from tests.exports.timelines import canvas, clip
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


@pytest.mark.parametrize("wrong", ["picture", "sound", "nothing"])
def test_what_is_missing_is_found(tmp_path: Path, studio: Studio, thirty: Footage, tools: Tools, wrong: str) -> None:
    """A black or a silent export of a source that is neither; files are laid where an attempt would have them."""
    runner = Runner(tools, Guards(threads=1, max_pixels=10**7))
    document = {"version": "create_video_v1", "track": [clip(thirty, 0, 1)]}
    timeline, info = Timeline.model_validate(document), probe(runner, str(thirty.path))
    sources = {thirty.name: Source(upload(), info, "source_0")}
    (tmp_path / "source_0").symlink_to(thirty.path)
    (tmp_path / "loudness.txt").write_text("lavfi.r128.I=-16\nlavfi.r128.true_peaks_ch0=0.5\n")
    export = tmp_path / "video.mp4"
    made = {
        "picture": ("-vf", "drawbox=color=black:t=fill"),
        "sound": ("-af", "volume=0"),
        "nothing": (),
    }[wrong]
    measured = ("-af", "loudnorm=I=-16") if wrong != "sound" else ()
    command = [tools.ffmpeg, "-v", "error", "-i", thirty.path, "-t", "1", *made, *measured, export]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    due, found = list(checks_of(timeline, lay_out(timeline, {thirty.name: info}), sources, export.name)), []
    for check in due:
        runner.run(check.command, cwd=tmp_path, report=lambda _: None)
        for finding in check.judge(tmp_path):
            (due if isinstance(finding, Check) else found).append(finding)
    expected = {"picture": ["it is black"], "sound": ["it is silent"], "nothing": []}[wrong]
    assert [finding[:11] for finding in found][: len(expected) or 1] == [each[:11] for each in expected]
