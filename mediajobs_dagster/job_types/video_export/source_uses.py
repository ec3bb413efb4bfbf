"""How a render reads the uploads that its timeline refers to: the whole object, or parts of it by range."""

from __future__ import annotations

from fractions import Fraction

from mediajobs_dagster.job_types.material import SOURCE, Access, SourceUse
from mediajobs_dagster.timelines.model import Clip, Still, Timeline, VideoLayer
from mediajobs_dagster.timelines.references import image_references_of, references_of

_PART_S = Fraction(120)
"""Clips that read no more than this of a source, together, read it by range; whoever reads more fetches it whole."""


def source_uses_of(timeline: Timeline) -> tuple[SourceUse, ...]:
    """How each upload is read; the first is the first clip's."""
    images = {reference for _, reference in image_references_of(timeline)}
    order = dict.fromkeys(reference for _, reference in references_of(timeline))
    return tuple(
        SourceUse(
            reference,
            Access.RANGE if reference not in images and _is_read_in_parts(timeline, reference) else Access.WHOLE,
            is_image=reference in images,
            name=f"{SOURCE}_{number}",
        )
        for number, reference in enumerate(order)
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
