"""The references of a timeline to uploads, with their paths."""

from __future__ import annotations

from collections.abc import Iterator

from mediajobs_dagster.timelines.model import (
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


def references_of(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """Each reference with its JSON path, such as `$.track[3].source`."""
    yield from ((path, reference) for path, reference, _ in _places(timeline))


def image_references_of(timeline: Timeline) -> Iterator[tuple[str, str]]:
    """The references that have to be images, with their JSON paths."""
    yield from ((path, reference) for path, reference, wants_image in _places(timeline) if wants_image)


def seen_references_of(timeline: Timeline) -> frozenset[str]:
    """The references to videos whose picture is shown. Of other references only the sound is used."""
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
    if timeline.captions:
        yield "$.captions.transcript", timeline.captions.transcript, False
    if isinstance(timeline.canvas.background, ImageBackground):
        yield "$.canvas.background.source", timeline.canvas.background.source, True
