"""How the sources of the base track are opened: once a use, or once for neighbouring parts of the same recording.

Every part is sought, so a second out of an hour costs a second. ffmpeg is told not to drop what it decodes on the way
from the key frame to the in point (`-noaccurate_seek`): those frames have negative times, and the frame on show at the
in point may be one of them. The filters after it drop the rest.

A talk from which pauses were cut is one recording read forwards. Opened once for each of its parts, it would be decoded
again from a key frame each time; parts in a row are therefore split off one reader. A dissolve needs two parts at the
same time, and one reader would have to hold the frames in between; there it gets a reader of its own.

In a transport or program stream there is no index: ffmpeg finds a time in it, but not the key frame before. Those are
opened some seconds early.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.video_export.graph import Graph, decimal
from mediajobs_dagster.media.command import Input
from mediajobs_dagster.timelines.layout import Segment
from mediajobs_dagster.timelines.model import Clip, Still

_UNINDEXED = ("mpegts", "mpeg")
_LEAD_S = Fraction(12)
"""Longer than the key frames of nearly all such streams are apart."""
_RUN_IN_S = Fraction(1, 10)
"""Of the sound of a clip at another speed."""
_WORTH_READING_ON_S = 2
"""A part that begins so soon after the end of the one before is read on to rather than sought."""


@dataclass(frozen=True)
class _Branch:
    picture: str | None
    sound: str | None
    offset: Fraction
    """Where the part begins, counted from where its reader does, seconds."""


class Readers:
    """The inputs of the base track's segments, by the number of the segment."""

    def __init__(
        self,
        graph: Graph,
        segments: Sequence[Segment],
        sources: Mapping[str, Source],
        *,
        picture: bool = True,
        sound: bool = True,
    ) -> None:
        """Open what is needed for the picture, the sound, or both."""
        self._graph, self._sources = graph, sources
        self._picture, self._sound = picture, sound
        self._branches: dict[int, _Branch] = {}
        for number, parts in enumerate(readable(segments)):
            self._open(number, parts)

    def source(self, reference: str) -> Source:
        """The source that a timeline refers to."""
        return self._sources[reference]

    def picture(self, number: int) -> str:
        """The pad with a segment's picture, upright."""
        pad = self._branches[number].picture
        assert pad is not None
        return pad

    def sound(self, number: int) -> str | None:
        """The pad with a segment's sound; None where it has none to be heard."""
        branch = self._branches.get(number)
        return branch and branch.sound

    def picture_times(self, number: int, speed: float) -> tuple[str, ...]:
        """Filters that have a segment's picture begin at 0 and run at its speed."""
        return begun(self._branches[number].offset, speed)

    def sound_offset(self, number: int) -> Fraction:
        """Where a segment's sound begins, counted from the first sample that is read, seconds."""
        return self._branches[number].offset

    def _open(self, group: int, parts: Sequence[tuple[int, Segment]]) -> None:
        sounding = [number for number, segment in parts if self._sound and self._is_heard(segment)]
        if not self._picture and not sounding:
            return
        first = parts[0][1]
        source = self._sources[source_of(first)]
        start = first.source_in
        if sounding and isinstance(first.item, Clip):
            start = max(Fraction(0), start - run_in(first.item))
        only = () if self._picture and sounding else ("-an",) if self._picture else ("-vn",)
        number = self._graph.open(Input(source.name, (*only, *seek(source, start))))
        pictures = [number for number, _ in parts] if self._picture else []
        video, audio = source.info.main_video, source.info.main_audio
        picture_pads = self._split(f"picture{group}", "split", f"{number}:{video.index if video else 0}", pictures)
        sound_pads = self._split(f"sound{group}", "asplit", f"{number}:{audio.index if audio else 0}", sounding)
        for part, segment in parts:
            offset = segment.source_in - start + lead(source, start)
            self._branches[part] = _Branch(picture_pads.get(part), sound_pads.get(part), offset)

    def _split(self, name: str, split: str, stream: str, parts: Sequence[int]) -> dict[int, str]:
        if len(parts) < 2:
            return dict.fromkeys(parts, stream)
        pads = self._graph.fan_out((f"{name}_{part}" for part in parts), [f"{split}={len(parts)}"], stream)
        return dict(zip(parts, pads, strict=True))

    def _is_heard(self, segment: Segment) -> bool:
        clip = segment.item
        return isinstance(clip, Clip) and not clip.mute and self._sources[clip.source].info.main_audio is not None


def lead(source: Source, start: Fraction) -> Fraction:
    """How much earlier a source is opened that is wanted from `start` on, seconds."""
    return min(start, _LEAD_S) if source.info.container in _UNINDEXED else Fraction(0)


def run_in(clip: Clip) -> Fraction:
    """How much of a clip's sound is wanted from before its beginning, seconds: what changes the speed needs some."""
    return _RUN_IN_S if clip.speed != 1 else Fraction(0)


def seek(source: Source, start: Fraction) -> tuple[str, ...]:
    """Options of an input that is wanted from `start`, seconds, on: what is read begins `lead` before."""
    opened = start - lead(source, start)
    return ("-noaccurate_seek", "-ss", decimal(opened)) if opened else ()


def begun(offset: Fraction, speed: float = 1) -> tuple[str, ...]:
    """Filters that have a picture begin at `offset`, seconds of what is read, and run at a speed."""
    moved = f"(PTS-{decimal(offset)}/TB)" if offset else "PTS"
    return (f"setpts={moved}/{decimal(speed)}",) if offset or speed != 1 else ()


def source_of(segment: Segment) -> str:
    """The reference of a segment that is read from a video."""
    assert isinstance(segment.item, Clip | Still)
    return segment.item.source


def readable(segments: Sequence[Segment]) -> Iterator[list[tuple[int, Segment]]]:
    """The segments that are read from videos, those that share a reader together."""
    group: list[tuple[int, Segment]] = []
    for number, segment in enumerate(segments):
        if group and not _reads_on(group[-1], (number, segment)):
            yield group
            group = []
        if isinstance(segment.item, Clip | Still):
            group.append((number, segment))
    if group:
        yield group


def _reads_on(before: tuple[int, Segment], after: tuple[int, Segment]) -> bool:
    first, second = before[1].item, after[1].item
    return (
        after[0] == before[0] + 1
        and isinstance(first, Clip)
        and isinstance(second, Clip)
        and first.source == second.source
        and not after[1].dissolve
        and not before[1].dissolve
        and 0 <= after[1].source_in - before[1].source_out <= _WORTH_READING_ON_S
    )
