"""How the sources of the base track are opened: once per use, or once for neighbouring parts of the same recording.

Every part is sought, so a second out of an hour costs a second. `-noaccurate_seek` keeps ffmpeg from dropping what it
decodes between the key frame and the in point. These frames have negative times, and one of them may be the frame that
is shown at the in point. Later filters drop the others.

A talk from which pauses were cut is one recording read forwards. If each part had its own input, each would be decoded
again from a key frame. So consecutive parts share an input, and a filter splits it. A dissolve needs two parts at the
same time, and a shared input would have to hold the frames in between; so it gets an input of its own.

Where a part is opened is in `openings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mediajobs_dagster.job_types.geometry import decoding_options
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.video_export.graph import Graph, decimal
from mediajobs_dagster.job_types.video_export.openings import Openings
from mediajobs_dagster.media.command import Input
from mediajobs_dagster.timelines.layout import Segment
from mediajobs_dagster.timelines.model import Clip, Still, Timeline, VideoLayer

_RUN_IN_S = Fraction(1, 10)
"""How much sound is read before a clip that is played at another speed, seconds."""
_WORTH_READING_ON_S = 2
"""If a part begins within this time after the end of the one before, seconds, reading on is cheaper than seeking."""


@dataclass(frozen=True)
class _Branch:
    picture: str | None
    sound: str | None
    offset: Fraction
    """Where the part begins, counted from the start of its input, seconds."""


class SegmentInputs:
    """The inputs of the base track's segments, by segment number."""

    def __init__(
        self,
        graph: Graph,
        segments: Sequence[Segment],
        sources: Mapping[str, Source],
        openings: Openings,
        *,
        picture: bool = True,
        sound: bool = True,
    ) -> None:
        """Open what is needed for the picture, the sound, or both."""
        self._graph, self._sources, self._openings = graph, sources, openings
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
        """The pad with a segment's sound; None if it is silent."""
        branch = self._branches.get(number)
        return branch and branch.sound

    def picture_times(self, number: int, speed: float) -> tuple[str, ...]:
        """Filters that make a segment's picture begin at 0 and play at its speed."""
        return begun(self._branches[number].offset, speed)

    def sound_offset(self, number: int) -> Fraction:
        """Where a segment's sound begins, counted from the first sample of its input, seconds."""
        return self._branches[number].offset

    def _open(self, group: int, parts: Sequence[tuple[int, Segment]]) -> None:
        sounding = [number for number, segment in parts if self._sound and self._is_heard(segment)]
        if not self._picture and not sounding:
            return
        source = self._sources[source_of(parts[0][1])]
        start = start_of(parts[0][1], run_in=bool(sounding))
        video, audio = source.info.main_video, source.info.main_audio
        only = () if self._picture and sounding else ("-an",) if self._picture else ("-vn",)
        opening = self._openings.of(source, start, picture=self._picture, sound=bool(sounding))
        decoding = _decoding(source, (segment.item for _, segment in parts)) if self._picture else ()
        number = self._graph.open(Input(source.name, (*only, *decoding, *opening.options)))
        pictures = [number for number, _ in parts] if self._picture else []
        picture_pads = self._split(f"picture{group}", "split", f"{number}:{video.index if video else 0}", pictures)
        sound_pads = self._split(f"sound{group}", "asplit", f"{number}:{audio.index if audio else 0}", sounding)
        for part, segment in parts:
            offset = segment.source_in - opening.origin
            self._branches[part] = _Branch(picture_pads.get(part), sound_pads.get(part), offset)

    def _split(self, name: str, split: str, stream: str, parts: Sequence[int]) -> dict[int, str]:
        if len(parts) < 2:
            return dict.fromkeys(parts, stream)
        pads = self._graph.fan_out((f"{name}_{part}" for part in parts), [f"{split}={len(parts)}"], stream)
        return dict(zip(parts, pads, strict=True))

    def _is_heard(self, segment: Segment) -> bool:
        return is_heard(segment, self._sources)


def picture_starts(segments: Sequence[Segment], sources: Mapping[str, Source]) -> Iterator[tuple[Source, Fraction]]:
    """Each source that is opened for the picture of the base track, and the time from which it is needed, seconds."""
    for parts in readable(segments):
        heard = any(is_heard(segment, sources) for _, segment in parts)
        yield sources[source_of(parts[0][1])], start_of(parts[0][1], run_in=heard)


def start_of(segment: Segment, *, run_in: bool) -> Fraction:
    """From where on the source of the first of neighbouring parts is needed, seconds; `run_in` if sound is."""
    if run_in and isinstance(segment.item, Clip):
        return max(Fraction(0), segment.source_in - run_in_of(segment.item))
    return segment.source_in


def is_heard(segment: Segment, sources: Mapping[str, Source]) -> bool:
    """Whether a segment has sound."""
    clip = segment.item
    return isinstance(clip, Clip) and not clip.mute and sources[clip.source].info.main_audio is not None


def run_in_of(clip: Clip) -> Fraction:
    """How much sound is read before a clip begins, seconds: the filter that changes the speed needs some."""
    return _RUN_IN_S if clip.speed != 1 else Fraction(0)


def begun(offset: Fraction, speed: float = 1) -> tuple[str, ...]:
    """Filters that make a picture begin at `offset` of its input, seconds, and play at a speed."""
    moved = f"(PTS-{decimal(offset)}/TB)" if offset else "PTS"
    return (f"setpts={moved}/{decimal(speed)}",) if offset or speed != 1 else ()


def _decoding(source: Source, items: Iterable[object]) -> tuple[str, ...]:
    """The options for reading the picture of a source. To crop, its size has to be the one that was probed."""
    is_cut = any(getattr(item, "crop", None) or getattr(item, "fit", None) == "cover" for item in items)
    video = source.info.main_video
    return decoding_options(video, keeps_shape=not is_cut) if video else ()


def source_of(segment: Segment) -> str:
    """The reference of a segment that is read from a video."""
    assert isinstance(segment.item, Clip | Still)
    return segment.item.source


def readable(segments: Sequence[Segment]) -> Iterator[list[tuple[int, Segment]]]:
    """The segments that are read from videos, in groups that share an input."""
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


# --- layers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """The inputs of the video layers, by layer number."""

    picture: Mapping[int, str]
    """The pad."""
    sound: Mapping[int, str]
    offset: Mapping[int, Fraction]
    """Where the used part begins, counted from the start of the input, seconds."""


def open_layers(
    graph: Graph,
    timeline: Timeline,
    sources: Mapping[str, Source],
    openings: Openings,
    *,
    picture: bool = True,
    sound: bool = True,
) -> Opened:
    """Open the source of each video layer once, for its picture, its sound, or both."""
    pictures: dict[int, str] = {}
    sounds: dict[int, str] = {}
    offsets: dict[int, Fraction] = {}
    for number, layer in enumerate(timeline.layers):
        if not isinstance(layer, VideoLayer):
            continue
        source = sources[layer.source]
        audio = source.info.main_audio if sound and not layer.mute else None
        if not picture and audio is None:
            continue
        only = () if picture and audio else ("-an",) if picture else ("-vn",)
        opening = openings.of(source, layer.in_, picture=picture, sound=audio is not None)
        decoding = _decoding(source, [layer]) if picture else ()
        stream = graph.open(Input(source.name, (*only, *decoding, *opening.options)))
        offsets[number] = layer.in_ - opening.origin
        if picture:
            video = source.info.main_video
            pictures[number] = f"{stream}:{video.index if video else 0}"
        if audio:
            sounds[number] = f"{stream}:{audio.index}"
    return Opened(pictures, sounds, offsets)
