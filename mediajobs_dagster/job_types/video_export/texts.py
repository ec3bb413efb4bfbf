"""The texts of a timeline, set in type before anything is planned."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from mediajobs_dagster.job_types.video_export.pam import pam
from mediajobs_dagster.timelines.model import Timeline
from mediajobs_dagster.timelines.shapes import faint
from mediajobs_dagster.timelines.text.fonts import Fonts
from mediajobs_dagster.timelines.text.lettering import Lettering, Size
from mediajobs_dagster.timelines.texts import CaptionBlocks, set_text_of


@dataclass(frozen=True)
class PaintedText:
    """A title or lower third, and where its left upper corner belongs on the canvas, pixels."""

    left: int
    top: int
    size: tuple[int, int]
    packed: bytes
    """A PAM file, compressed: a canvas full of letters is a few kilobytes."""

    def content(self) -> bytes:
        """The PAM file."""
        return zlib.decompress(self.packed)


@dataclass
class Texts:
    """Every text of a timeline, by the number of its layer. It fills while the timeline is checked."""

    painted: dict[int, PaintedText] = field(default_factory=dict[int, PaintedText])
    """Titles and lower thirds."""
    captions: dict[int, CaptionBlocks] = field(default_factory=dict[int, CaptionBlocks])

    @classmethod
    def of(cls, timeline: Timeline, canvas: Size, fonts: Fonts) -> Texts:
        """The texts of a timeline without faults."""
        texts = cls()
        for number, layer in enumerate(timeline.layers):
            if (text := set_text_of(layer, canvas, fonts)) is not None:
                texts.keep(timeline, number, text)
        return texts

    def keep(self, timeline: Timeline, number: int, text: Lettering | CaptionBlocks) -> None:
        """Take what was set for the layer with that number."""
        if not isinstance(text, Lettering):
            self.captions[number] = text
            return
        opacity = getattr(timeline.layers[number], "opacity", 1.0)
        packed = zlib.compress(pam(faint(text.picture, opacity)), 1)
        self.painted[number] = PaintedText(text.left, text.top, text.picture.size, packed)
