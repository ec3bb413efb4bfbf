"""How long the tracks of a file last, read from their packets.

What a file declares of its length may be missing (a recording that was streamed), wrong (one that was cut), or of a
part only (transport streams that were joined). MP4 and QuickTime have an index of every packet, and ffprobe has added
it up. Of any other container, ffmpeg copies the last packets, or all of them, to nowhere, and lists their times: its
own, in which every later command works too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import Blame, DeadlineError, InputTooLongError, InputTruncatedError, MediaJobsError
from mediajobs_dagster.media.allowance import Allowance
from mediajobs_dagster.media.command import STDOUT, Command, Input, Output, is_remote
from mediajobs_dagster.media.diagnosis import MAX_MISSING_S, cut_off_text
from mediajobs_dagster.media.packets import PacketTimes
from mediajobs_dagster.media.run import Report, Runner
from mediajobs_dagster.models import WITHOUT_TIMES, AudioStream, MediaInfo, VideoStream

Track = TypeVar("Track", AudioStream, VideoStream)

_JOINED = ("mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v", "aac", "mp3", "ac3")
"""Containers that may be joined end to end; what they declare is that of a part, or reckoned from the bit rate."""
_READ_WHOLE_BYTES = 1 << 30
"""A file on this machine up to this size is read whole where its end alone does not tell its length."""
_JOINED_S = 1.0
"""If such a file is so much longer or shorter than it declares, its times begin anew somewhere, seconds."""
_PROBED_BYTES = 4 << 20
"""How much of a file a probe looks at, at least."""
_UNSEEN_S = 0.5
_END_S = 10.0
"""How much of the end is read, seconds."""
_LIMIT_S = 60.0


def measured(
    runner: Runner,
    source: str,
    info: MediaInfo,
    *,
    cwd: Path | None = None,
    report: Report | None = None,
    cancel: Cancellation | None = None,
) -> MediaInfo:
    """`info` with the true lengths of its tracks, and without the tracks that have no packets.

    `is_measured` of the result says whether they could be found out: nothing more is read of a source at an address. A
    source that cannot be read is left as it is; what is wrong with it shows when it is decoded. Raises
    InputTruncatedError, InputTooLongError, and the error that `cancel` was given.
    """
    if info.is_indexed:
        return _with_times(info, {}, {}, empty=set())
    if is_remote(source):
        return info
    reader = _Reader(runner, source, info, cwd or Path(), report, cancel)
    try:
        return reader.measured()
    except (InputTruncatedError, InputTooLongError):
        raise
    except MediaJobsError as error:
        if not (error.blame is Blame.INPUT or error.may_be_input or isinstance(error, DeadlineError)):
            raise
        return info.model_copy(update={"is_measured": True})


def longest(video: Iterable[VideoStream], audio: Iterable[AudioStream]) -> float:
    """When the last of the tracks ends, counted from the beginning of the file, seconds; 0 if unknown."""
    return max((each.end_seconds or 0.0 for each in (*video, *audio)), default=0.0)


def _with_times(info: MediaInfo, starts: Mapping[int, float], ends: Mapping[int, float], empty: set[int]) -> MediaInfo:
    """`info` with the starts and ends of tracks, by index, and without the empty ones."""

    def kept(tracks: Iterable[Track]) -> tuple[Track, ...]:
        return tuple(
            _timed(each, starts.get(each.index, 0.0), ends.get(each.index))
            for each in tracks
            if each.index not in empty
        )

    video, audio = kept(info.video), kept(info.audio)
    if not video and not audio:
        return info
    found = {"empty_tracks": len(empty), "duration_seconds": longest(video, audio) or info.duration_seconds}
    return info.model_copy(update={"video": video, "audio": audio, "is_measured": True, **found})


def _timed(track: Track, start: float, end: float | None) -> Track:
    # The first packet of a picture need not be the first one to be shown, so what the probe says counts, unless the
    # track begins behind what a probe looks at.
    begin = round(start, 6) if start > track.start_seconds + _UNSEEN_S else track.start_seconds
    lasts = track.duration_seconds if end is None else round(max(0.0, end - begin), 6)
    return track.model_copy(update={"start_seconds": begin, "duration_seconds": lasts})


@dataclass(frozen=True)
class _Times:
    """When a track begins and ends, counted from the beginning of the file, seconds, and how many packets were read."""

    start: float
    end: float
    packets: int


@dataclass(frozen=True)
class _Reader:
    runner: Runner
    source: str
    info: MediaInfo
    cwd: Path
    report: Report | None
    cancel: Cancellation | None

    def measured(self) -> MediaInfo:
        tracks = (*self.info.video, *self.info.audio)
        near_end = self.info.duration_seconds - _END_S
        if near_end > 0 and self.info.container not in _JOINED:
            found = self._times(tracks, near_end)
            # A track may have ended before the part that was read; what the file declares of it is as good as any.
            if found and all(each.index in found or each.duration_seconds for each in tracks):
                ends = {index: each.end for index, each in found.items()}
                return _with_times(self.info, self._first_starts(tracks), ends, empty=set())
        if self.info.bytes > _READ_WHOLE_BYTES:
            return self.info
        return self._of_all_packets(tracks)

    def _of_all_packets(self, tracks: Sequence[AudioStream | VideoStream]) -> MediaInfo:
        times = self._times(tracks)
        if not times:
            return self.info.model_copy(update={"is_measured": True})
        starts, ends = ({index: getattr(each, name) for index, each in times.items()} for name in ("start", "end"))
        found = _with_times(self.info, starts, ends, empty={each.index for each in tracks} - set(times))
        stills = {index for index, each in times.items() if each.packets == 1}
        video = tuple(each.model_copy(update={"is_still": each.index in stills}) for each in found.video)
        off = abs(found.duration_seconds - self.info.duration_seconds) > _JOINED_S
        return found.model_copy(update={"video": video, "is_joined": off and self.info.container in _JOINED})

    def _first_starts(self, tracks: Sequence[AudioStream | VideoStream]) -> dict[int, float]:
        """When the tracks begin, seconds, of a file that is larger than what a probe looks at."""
        if self.info.bytes <= _PROBED_BYTES:
            return {}
        # One by one: ffmpeg ends as soon as one track has the number of packets that it may have.
        first = [self._times([track], only=("-frames", "1")) for track in tracks]
        return {index: each.start for found in first for index, each in found.items()}

    def _times(
        self, tracks: Sequence[AudioStream | VideoStream], start: float = 0.0, only: Sequence[str] = ()
    ) -> dict[int, _Times]:
        """The times of the tracks that have packets from about `start` on, by index."""
        seek = ("-noaccurate_seek", "-ss", f"{start:.3f}") if start else ()
        maps = (option for track in tracks for option in ("-map", f"0:{track.index}"))
        options = (*maps, "-c", "copy", "-copypriorss", "1", *only, "-f", "framecrc")
        found = PacketTimes()
        made = self.runner.run(
            Command(inputs=(Input(self.source, seek),), outputs=(Output(STDOUT, options),)),
            cwd=self.cwd,
            report=self.report or (lambda _: None),
            on_data=found.feed,
            cancel=self.cancel,
            allowance=Allowance(base_s=_LIMIT_S, work_s=0.0),
        )
        begin = self.info.origin(start, tracks)
        times = {tracks[number].index: self._time(found, number, begin) for number in found.counts}
        lasts = max((each.end for each in times.values()), default=0.0)
        # Only what was read to its end can have been cut off: a header that merely lies is no reason to complain.
        if made.faults.cut_off and self.info.duration_seconds - lasts > MAX_MISSING_S:
            raise InputTruncatedError(cut_off_text(self.info.duration_seconds, lasts))
        return times

    def _time(self, found: PacketTimes, number: int, begin: float) -> _Times:
        first, last = float(found.start(number)), float(found.end(number))
        if self.info.container in WITHOUT_TIMES:  # its packets have no times but those of decoding, some before 0
            first, last, begin = 0.0, last - first, 0.0
        return _Times(first + begin, last + begin, found.counts[number])
