"""How much memory a render will take, estimated from what it opens.

ffmpeg opens every input at the start, decodes the beginning of each to learn what it is, and keeps a queue of pictures
for each until the end, whenever on the timeline it is shown. So memory grows with the inputs and their pixels, and
hardly with the length. A part that is read on to (see `reading`) costs nothing of its own; layers cannot read on: an
overlay wants its first picture at the start, and all before that would pile up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mediajobs_dagster.job_types.video_export.reading import readable, source_of
from mediajobs_dagster.models import VideoStream
from mediajobs_dagster.timelines.faults import OnText, faults_of
from mediajobs_dagster.timelines.layout import Layout, Media, lay_out
from mediajobs_dagster.timelines.model import (
    ImageLayer,
    Logo,
    LowerThird,
    Picture,
    Timeline,
    Title,
    VideoLayer,
    Visualiser,
)
from mediajobs_dagster.timelines.parsing import Fault, Parsed
from mediajobs_dagster.timelines.references import references_of
from mediajobs_dagster.timelines.text.fonts import Fonts

_MIB = 1 << 20
MAX_BYTES = 4 << 30
"""An export may take no more."""

# Measured with ffmpeg 8.1 and x264, one to fifty inputs of 360p to 2160p on canvases of 360p and 1080p.
_PROGRAM_BYTES = 20 * _MIB
_CANVAS_PICTURES = 64
"""What encoder, overlays and queues hold of the canvas."""
_PICTURES_AHEAD = 8
"""What is decoded of an input before it is shown."""
_INPUT_BYTES = 5 * _MIB // 2
"""Of an input, beside its pictures: demuxer, decoders, filters."""
_TEXT_SHARE = 0.25
"""Of the canvas, that a text covers."""


def estimated_bytes(timeline: Timeline, layout: Layout, media: Media) -> int:
    """The peak memory of the render of a timeline in which `faults` found nothing else, on the safe side."""
    canvas = layout.width * layout.height
    videos = sum(_INPUT_BYTES + _PICTURES_AHEAD * _bytes_of(each) for each in _videos(timeline, layout, media))
    drawings = round(4 * sum(_drawings(timeline, layout, media)))
    voices = sum(isinstance(layer, Visualiser) for layer in timeline.layers) + len(timeline.narration)
    sounds = _INPUT_BYTES * (voices + len(timeline.music))
    return _PROGRAM_BYTES + _CANVAS_PICTURES * canvas * 3 // 2 + videos + drawings + sounds


def render_faults(
    parsed: Parsed, media: Media, fonts: Fonts, on_text: OnText = lambda _timeline, _number, _text: None
) -> list[Fault]:
    """What is wrong with a timeline, and, where nothing else is, that its render would take too much memory.

    The arguments and the result are those of `faults_of`.
    """
    found = faults_of(parsed, media, fonts, on_text)
    timeline = parsed.timeline
    if found or parsed.faults or timeline is None:
        return found
    if {reference for _, reference in references_of(timeline)} <= media.keys():
        found += _memory_faults(timeline, media)
    return found


def _memory_faults(timeline: Timeline, media: Media) -> Iterator[Fault]:
    """That a render would take too much. Nothing else may be wrong with the timeline."""
    layout = lay_out(timeline, media)
    wanted = estimated_bytes(timeline, layout, media)
    if wanted > MAX_BYTES:
        count = sum(1 for _ in _videos(timeline, layout, media))
        yield Fault(
            "$",
            f"would take about {wanted / (1 << 30):.1f} GiB of memory, for it opens {count} videos at once; "
            f"{MAX_BYTES >> 30} GiB are the most. Use fewer video layers or smaller copies of the sources, or export "
            "parts of it and join those",
        )


def _videos(timeline: Timeline, layout: Layout, media: Media) -> Iterator[VideoStream]:
    """The pictures that are decoded, once for each time that a source is opened."""
    sources = [source_of(parts[0][1]) for parts in readable(layout.segments)]
    sources += [layer.source for layer in timeline.layers if isinstance(layer, VideoLayer)]
    yield from (video for source in sources if (video := media[source].main_video))


def _bytes_of(video: VideoStream) -> int:
    # 4:2:0 has one and a half samples a pixel; those of more than 8 bits take two bytes each.
    is_deep = re.search(r"1[0-6](le|be)?$", video.pixel_format or "") is not None
    return video.width * video.height * 3 // (1 if is_deep else 2)


def _drawings(timeline: Timeline, layout: Layout, media: Media) -> Iterator[float]:
    """The pixels of each picture that we draw."""
    canvas = layout.width * layout.height
    yield from (canvas for item in timeline.track if isinstance(item, Picture))
    for layer in timeline.layers:
        if isinstance(layer, Title | LowerThird):
            yield canvas * _TEXT_SHARE
        elif isinstance(layer, ImageLayer | Logo) and (image := media[layer.source].main_video):
            width, height = image.display_size
            yield (layer.scale * layout.width) ** 2 * height / width
