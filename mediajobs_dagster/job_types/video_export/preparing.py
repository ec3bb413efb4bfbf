"""What has to be known before a render is planned: faults, typeset texts, what the machine can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mediajobs_dagster.errors import TimelineError
from mediajobs_dagster.job_types.material import Machine, Source, ToneMapping
from mediajobs_dagster.job_types.video_export.encoding import ExportParams, hardware_encoder
from mediajobs_dagster.job_types.video_export.memory import render_faults
from mediajobs_dagster.job_types.video_export.openings import Openings
from mediajobs_dagster.job_types.video_export.reading import picture_starts
from mediajobs_dagster.job_types.video_export.texts import Texts
from mediajobs_dagster.models import JsonObject, VideoStream
from mediajobs_dagster.timelines.layout import lay_out
from mediajobs_dagster.timelines.model import Timeline, VideoLayer
from mediajobs_dagster.timelines.parsing import parse_timeline
from mediajobs_dagster.timelines.references import seen_references_of
from mediajobs_dagster.timelines.text.fonts import Fonts


@dataclass(frozen=True)
class Capabilities:
    """What the machine can do, as far as the plan depends on it."""

    tone_mapping: ToneMapping | None = None
    """How HDR and wide colours are brought to BT.709; None: not at all, or the timeline has none."""
    encoders: frozenset[str] = frozenset()
    """Hardware encoders that work."""
    undecodable: frozenset[str] = frozenset()
    """Codecs of the result that can be encoded but not decoded."""
    openings: Openings = field(default_factory=Openings)
    """Where sources are opened."""
    max_pixels: int = 8192 * 8192
    """The largest picture that may be decoded."""

    @classmethod
    def of(
        cls, machine: Machine, timeline: Timeline, sources: Mapping[str, Source], params: ExportParams
    ) -> Capabilities:
        """Ask the machine only what this timeline and these parameters depend on."""
        shown = shown_videos(timeline, sources)
        encoder, codec = hardware_encoder(params), params.codec.value
        segments = lay_out(timeline, {name: source.info for name, source in sources.items()}).segments
        layers = ((sources[each.source], each.in_) for each in timeline.layers if isinstance(each, VideoLayer))
        return cls(
            openings=Openings.find(machine, (*picture_starts(segments, sources), *layers)),
            tone_mapping=machine.tone_mapping() if any(each.is_wide for each in shown.values()) else None,
            encoders=frozenset({encoder}) if encoder and machine.works(encoder) else frozenset(),
            undecodable=frozenset() if machine.decodes(codec) else frozenset({codec}),
            max_pixels=machine.max_pixels,
        )


def shown_videos(timeline: Timeline, sources: Mapping[str, Source]) -> dict[str, VideoStream]:
    """The picture of each source whose picture is shown, by references."""
    seen = seen_references_of(timeline)
    videos = {reference: source.info.main_video for reference, source in sources.items() if reference in seen}
    return {reference: video for reference, video in videos.items() if video}


@dataclass(frozen=True)
class PreparedExport:
    """What the plan of an export needs besides its sources and parameters."""

    timeline: Timeline
    texts: Texts
    capabilities: Capabilities


def prepare_export(
    document: JsonObject, sources: Mapping[str, Source], params: ExportParams, fonts: Fonts, machine: Machine
) -> PreparedExport:
    """Check the timeline, typeset its texts, and ask the machine. Raises TimelineError with every fault.

    The timeline was checked when the export was requested. But a source may have been replaced since, and this machine
    may have other fonts than the one that took the request.
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
