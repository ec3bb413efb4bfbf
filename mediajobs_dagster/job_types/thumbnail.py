"""`upload_thumb_v1`: one picture of a video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from mediajobs_dagster.job_types.base import Lane, Params
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.blankness import is_blank
from mediajobs_dagster.job_types.colours import as_jpeg
from mediajobs_dagster.job_types.geometry import (
    decoding_options,
    fit_long_edge,
    picture_of,
    whole_and_upright,
)
from mediajobs_dagster.job_types.material import Access, Source, ToneMapping
from mediajobs_dagster.job_types.pictures import PictureJobType
from mediajobs_dagster.job_types.plan import Call, Expected, Left, Output, Plan, Run, Step
from mediajobs_dagster.media import command as ffmpeg
from mediajobs_dagster.models import MediaInfo, VideoStream
from mediajobs_dagster.settings import Settings

LONG_EDGE = 640
FILENAME = "thumb.jpg"
AT_SECONDS = 0.2
"""Where the picture is taken if nobody says where, seconds."""

_LATER_SECONDS = (1.0, 3.0)
_LATER_SECONDS_OF_UNKNOWN = (1.0, 3.0, 10.0, 30.0)
_LATER_SHARES = (0.05, 0.1, 0.25, 0.5)
"""Where a better picture is looked for, shares of the length."""
_APART_S = 0.3
_EXACT_S = 5.0
"""Up to here, the very moment is decoded; further in, the key frame before it, which costs one picture."""


class ThumbnailParams(Params):
    """Parameters of a thumbnail."""

    at_seconds: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Where to take the picture; clamped into shorter clips. "
        "None: at 0.2 s, or further in where the picture there is black, of one colour or damaged.",
    )


class Thumbnail(PictureJobType):
    """One frame of the video as a JPEG picture, long edge 640, upright and in square pixels."""

    name: ClassVar[str] = "upload_thumb_v1"
    asset: ClassVar[str] = "thumbnail"
    version: ClassVar[int] = 2
    lane: ClassVar[Lane] = Lane.LIGHT
    access: ClassVar[Access] = Access.RANGE  # it seeks, and reads a few hundred kilobytes of a file of any length
    batch_size: ClassVar[int] = 500  # some twenty seconds of work on two cores; a run of its own costs half a second
    threads: ClassVar[int] = 1  # a few frames: starting further threads takes longer than they save
    params: ClassVar[type[Params]] = ThumbnailParams

    @override
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        return (f"thumbs/uploads/{subject_id}/{FILENAME}",)

    @override
    def measured_names(self, settings: Settings) -> Iterable[str]:
        del settings
        return ("choose",)

    @override
    def plan_picture(self, source: Source, params: Params, tone_mapping: ToneMapping | None) -> Plan:
        assert isinstance(params, ThumbnailParams)  # what `parse` made
        video = picture_of(source.info)
        size = fit_long_edge(video, LONG_EDGE, even=False)
        (key,) = self.output_keys(source.upload.id)
        output = Output(FILENAME, key, "image/jpeg", Expected(width=size[0], height=size[1], video_codec="mjpeg"))
        # ffmpeg has already turned the picture upright; the size takes pixel aspect and rotation into account.
        filters = (*whole_and_upright(video), *as_jpeg(video, size, tone_mapping))
        asked = AT_SECONDS if params.at_seconds is None else params.at_seconds
        at = _clamp(asked, source.info, video)
        later = _later(source.info, video, at) if params.at_seconds is None else ()
        grab = _Grab(video, filters, source.info)
        return Plan(outputs=(output,), steps=(_Choice(grab, at, later).first(),))


@dataclass(frozen=True)
class _Grab:
    """Makes the commands that take one picture of a video."""

    video: VideoStream
    filters: tuple[str, ...]
    info: MediaInfo

    def at(self, seconds: float, filename: str = FILENAME, *, exact: bool = True) -> ffmpeg.Command:
        """Takes the picture at `seconds`, or the key frame before."""
        sought = _sought(seconds)
        if sought and not exact:
            sought = (*sought, "-noaccurate_seek")
        # Before -i, ffmpeg seeks by the index instead of decoding everything before. A stream has no index: ffmpeg
        # finds the moment, and then shows the next key frame, if there is one. Near the start, decoding is exact.
        is_decoded = not self.info.has_times or (self.info.is_stream and seconds <= _EXACT_S)
        begin = self.info.origin(0.0, [self.video])
        before, after = ((), _sought(seconds - begin)) if is_decoded else (sought, ())
        options = (
            *("-map", f"0:{self.video.index}", *after, "-frames:v", "1", "-vf", ",".join(self.filters)),
            *("-c:v", "mjpeg", "-q:v", "3"),
            *("-map_metadata", "-1"),  # a phone's position must not travel in a public thumbnail
            *("-f", "image2", "-update", "1"),  # one picture under exactly this name, no numbering
        )
        source = ffmpeg.Input("source", (*decoding_options(self.video), *before))
        return ffmpeg.Command(inputs=(source,), outputs=(ffmpeg.Output(filename, options),))


def _sought(seconds: float) -> tuple[str, ...]:
    # Rounded to the milliseconds that ffmpeg is told, and never in the form 1e-05, which it does not read.
    moment = round(seconds, 3)
    return ("-ss", f"{moment:.3f}".rstrip("0").rstrip(".")) if moment > 0 else ()


@dataclass(frozen=True)
class _Choice:
    """Which moment is shown: the first that has a picture, unless it is blank or damaged and a later one is not."""

    grab: _Grab
    at: float
    later: tuple[float, ...]
    """Where a better picture is looked for, seconds; one after the other, because the first is nearly always good."""

    def first(self) -> Run:
        """The step that takes the picture at `at`."""
        return Run(self.grab.at(self.at), then=self._after_first)

    def _after_first(self, left: Left) -> Sequence[Step]:
        if (left.folder / FILENAME).exists():
            return self._better_than(self.at, left)
        # Nothing can be decoded from there on: a stream that was cut between key frames, all frames of a clip before
        # `at`, a wrong duration. The first frame that there is, then.
        return (Run(self.grab.at(0.0), then=self._after_start),) if self.at > 0 else ()

    def _after_start(self, left: Left) -> Sequence[Step]:
        if not (left.folder / FILENAME).exists():
            return ()
        text = f"There is no picture at {self.at:g} s. The thumbnail shows the first one."
        return (Call("choose", lambda bench: bench.note(text)), *self._better_than(0.0, left))

    def _better_than(self, taken: float, left: Left) -> Sequence[Step]:
        fault = _fault_of(FILENAME, left) if self.later else None
        return (self._try(0, f"The picture at {taken:g} s is {fault}"),) if fault else ()

    def _try(self, number: int, reason: str) -> Run:
        seconds = self.later[number]
        command = self.grab.at(seconds, _candidate(number), exact=seconds <= _EXACT_S)
        return Run(command, then=partial(self._after_try, number, reason))

    def _after_try(self, number: int, reason: str, left: Left) -> Sequence[Step]:
        if (left.folder / _candidate(number)).exists() and not _fault_of(_candidate(number), left):
            return (Call("choose", partial(self._use, number, reason)),)
        if number + 1 < len(self.later):
            return (self._try(number + 1, reason),)
        tried = ", ".join(f"{seconds:g}" for seconds in self.later)
        text = f"{reason}, and there is no better one at {tried} s."
        return (Call("choose", lambda bench: bench.note(text)),)

    def _use(self, number: int, reason: str, bench: Bench) -> None:
        (bench.folder / _candidate(number)).replace(bench.folder / FILENAME)
        seconds = self.later[number]
        shown = (
            f"{seconds:g} s"
            if seconds <= _EXACT_S or not self.grab.info.has_times
            else f"the key frame before {seconds:g} s"
        )
        bench.note(f"{reason}. The thumbnail shows {shown}.")


def _fault_of(filename: str, left: Left) -> str | None:
    if left.is_damaged:
        return "damaged"
    return "blank" if is_blank(left.folder / filename) else None


def _candidate(number: int) -> str:
    return f"candidate_{number}.jpg"


def _clamp(at: float, info: MediaInfo, video: VideoStream) -> float:
    duration = _length(info, video)
    if not duration:
        return at  # unknown, as in a streamed recording; if the clip is shorter, its first picture is taken
    # The last frame starts one frame before the end; half a frame more keeps rounding from seeking past it.
    last = duration - 1.5 / (video.fps or 30.0)
    return round(max(0.0, min(at, last)), 3)


def _length(info: MediaInfo, video: VideoStream) -> float:
    """When the picture ends, seconds: sound may last longer. 0: unknown."""
    return min(info.duration_seconds, video.end_seconds or info.duration_seconds)


def _later(info: MediaInfo, video: VideoStream, at: float) -> tuple[float, ...]:
    """Moments after `at` that are worth a look, seconds, in their order."""
    duration = _length(info, video)
    if not info.has_times:
        moments = _LATER_SECONDS  # all pictures before are decoded too
    elif duration:
        moments = (*_LATER_SECONDS, *(round(share * duration, 3) for share in _LATER_SHARES))
    else:
        moments = _LATER_SECONDS_OF_UNKNOWN
    chosen: list[float] = []
    for moment in sorted(moments):
        if moment >= [at, *chosen][-1] + _APART_S and (not duration or moment < duration):
            chosen.append(moment)
    return tuple(chosen)


JOB_TYPE = Thumbnail()
