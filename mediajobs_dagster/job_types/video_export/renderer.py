"""The plan of an export: a timeline rendered into a video, in one ffmpeg pass.

One pass means one generation of loss and no intermediate videos. Only the sound is decoded before, if its loudness or
the beginning of speech has to be known; that takes a fraction of the time of a render.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from mediajobs_dagster.job_types.colours import TAGGED_709
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Child, Expected, Output, Plan, Run
from mediajobs_dagster.job_types.video_export.checking import Edit, checks_of
from mediajobs_dagster.job_types.video_export.drawings import Drawings
from mediajobs_dagster.job_types.video_export.encoding import (
    Encoding,
    ExportParams,
    Profile,
    encoding_of,
    hardware_encoder,
)
from mediajobs_dagster.job_types.video_export.graph import Graph
from mediajobs_dagster.job_types.video_export.job_type import FILENAME
from mediajobs_dagster.job_types.video_export.layers import Covered, Layers
from mediajobs_dagster.job_types.video_export.loudness import (
    LISTENING,
    MEASURING,
    Measured,
    printed_to,
    read_loudness,
    read_speech_starts,
)
from mediajobs_dagster.job_types.video_export.memory import estimated_bytes
from mediajobs_dagster.job_types.video_export.picture import PictureTrack, Scaling
from mediajobs_dagster.job_types.video_export.preparing import Capabilities, shown_videos
from mediajobs_dagster.job_types.video_export.reading import Opened, SegmentInputs, open_layers
from mediajobs_dagster.job_types.video_export.sound import SoundTrack
from mediajobs_dagster.job_types.video_export.texts import Texts
from mediajobs_dagster.media import command as ffmpeg
from mediajobs_dagster.models import UploadRole
from mediajobs_dagster.timelines.layout import Layout, Media, lay_out, picture_end
from mediajobs_dagster.timelines.model import Clip, Timeline, VideoLayer
from mediajobs_dagster.timelines.times import exact

_LOUDNESS_FILE = "loudness.txt"
_SPEECH_FILE = "speech.txt"
_FLAGS: dict[Profile, Literal["fast_bilinear", "bicubic", "lanczos"]] = {
    Profile.DRAFT: "fast_bilinear",
    Profile.STANDARD: "bicubic",
    Profile.HIGH: "lanczos",
}
_BITS_PER_PIXEL = 0.2
"""Bits per pixel of H.264 at the standard profile; a safe upper estimate."""
_S_PER_PIXEL = 4e-6
"""Seconds for a pixel of the output, 33 s for a picture of 4K: several times what the slowest encoder takes."""
_MEMORY_MARGIN = 2
"""The estimate is what a render usually takes. This much of it is granted, and what the slowest encoders take."""
_ENCODER_BYTES = 500
"""Bytes that the encoders of the profile `high` take for each pixel of the canvas, to look ahead."""
_SOUND_PADDING_S = 0.1
"""What the encoder of the sound may add at both ends, seconds."""
_SOUND_WEIGHT = 0.05
"""Time of a pass over the sound, relative to the render."""


@dataclass(frozen=True)
class Renderer:
    """Makes the plan of one export."""

    timeline: Timeline
    sources: Mapping[str, Source]
    """The sources of the timeline, by reference."""
    capabilities: Capabilities
    params: ExportParams
    texts: Texts = field(default_factory=Texts)
    """The texts of the timeline; empty where it has none."""

    @cached_property
    def layout(self) -> Layout:
        """The canvas, and the base track in frames."""
        return lay_out(self.timeline, self._media)

    @property
    def _memory_bytes(self) -> int:
        canvas = self.layout.width * self.layout.height
        estimate = estimated_bytes(self.timeline, self.layout, self._media)
        return _MEMORY_MARGIN * estimate + _ENCODER_BYTES * canvas

    @property
    def _media(self) -> Media:
        return {name: source.info for name, source in self.sources.items()}

    @cached_property
    def encoding(self) -> Encoding:
        """How the render is encoded."""
        wanted = hardware_encoder(self.params)
        return encoding_of(self.params, self.layout.fps, hardware_works=wanted in self.capabilities.encoders)

    def plan(self, key: str) -> Plan:
        """The plan, whose output is published under `key`. Raises HdrUnsupportedError."""
        drawings = Drawings(self.sources, self.capabilities.max_pixels)
        render = self._picture(drawings)
        layout, encoding = self.layout, self.encoding
        expected = Expected(
            width=layout.width,
            height=layout.height,
            duration_seconds=float(layout.seconds),
            duration_tolerance=float(1 / layout.fps),
            fps=float(layout.fps),
            video_codec=encoding.codec,
            audio_codec="aac",
            matrix="bt709",
            frames=layout.frames,
            sound_start=0.0,
            sound_tolerance=_SOUND_PADDING_S,
            is_decodable=self._decodes,
        )
        pixels = layout.width * layout.height * layout.frames
        return Plan(
            outputs=(
                Output(FILENAME, key, "video/mp4", expected, becomes=UploadRole.EXPORT, title=self.timeline.title),
            ),
            steps=(drawings.step, *self._preparations(), Run(lambda folder: self._command(render, folder))),
            children=tuple(
                Child(job_type, on_result=True)
                for job_type in ("upload_thumb_v1", "upload_edit_proxy_v1", "upload_audio_envelope_v1")
                if self._decodes or job_type == "upload_audio_envelope_v1"
            ),
            checks=checks_of(
                Edit(self.timeline, layout, self.sources, render.covered, drawings, self.capabilities.openings),
                FILENAME,
                _LOUDNESS_FILE if self._sounds else None,
                decodes=self._decodes,
            ),
            notes=tuple(self._notes()),
            scratch_bytes=round(pixels * _BITS_PER_PIXEL / 8) + drawings.bytes,
            work_s=pixels * _S_PER_PIXEL,
            memory_bytes=self._memory_bytes,
        )

    def preview(self) -> tuple[ffmpeg.Command, ...]:
        """The commands of the plan before anything is measured, so the gains in them are placeholders."""
        nowhere = Path("nowhere")
        drawings = Drawings(self.sources, self.capabilities.max_pixels)
        steps = [step.command for step in self._preparations()]
        before = tuple(each if isinstance(each, ffmpeg.Command) else each(nowhere) for each in steps)
        return (*before, self._render(self._picture(drawings), Measured()))

    @cached_property
    def _hdr(self) -> tuple[str, ...]:
        """The references to HDR sources whose picture is shown."""
        shown = shown_videos(self.timeline, self.sources)
        return tuple(reference for reference, video in shown.items() if video.is_hdr)

    # --- the render --------------------------------------------------------------------------------------------------

    def _picture(self, drawings: Drawings) -> _Picture:
        graph = Graph()
        scaling = Scaling(_FLAGS[self.params.profile], self.capabilities.tone_mapping, self.params.allow_untonemapped)
        openings = self.capabilities.openings
        segment_inputs = SegmentInputs(graph, self.layout.segments, self.sources, openings)
        opened = open_layers(graph, self.timeline, self.sources, openings)
        base = PictureTrack(graph, self.layout, self.timeline, segment_inputs, drawings, scaling).build()
        whole, covered = self._layers(graph, opened, drawings, scaling).build(base)
        end = [f"trim=end_frame={self.layout.frames}", TAGGED_709, *filter(None, [self.encoding.upload])]
        return _Picture(graph, graph.add("video", end, whole), covered, segment_inputs, opened)

    def _layers(self, graph: Graph, opened: Opened, drawings: Drawings, scaling: Scaling) -> Layers:
        openings = self.capabilities.openings
        return Layers(graph, self.layout, self.timeline, self.sources, openings, opened, drawings, self.texts, scaling)

    def _command(self, picture: _Picture, folder: Path) -> ffmpeg.Command:
        loudness, true_peak = read_loudness(folder / _LOUDNESS_FILE)
        starts = read_speech_starts(folder / _SPEECH_FILE) if self._has_opener else ()
        return self._render(picture, Measured(loudness, true_peak, starts))

    def _render(self, picture: _Picture, measured: Measured) -> ffmpeg.Command:
        graph = picture.graph
        mix = self._sound(graph, picture.segment_inputs, picture.layers).build(measured)
        options = ("-map", f"[{picture.pad}]", "-map", f"[{mix}]", *self.encoding.options)
        return ffmpeg.Command(
            inputs=tuple(graph.inputs),
            graph=graph.text(picture.pad, mix),
            outputs=(ffmpeg.Output(FILENAME, options),),
            media_seconds=float(self.layout.seconds),
        )

    # --- the sound beforehand ----------------------------------------------------------------------------------------

    @property
    def _has_opener(self) -> bool:
        return any(each.mode == "opener" for each in self.timeline.music)

    @property
    def _sounds(self) -> bool:
        return bool(self.timeline.narration or self.timeline.music) or any(
            isinstance(item, Clip | VideoLayer) and not item.mute and self.sources[item.source].info.main_audio
            for item in (*self.timeline.track, *self.timeline.layers)
        )

    def _preparations(self) -> Iterator[Run]:
        """The passes over the sound that the render depends on."""
        if self._has_opener:
            yield Run(self._listening(), weight=_SOUND_WEIGHT)
        if self._sounds:  # even if the loudness is not changed: the check of the result compares with it
            yield Run(self._measuring, weight=_SOUND_WEIGHT)

    def _listening(self) -> ffmpeg.Command:
        graph, sound = self._sound_alone()
        heard = graph.add(
            "listened", ["aformat=channel_layouts=mono", LISTENING, printed_to(_SPEECH_FILE)], sound.speech()
        )
        return self._sound_command(graph, heard)

    def _measuring(self, folder: Path) -> ffmpeg.Command:
        starts = read_speech_starts(folder / _SPEECH_FILE) if self._has_opener else ()
        graph, sound = self._sound_alone()
        mix = sound.bare_mix(Measured(speech_starts=starts))
        measured = graph.add("measured", [MEASURING, printed_to(_LOUDNESS_FILE)], mix)
        return self._sound_command(graph, measured)

    def _sound_alone(self) -> tuple[Graph, SoundTrack]:
        graph = Graph()
        openings = self.capabilities.openings
        segment_inputs = SegmentInputs(graph, self.layout.segments, self.sources, openings, picture=False)
        opened = open_layers(graph, self.timeline, self.sources, openings, picture=False)
        return graph, self._sound(graph, segment_inputs, opened)

    def _sound(self, graph: Graph, segment_inputs: SegmentInputs, layers: Opened) -> SoundTrack:
        openings = self.capabilities.openings
        return SoundTrack(graph, self.layout, self.timeline, self.sources, segment_inputs, openings, layers)

    def _sound_command(self, graph: Graph, pad: str) -> ffmpeg.Command:
        return ffmpeg.Command(
            inputs=tuple(graph.inputs),
            graph=graph.text(pad),
            outputs=(ffmpeg.Output("nowhere", ("-map", f"[{pad}]", "-f", "null")),),
            media_seconds=float(self.layout.seconds),
        )

    @property
    def _decodes(self) -> bool:
        return self.encoding.codec not in self.capabilities.undecodable

    def _notes(self) -> Iterator[str]:
        if not self._decodes:
            yield (
                f"This ffmpeg encodes {self.encoding.codec} but cannot decode it: the picture was not checked, and the "
                "export gets neither thumbnail nor proxy."
            )
        wanted = hardware_encoder(self.params)
        if wanted and self.encoding.encoder != wanted:
            yield f"{wanted} does not work on this machine; {self.encoding.encoder} was used instead."
        yield from self._held()
        done = "is tone-mapped" if self.capabilities.tone_mapping else "could not be tone-mapped"
        yield from (f"Upload {reference} is HDR and {done}." for reference in self._hdr)

    def _held(self) -> Iterator[str]:
        """Clips whose picture ends before their sound."""
        for segment in self.layout.segments:
            if isinstance(segment.item, Clip):
                info = self.sources[segment.item.source].info
                end, out = picture_end(info), segment.source_out
                if info.main_video and out - end >= 1 / exact(info.main_video.fps or 30.0):
                    yield (
                        f"{segment.path}: the picture of upload {segment.item.source} ends at {float(end):.3f} s; its "
                        f"last frame is held to {float(out):.3f} s."
                    )


@dataclass(frozen=True)
class _Picture:
    """A graph that has the picture but not the sound yet."""

    graph: Graph
    pad: str
    covered: tuple[Covered, ...]
    segment_inputs: SegmentInputs
    layers: Opened
