"""What would take too much memory is refused before it is rendered."""

from __future__ import annotations

from typing import Any

import pytest

from mediajobs_dagster.job_types.video_export.memory import render_faults
from mediajobs_dagster.timelines.layout import Media
from mediajobs_dagster.timelines.parsing import parse_timeline
from tests.timelines.test_faults import FONTS, PICTURE, VIDEO, clip, whole


def found(document: dict[str, Any], media: Media) -> list[str]:
    """All faults, as people see them."""
    return [str(fault) for fault in render_faults(parse_timeline(document), media, FONTS)]


@pytest.mark.parametrize(
    ("size", "layers", "fits"), [((1920, 1080), 100, True), ((1920, 1080), 200, False), ((640, 360), 200, True)]
)
def test_what_opens_too_much_at_once_is_refused(size: tuple[int, int], layers: int, fits: bool) -> None:
    """Insets that follow each other are all open from the start; how long they last does not matter."""
    video = VIDEO.model_copy(update={"video": (PICTURE.model_copy(update={"width": size[0], "height": size[1]}),)})
    inset = {"kind": "video", "source": "v", "out": 0.01 * 4, "mute": True}
    document = whole(clip(), canvas={"preset": "1080p"}, layers=[{**inset, "start": k * 0.01} for k in range(layers)])
    said = found(document, {"v": video})
    assert said == [] if fits else (len(said) == 1 and "$: would take about 5." in said[0]), said


@pytest.mark.parametrize("width", [1920, 3840])
def test_fifty_clips_in_full_hd_are_within_the_limit(width: int) -> None:
    """The most clips that there may be, of a source each; in four times the pixels they are not."""
    size = {"width": width, "height": width * 9 // 16}
    video = VIDEO.model_copy(update={"video": (PICTURE.model_copy(update=size),)})
    names = [f"v{number}" for number in range(50)]
    document = whole(*(clip(name, 0, 1) for name in names), canvas={"preset": "1080p"})
    assert (found(document, dict.fromkeys(names, video)) == []) == (width == 1920)
