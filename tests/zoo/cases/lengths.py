"""Tracks of different lengths, and headers that say something else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.zoo.making import AAC, COPY, H264, NO_RUN_IN, PICTURE, PLAIN, PROMPT, SOUND, Maker, frames
from tests.zoo.patching import declare_length, declare_mp4_length
from tests.zoo.truth import Case, Make, Picture, Sound, Truth, beeps_of, steady

GROUP = "Lengths"


def _short_picture(count: int, *options: str) -> Make:
    """So many frames beside 4 s of sound."""

    def make(maker: Maker, path: Path) -> Truth:
        maker.encode(path, frames(count), *H264, *AAC, *options, inputs=("-i", maker.wav()))
        return Truth(Picture(steady(count), count / 25), SOUND)

    return make


def _short_sound(seconds: float, *options: str) -> Make:
    def make(maker: Maker, path: Path) -> Truth:
        maker.run(*maker.both(seconds=seconds), *COPY, *options, path)
        return Truth(PICTURE, Sound(beeps_of(seconds), seconds))

    return make


def _says(seconds: float) -> Make:
    def make(maker: Maker, path: Path) -> Truth:
        maker.run(*maker.both(), *COPY, *NO_RUN_IN, path)
        declare_length(path, seconds)
        return PLAIN

    return make


def _mp4_says(maker: Maker, path: Path) -> Truth:
    maker.run(*maker.both(), *COPY, path)
    declare_mp4_length(path, 60)
    return PLAIN


def _live(maker: Maker, path: Path) -> Truth:
    """Neither length nor index, and a picture that ends before the sound does."""
    inputs = ("-i", maker.wav())
    maker.encode(path, frames(75), *H264, "-c:a", "flac", "-live", "1", inputs=inputs)
    return Truth(Picture(steady(75), 3), SOUND)


def _piped(maker: Maker, path: Path) -> Truth:
    """Written into a pipe: the length in its header is 0."""
    maker.run(*maker.both(), *COPY, *NO_RUN_IN, "-movflags", "frag_keyframe+empty_moov", path)
    return replace(PLAIN, beginnings=(0.08, 0.0))


def _few(count: int) -> Make:
    def make(maker: Maker, path: Path) -> Truth:
        maker.encode(path, frames(count), *H264)
        return Truth(Picture(steady(count), count / 25), None)

    return make


_SOUND_LONGER = (
    "The sound is longer than the picture",
    "The last frame stays on show until the sound ends, in proxy and export alike.",
)
_PICTURE_LONGER = ("The picture is longer than the sound", "Silence until the picture ends.")
_LIES = ("A header that says another length than the media has", "The media counts.")
_UNKNOWN = ("No length is declared", "It is found out by reading.")
_TINY = ("One frame, or a few", "A video of that length.")

CASES = (
    Case("sound_longer.mp4", GROUP, *_SOUND_LONGER, _short_picture(50)),
    Case("sound_longer.mkv", GROUP, *_SOUND_LONGER, _short_picture(50, *NO_RUN_IN)),
    Case("sound_longer.ts", GROUP, *_SOUND_LONGER, _short_picture(50, *NO_RUN_IN, *PROMPT)),
    Case("sound_longer_0.12.mp4", GROUP, *_SOUND_LONGER, _short_picture(97)),
    Case("one_frame_and_sound.mp4", GROUP, *_SOUND_LONGER, _short_picture(1)),
    Case("picture_longer.mp4", GROUP, *_PICTURE_LONGER, _short_sound(2)),
    Case("picture_longer.mkv", GROUP, *_PICTURE_LONGER, _short_sound(2, *NO_RUN_IN)),
    Case("picture_longer.ts", GROUP, *_PICTURE_LONGER, _short_sound(2, *NO_RUN_IN, *PROMPT)),
    Case("says_60.mkv", GROUP, *_LIES, _says(60)),
    Case("says_1.mkv", GROUP, *_LIES, _says(1)),
    Case("says_60.mp4", GROUP, *_LIES, _mp4_says),
    Case("no_length.mkv", GROUP, *_UNKNOWN, _live),
    Case("no_length_fragments.mp4", GROUP, *_UNKNOWN, _piped),
    Case("one_frame.mp4", GROUP, *_TINY, _few(1)),
    Case("three_frames.mp4", GROUP, *_TINY, _few(3)),
)
