"""Which uploads a timeline refers to, where, and how much of each is read."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from mediajobs_dagster.job_types.base import Access, Reading
from mediajobs_dagster.job_types.video_export.timeline import (
    Clip,
    Gap,
    ImageBackground,
    ImageLayer,
    Logo,
    Picture,
    Still,
    Timeline,
    VideoLayer,
)

_PART_S = Fraction(120)
"""Clips that read no more than this of a source, together, read it by range; whoever reads more fetches it whole."""


def references_of(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """Each reference with its JSON path, such as `$.track[3].source`."""
    yield from ((path, reference) for path, reference, _ in _places(timeline))


def image_references_of(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """Those that have to be images, with their JSON paths."""
    yield from ((path, reference) for path, reference, wants_image in _places(timeline) if wants_image)


def seen_references_of(timeline: Timeline) -> frozenset[str]:
    """The videos whose picture is shown; of others only the sound is heard."""
    items = (*timeline.track, *timeline.layers)
    return frozenset(item.source for item in items if isinstance(item, Clip | Still | VideoLayer))


def _places(timeline: Timeline) -> Iterator[tuple[str, str, bool]]:
    for index, item in enumerate(timeline.track):
        if not isinstance(item, Gap):
            yield f"$.track[{index}].source", item.source, isinstance(item, Picture)
    for index, layer in enumerate(timeline.layers):
        if isinstance(layer, VideoLayer | ImageLayer | Logo):
            yield f"$.layers[{index}].source", layer.source, not isinstance(layer, VideoLayer)
    for index, voice in enumerate(timeline.narration):
        yield f"$.narration[{index}].source", voice.source, False
    for index, music in enumerate(timeline.music):
        yield f"$.music[{index}].source", music.source, False
    if isinstance(timeline.canvas.background, ImageBackground):
        yield "$.canvas.background.source", timeline.canvas.background.source, True


def readings_of(timeline: Timeline) -> tuple[Reading, ...]:
    """How each upload is read; the first is the first clip's."""
    images = {reference for _, reference in image_references_of(timeline)}
    order = dict.fromkeys(reference for _, reference in references_of(timeline))
    return tuple(
        Reading(
            reference,
            Access.RANGE if reference not in images and _is_read_in_parts(timeline, reference) else Access.WHOLE,
            is_image=reference in images,
        )
        for reference in order
    )


def _is_read_in_parts(timeline: Timeline, reference: str) -> bool:
    read = Fraction(0)
    for part in (*timeline.track, *timeline.layers, *timeline.narration, *timeline.music):
        if isinstance(part, Still) and part.source == reference:
            read += 1
        elif isinstance(part, Clip | VideoLayer) and part.source == reference:
            if part.out is None:
                return False
            read += part.out - part.in_
        elif getattr(part, "source", None) == reference:
            return False  # sound is small, and gone through twice
    return read <= _PART_S
