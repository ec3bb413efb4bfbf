"""The tracks that a job works on: what is said of the choice, and how sound keeps its times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from mediajobs_dagster.errors import InputUnsupportedError
from mediajobs_dagster.models import AudioStream, MediaInfo, VideoStream

HOLES_FILLED = "aresample=async=1:min_hard_comp=0.02"
"""The filter that puts silence where a track of sound has a hole of 20 ms or more, so that what follows is in time."""
_LATE = "asf"
"""The container of WMA. Its decoder gives nothing for the first packets, so it begins later than the track."""


def begun_at(seconds: float | Fraction, audio: AudioStream) -> str:
    """What comes after HOLES_FILLED to have the first sample at that time: what is missing before it is silence.

    Only where it is needed: where the channels of a sound change in the middle, ffmpeg builds its filters anew, and the
    new ones begin at that time too.
    """
    # The documentation says samples; they are those of the sound that comes in.
    return f":first_pts={round(seconds * audio.sample_rate)}"


def whole_of(audio: AudioStream, info: MediaInfo) -> str:
    """HOLES_FILLED for all of a track of `info` that is read alone, from its first sample on."""
    if info.container != _LATE:
        return HOLES_FILLED
    return HOLES_FILLED + begun_at(audio.start_seconds - info.origin(0.0, [audio]), audio)


def sound_of(info: MediaInfo) -> AudioStream | None:
    """The audio track to work on, None where there is none; raises InputUnsupportedError if none can be decoded."""
    if info.main_audio is None and info.audio:
        codecs = ", ".join(each.codec for each in info.audio)
        raise InputUnsupportedError(
            f"The sound is in {codecs}, which the ffmpeg of this machine cannot decode. Use an ffmpeg that can, or "
            "upload a copy with AAC."
        )
    return info.main_audio


def track_notes(info: MediaInfo) -> tuple[str, ...]:
    """Notes on the tracks that were chosen, and those that were not, where there was a choice; for people."""
    notes = (*_notes("picture", info.video, info.main_video), *_notes("sound", info.audio, info.main_audio))
    empty = (f"Tracks without content: {info.empty_tracks}.",) if info.empty_tracks else ()
    return (*notes, *empty)


def _notes(
    kind: str, tracks: Sequence[AudioStream | VideoStream], chosen: AudioStream | VideoStream | None
) -> Iterator[str]:
    others = [track for track in tracks if track is not chosen]
    if others:
        used = f"track {chosen.index} ({chosen.codec})" if chosen else "none"
        yield f"Tracks of {kind}: {used} is used; not used: {', '.join(map(_described, others))}."


def _described(track: AudioStream | VideoStream) -> str:
    why = "" if track.is_decodable else ", which cannot be decoded here"
    return f"{track.index} ({track.codec}{why})"
