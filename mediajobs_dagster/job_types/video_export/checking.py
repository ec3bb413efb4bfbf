"""Checks a finished export: is there picture and sound wherever the timeline has some, and is the loudness right?

It decodes the whole sound, but only key frames, which takes a hundredth of the time of decoding all frames. A source
may be black itself. So a black frame is compared with the source at that time before it is a fault, and only where no
layer covers it. The sound is compared with the mix that was measured before the render, ten times a second.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

from mediajobs_dagster.job_types.geometry import decoding_options, whole_and_upright
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Check
from mediajobs_dagster.job_types.video_export.drawings import Drawings
from mediajobs_dagster.job_types.video_export.graph import decimal
from mediajobs_dagster.job_types.video_export.layers import Covered
from mediajobs_dagster.job_types.video_export.loudness import (
    MEASURING_LOUDNESS,
    SILENT_LUFS,
    UNASKED_PEAK_DB,
    Measured,
    printed_to,
    read_loudness,
)
from mediajobs_dagster.job_types.video_export.openings import Openings
from mediajobs_dagster.job_types.video_export.picture import covering, crop_filter, cropped, middle, video_of
from mediajobs_dagster.media.command import Command, Drawing, Input, Output
from mediajobs_dagster.timelines.layout import Layout, Segment, fitted
from mediajobs_dagster.timelines.model import Clip, Picture, Still, Timeline
from mediajobs_dagster.timelines.times import exact

_BLACK = 20.0
"""Mean luma, of 16 to 235, up to which a picture counts as black."""
_NOT_BLACK = 2 * _BLACK
_LOUDNESS_OFF_LU = 1.5
_CODEC_LU = 1.5
"""How much softer the codec may make it, LU: it drops the highest frequencies, of which noise has many."""
_MOMENT_OFF_LU = 6.0
"""How much 0.4 s of sound may differ, LU. The codec changes single moments more than the whole."""
_MOMENTS = 4
"""How many moments in a row, a tenth of a second each, have to differ for a fault."""
_AUDIBLE_LUFS = -50.0
_MOST_SAMPLES = 40
_PICTURE_FILE, _SOUND_FILE = "check_picture.txt", "check_sound.txt"


@dataclass(frozen=True)
class Edit:
    """The edit that an export is compared with."""

    timeline: Timeline
    layout: Layout
    sources: Mapping[str, Source]
    covered: tuple[Covered, ...]
    """The areas of the base track that layers may hide."""
    drawings: Drawings
    openings: Openings


def checks_of(edit: Edit, filename: str, loudness_file: str | None, *, decodes: bool = True) -> tuple[Check, ...]:
    """The checks of an export; only of its sound if this ffmpeg cannot decode the picture (`decodes` is False).

    `loudness_file` has the loudness of the mix, measured before the render; None: the timeline has no sound.
    """
    checked = _Export(edit, loudness_file)
    hearing = f"{MEASURING_LOUDNESS},{printed_to(_SOUND_FILE)}"
    inputs, outputs = [Input(filename, ("-vn",))], [Output("nowhere", ("-map", "0:a", "-af", hearing, "-f", "null"))]
    if decodes:
        # In the same command, so that one core decodes key frames while another decodes the sound.
        shown = ("-map", "1:v", "-vf", _luma(_PICTURE_FILE), "-fps_mode", "passthrough", "-f", "null")
        # The other frames are read but not decoded: if they are discarded (`-discard`), ffmpeg takes the last key frame
        # for an earlier one. The loop filter is skipped, because the picture is scaled to 64 pixels anyway.
        looking = ("-skip_frame", "nokey", "-skip_loop_filter", "all")
        inputs.append(Input(filename, ("-an", *looking)))
        outputs.append(Output("nowhere", shown))
    return (Check(Command(inputs=tuple(inputs), outputs=tuple(outputs)), checked.judge),)


@dataclass(frozen=True)
class _Export:
    edit: Edit
    loudness_file: str | None

    def judge(self, folder: Path) -> Iterator[str | Check]:
        """The faults of picture and sound, and further checks."""
        yield from self.judge_picture(folder)
        if self.loudness_file:
            yield from self.judge_sound(folder / _SOUND_FILE, folder / self.loudness_file)

    # --- the picture -------------------------------------------------------------------------------------------------

    def judge_picture(self, folder: Path) -> Iterator[Check]:
        """For each black frame, a check of its source."""
        looked_at = 0
        for at, luma in _values(folder / _PICTURE_FILE, "lavfi.signalstats.YAVG"):
            frame = round(at * float(self.edit.layout.fps))
            segment = self._segment_at(frame)
            if luma <= _BLACK and segment is not None and looked_at < _MOST_SAMPLES:
                looked_at += 1
                yield from self._source_check(segment, frame, looked_at)

    def _segment_at(self, frame: int) -> Segment | None:
        """The segment that a frame shows; None within a dissolve or a fade."""
        segments = self.edit.layout.segments
        for segment, following in zip(segments, [*segments[1:], None], strict=True):
            first = segment.first + segment.dissolve + (segment.fade_in.frames if segment.fade_in else 0)
            end = segment.end - segment.held - (segment.fade_out.frames if segment.fade_out else 0)
            end -= following.dissolve if following else 0
            if first <= frame < end:
                return segment
        return None

    def _source_check(self, segment: Segment, frame: int, number: int) -> Iterator[Check]:
        """Place the source's picture on a black canvas as the render does, and blacken what layers may hide.

        If the result is not black, the export is wrong, because it must show at least as much.
        """
        item, edit = segment.item, self.edit
        if not isinstance(item, Clip | Still | Picture):
            return
        if isinstance(item, Picture):
            drawing = edit.drawings.image(item.source, edit.layout, item.fit, item.crop)
            opened: Input | Drawing = drawing
            showing = ("-map", "0:v", "-frames:v", "1")
            placing = ("format=gbrap,premultiply=inplace=1", *self._placed(edit.drawings.size_of(drawing)))
        else:
            video = video_of(edit.sources[item.source])
            # The luma of HDR has another scale. And a source that is opened where its frames were looked for is not
            # looked at again.
            if video.is_hdr or edit.openings.is_sought(edit.sources[item.source]):
                return
            opened, count = self._moment(segment, item, frame)
            showing = ("-map", f"0:{video.index}", "-frames:v", str(count))
            canvas = edit.layout.width, edit.layout.height
            crop = covering(video, item.crop, canvas) if item.fit == "cover" else item.crop
            size = fitted(*cropped(video.display_size, crop), canvas, cover=item.fit == "cover")
            placing = (*whole_and_upright(video), *crop_filter(crop), *self._placed(size))
        file = f"check_source{number}.txt"
        looking = ",".join((*placing, *self._blackened(frame), _luma(file)))
        command = Command(inputs=(opened,), outputs=(Output("nowhere", (*showing, "-vf", looking, "-f", "null")),))
        at = float(frame / edit.layout.fps)
        yield Check(command, partial(_black_only_here, file, item.source, at))

    def _moment(self, segment: Segment, item: Clip | Still, frame: int) -> tuple[Input, int]:
        """The source, opened shortly before what a frame shows, and how many of its frames are checked.

        Some frames before and after are included: the source may flicker, and this check does not care which of its
        frames is shown.
        """
        source, fps = self.edit.sources[item.source], self.edit.layout.fps
        if isinstance(item, Clip):
            moment, step = item.in_ + (frame - segment.first) / fps * exact(item.speed), exact(item.speed) / fps
        else:
            moment, step = item.at, 1 / fps
        rate = exact(video_of(source).fps or 30.0)
        early = max(step, 1 / rate)
        count = math.ceil((early + step / 2) * rate) + 1
        sought = ("-ss", decimal(max(Fraction(0), moment - early)))
        return Input(source.name, ("-an", *decoding_options(video_of(source)), *sought)), count

    def _placed(self, size: tuple[int, int]) -> tuple[str, ...]:
        """Filters that place a picture in the middle of a black canvas, or cut it to the canvas."""
        canvas = self.edit.layout.width, self.edit.layout.height
        x, y = middle(canvas, size)
        scaled = (f"scale={size[0]}:{size[1]}:flags=fast_bilinear:out_range=tv", "format=yuv420p", "setsar=1")
        if size == canvas:
            return scaled
        if size[0] > canvas[0] or size[1] > canvas[1]:
            return (*scaled, f"crop={canvas[0]}:{canvas[1]}")
        return (*scaled, f"pad={canvas[0]}:{canvas[1]}:{x}:{y}:black")

    def _blackened(self, frame: int) -> Iterator[str]:
        """Filters that blacken what layers may hide in a frame."""
        for each in self.edit.covered:
            left, right = max(0, each.left), min(each.right, self.edit.layout.width)
            top, bottom = max(0, each.top), min(each.bottom, self.edit.layout.height)
            if each.first <= frame < each.end and left < right and top < bottom:
                yield f"drawbox=x={left}:y={top}:w={right - left}:h={bottom - top}:color=black:t=fill"

    # --- the sound ---------------------------------------------------------------------------------------------------

    def judge_sound(self, heard: Path, measured: Path) -> Iterator[str]:
        """The faults of loudness, of the whole and of each moment."""
        loudness, _ = read_loudness(heard)
        before = Measured(*read_loudness(measured))
        if before.loudness < SILENT_LUFS:
            return
        if loudness < SILENT_LUFS:
            yield "it is silent, but the timeline has sound"
            return
        wanted = self.edit.timeline.loudness
        gain = before.gain_to(wanted.target) if wanted else 0.0
        # One gain for all; the limiter lowers no moment by more than it lowers the highest peak.
        limited = max(0.0, before.true_peak + gain - (wanted.true_peak if wanted else UNASKED_PEAK_DB))
        most, least = before.loudness + gain, before.loudness + gain - limited
        if not least - _LOUDNESS_OFF_LU - _CODEC_LU <= loudness <= most + _LOUDNESS_OFF_LU:
            expected = f"{least:.1f} to {most:.1f}" if limited else f"{most:.1f}"
            yield f"its loudness is {loudness:.1f} LUFS, expected {expected}"
        yield from _moments(heard, measured, gain, limited)


def _moments(heard: Path, measured: Path, gain: float, limited: float) -> Iterator[str]:
    """The first place where it is too soft or too loud for at least `_MOMENTS` moments."""
    key = "lavfi.r128.M"
    after = {round(at * 10): loudness for at, loudness in _values(heard, key)}
    off = 0
    for at, before in _values(measured, key):
        most, least = before + gain, before + gain - limited
        loudness = after.get(round(at * 10), most)
        is_soft = least > _AUDIBLE_LUFS and loudness < least - _MOMENT_OFF_LU
        is_loud = loudness > max(most, _AUDIBLE_LUFS) + _MOMENT_OFF_LU
        off = off + 1 if is_soft or is_loud else 0
        if off == _MOMENTS:
            what, began = "soft" if is_soft else "loud", at - (_MOMENTS - 1) / 10
            yield f"it is too {what} at {began:.1f} s: {loudness:.1f} LUFS, expected {most:.1f}"
            return


def _black_only_here(file: str, reference: str, at: float, folder: Path) -> Iterable[str]:
    lumas = [luma for _, luma in _values(folder / file, "lavfi.signalstats.YAVG")]
    if lumas and min(lumas) > _NOT_BLACK:
        yield f"it is black at {at:.2f} s, where upload {reference} is not"


def _luma(file: str) -> str:
    return f"scale=64:36:flags=fast_bilinear,format=yuv420p,signalstats,metadata=mode=print:file={file}"


def _values(file: Path, key: str) -> Iterator[tuple[float, float]]:
    """Time in seconds and value of each entry that ffmpeg's `metadata` filter printed."""
    at = 0.0
    for line in file.read_text().splitlines() if file.exists() else ():
        if found := re.search(r"pts_time:(\S+)", line):
            at = float(found[1])
        elif line.startswith(f"{key}="):
            yield at, float(line.partition("=")[2])
