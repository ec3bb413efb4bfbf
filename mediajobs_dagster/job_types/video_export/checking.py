"""Looks at a finished export: is there picture and sound wherever the timeline has some, and is it as loud as wanted?

Key frames alone are decoded, which takes a hundredth of the time of decoding all, and the whole sound. A source may be
black or silent itself; so what looks empty is held against the source at that very moment before it is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

from mediajobs_dagster.job_types.base import Check, Source
from mediajobs_dagster.job_types.video_export.graph import decimal
from mediajobs_dagster.job_types.video_export.layout import Layout, Segment, fitted
from mediajobs_dagster.job_types.video_export.loudness import (
    MEASURING_LOUDNESS,
    SILENT_LUFS,
    Measured,
    printed_to,
    read_loudness,
)
from mediajobs_dagster.job_types.video_export.picture import crop_filter, cropped, video_of
from mediajobs_dagster.job_types.video_export.timeline import Clip, ImageLayer, Logo, Timeline, VideoLayer
from mediajobs_dagster.job_types.video_export.times import exact
from mediajobs_dagster.media.command import Command, Input, Output

_BLACK = 20.0
"""Mean luma, of 16 to 235, up to which a picture counts as black."""
_LARGE = 0.5
"""Layers that together have up to this share of the canvas's width leave enough of a clip to be seen."""
_LOUDNESS_OFF_LU = 1.5
_MOST_SAMPLES = 40
_PICTURE_FILE, _SOUND_FILE = "check_picture.txt", "check_sound.txt"


def checks_of(
    timeline: Timeline, layout: Layout, sources: Mapping[str, Source], filename: str, *, decodes: bool = True
) -> tuple[Check, ...]:
    """The checks of an export; only of its sound where this ffmpeg encodes a picture that it cannot decode."""
    checked = _Export(timeline, layout, sources)
    hearing = f"{MEASURING_LOUDNESS},{printed_to(_SOUND_FILE)}"
    inputs, outputs = [Input(filename, ("-vn",))], [Output("nowhere", ("-map", "0:a", "-af", hearing, "-f", "null"))]
    if decodes:
        # In one command: decoding key frames keeps one core busy, and meanwhile another one hears the sound.
        shown = ("-map", "1:v", "-vf", _luma(_PICTURE_FILE), "-fps_mode", "passthrough", "-f", "null")
        # The other frames are not even read (`-discard`), and no edges are smoothed that become 64 pixels wide anyway.
        looking = ("-discard:v", "nokey", "-skip_frame", "nokey", "-skip_loop_filter", "all")
        inputs.append(Input(filename, ("-an", *looking)))
        outputs.append(Output("nowhere", shown))
    return (Check(Command(inputs=tuple(inputs), outputs=tuple(outputs)), checked.judge),)


@dataclass(frozen=True)
class _Export:
    timeline: Timeline
    layout: Layout
    sources: Mapping[str, Source]

    def judge(self, folder: Path) -> Iterator[str | Check]:
        """What is wrong with the picture and with the sound."""
        yield from self.judge_picture(folder)
        yield from self.judge_sound(folder)

    def judge_picture(self, folder: Path) -> Iterator[str | Check]:
        """What is black although a clip is shown there."""
        looked_at = 0
        for at, luma in _values(folder / _PICTURE_FILE, "lavfi.signalstats.YAVG"):
            segment = self._segment_at(at)
            if luma > _BLACK or segment is None or self._is_covered(at) or looked_at >= _MOST_SAMPLES:
                continue
            looked_at += 1
            clip = segment.item
            assert isinstance(clip, Clip)
            if video_of(self.sources[clip.source]).is_hdr:  # its luma is another scale
                continue
            moment = clip.in_ + (exact(at) - segment.first / self.layout.fps) * exact(clip.speed)
            yield self._source_check(clip, max(Fraction(0), moment), at, looked_at)

    def judge_sound(self, folder: Path) -> Iterator[str]:
        """Whether it is as loud as wanted; one gain cannot make it so where the limiter had to hold much back."""
        loudness, _ = read_loudness(folder / _SOUND_FILE)
        wanted = self.timeline.loudness
        before, peak = read_loudness(folder / "loudness.txt")
        if wanted is None or before < SILENT_LUFS:
            return
        if loudness < SILENT_LUFS:
            yield "it is silent, and the timeline is not"
            return
        gain = Measured(before, peak).gain_to(wanted.target)
        limited = peak + gain > wanted.true_peak
        if not limited and abs(loudness - (before + gain)) > _LOUDNESS_OFF_LU:
            yield f"its loudness is {loudness:.1f} LUFS, expected {before + gain:.1f}"

    def _segment_at(self, seconds: float) -> Segment | None:
        """The clip that is shown there, and nothing else: neither a dissolve nor a fade."""
        frame = round(seconds * float(self.layout.fps))
        for number, segment in enumerate(self.layout.segments):
            following = self.layout.segments[number + 1] if number + 1 < len(self.layout.segments) else None
            first = segment.first + segment.dissolve + (segment.fade_in.frames if segment.fade_in else 0)
            end = segment.end - segment.held - (segment.fade_out.frames if segment.fade_out else 0)
            end -= following.dissolve if following else 0
            if first <= frame < end and isinstance(segment.item, Clip):
                return segment
        return None

    def _is_covered(self, at: float) -> bool:
        """Whether something lies over most of the clips there, and may be black itself."""
        pictures = (each for each in self.timeline.layers if isinstance(each, VideoLayer | ImageLayer | Logo))
        return sum(layer.scale for layer in pictures if layer.start <= at) > _LARGE

    def _source_check(self, clip: Clip, moment: Fraction, at: float, number: int) -> Check:
        source = self.sources[clip.source]
        file = f"check_source{number}.txt"
        video = video_of(source)
        canvas = self.layout.width, self.layout.height
        width, height = fitted(*cropped(video.display_size, clip.crop), canvas, cover=clip.fit == "cover")
        share = min(1.0, width * height / (canvas[0] * canvas[1]))
        looking = ",".join((*crop_filter(clip.crop), _luma(file)))
        command = Command(
            inputs=(Input(source.name, ("-an", "-ss", decimal(moment))),),
            outputs=(Output("nowhere", ("-map", f"0:{video.index}", "-frames:v", "1", "-vf", looking, "-f", "null")),),
        )
        return Check(command, partial(_black_only_here, file, clip.source, share, at))


def _black_only_here(file: str, reference: str, share: float, at: float, folder: Path) -> Iterable[str]:
    """`share` of the canvas is what the source fills."""
    lumas = [luma for _, luma in _values(folder / file, "lavfi.signalstats.YAVG")]
    if lumas and (lumas[0] - _BLACK) * share > _BLACK:
        yield f"it is black at {at:.2f} s, where upload {reference} is not"


def _luma(file: str) -> str:
    return f"scale=64:36:flags=fast_bilinear,format=yuv420p,signalstats,metadata=mode=print:file={file}"


def _values(file: Path, key: str) -> Iterator[tuple[float, float]]:
    """Time, seconds, and value of what ffmpeg's `metadata` filter printed."""
    at = 0.0
    for line in file.read_text().splitlines() if file.exists() else ():
        if found := re.search(r"pts_time:(\S+)", line):
            at = float(found[1])
        elif line.startswith(f"{key}="):
            yield at, float(line.partition("=")[2])
