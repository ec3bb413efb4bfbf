"""What has to be known before a render can be planned: faults, texts in type, what the machine can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mediajobs_dagster.errors import TimelineError
from mediajobs_dagster.job_types.material import Machine, Source, ToneMapping
from mediajobs_dagster.job_types.video_export.encoding import ExportParams, hardware_encoder
from mediajobs_dagster.job_types.video_export.memory import render_faults
from mediajobs_dagster.job_types.video_export.texts import Texts
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.timelines.model import Timeline
from mediajobs_dagster.timelines.parsing import parse_timeline
from mediajobs_dagster.timelines.references import seen_references_of
from mediajobs_dagster.timelines.text.fonts import Fonts


@dataclass(frozen=True)
class Capabilities:
    """What the machine of a render can do, as far as its plan depends on it."""

    tone_mapping: ToneMapping | None = None
    """How HDR can be tone-mapped; None: not at all, or there is none."""
    encoders: frozenset[str] = frozenset()
    """Encoders of graphics hardware that work."""
    undecodable: frozenset[str] = frozenset()
    """Codecs of the result that can be encoded and not decoded."""
    max_pixels: int = 8192 * 8192
    """The largest picture that may be decoded."""

    @classmethod
    def of(
        cls, machine: Machine, timeline: Timeline, sources: Mapping[str, Source], params: ExportParams
    ) -> Capabilities:
        """Ask the machine what this timeline and these parameters make of interest, and nothing else."""
        encoder, codec = hardware_encoder(params), params.codec.value
        return cls(
            tone_mapping=machine.tone_mapping() if hdr_references(timeline, sources) else None,
            encoders=frozenset({encoder}) if encoder and machine.works(encoder) else frozenset(),
            undecodable=frozenset() if machine.decodes(codec) else frozenset({codec}),
            max_pixels=machine.max_pixels,
        )


def hdr_references(timeline: Timeline, sources: Mapping[str, Source]) -> tuple[str, ...]:
    """The references to HDR sources that are seen."""
    seen = seen_references_of(timeline)
    videos = {reference: source.info.main_video for reference, source in sources.items() if reference in seen}
    return tuple(reference for reference, video in videos.items() if video and video.is_hdr)


@dataclass(frozen=True)
class PreparedExport:
    """What the plan of an export is made of, beside its sources and parameters."""

    timeline: Timeline
    texts: Texts
    capabilities: Capabilities


def prepare_export(
    document: JsonObject, sources: Mapping[str, Source], params: ExportParams, fonts: Fonts, machine: Machine
) -> PreparedExport:
    """Check the timeline, set its texts, and ask the machine. Raises TimelineError with every fault.

    The timeline was checked when it was asked for, but a source may have been replaced since, and this machine
    may have other fonts than the one it was asked for at.
    """
    parsed = parse_timeline(document)
    media = {reference: source.info for reference, source in sources.items()}
    texts = Texts()
    faults = [*parsed.faults, *render_faults(parsed, media, fonts, texts.keep)]
    if parsed.timeline is None or faults:
        said = "; ".join(str(fault) for fault in faults)
        error = TimelineError(
            f"The timeline does not fit its sources as they are now, and this machine's fonts: {said}."
        )
        error.faults = tuple({"path": fault.path, "message": fault.message} for fault in faults)
        raise error
    timeline = parsed.timeline
    return PreparedExport(timeline, texts, Capabilities.of(machine, timeline, sources, params))
