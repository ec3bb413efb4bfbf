"""Typesets the text of a layer. This is slow, so it is done once for each text."""

from __future__ import annotations

from collections.abc import Mapping

from mediajobs_dagster.timelines.captions import set_captions, slides
from mediajobs_dagster.timelines.model import MAX_SECONDS, Captions, Layer, LowerThird, Title
from mediajobs_dagster.timelines.text.fonts import Fonts
from mediajobs_dagster.timelines.text.lettering import Block, Lettering, Size, draw_lower_third, draw_title
from mediajobs_dagster.transcripts.subtitles import read_captions

CaptionBlocks = Mapping[tuple[str, ...], Block]
"""The block of each set of captions that are shown at the same time, by their texts."""


def set_text_of(layer: Layer, canvas: Size, fonts: Fonts) -> Lettering | CaptionBlocks | None:
    """The text of a title or lower third as a picture, or captions as blocks; None if the layer has no text.

    Raises TextTooLongError, UnknownFontError, CaptionsError.
    """
    match layer:
        case Title():
            return draw_title(layer, canvas, fonts)
        case LowerThird():
            return draw_lower_third(layer, canvas, fonts)
        case Captions():
            shown = slides(read_captions(layer.text, layer.format), MAX_SECONDS)
            return set_captions(shown, layer, canvas, fonts)
        case _:
            return None
