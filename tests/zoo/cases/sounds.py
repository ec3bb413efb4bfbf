"""Sound alone, and sound of every form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tests.zoo import footage
from tests.zoo.making import AAC, PLAIN, SECONDS, Maker, heard, wav_of
from tests.zoo.truth import Case, Make, Truth

GROUP = "Sound"
ALONE = replace(heard(), refused={"thumbnail": "INPUT_NO_VIDEO", "proxy": "INPUT_NO_VIDEO"})


def _alone(*options: str, run_in: float | None = None) -> Make:
    """Sound without a picture; `run_in` is what the encoder puts before it and the file does not tell of, seconds."""

    def make(maker: Maker, path: Path) -> Truth:
        maker.run("-i", maker.wav(), *options, path)
        return replace(ALONE, beginnings=(0.0,) if run_in is None else (run_in, 0.0))

    return make


def _with_cover(maker: Maker, path: Path) -> Truth:
    cover = maker.once("album.jpg", lambda part: Image.fromarray(footage.draw(1, (64, 64))).save(part))
    streams = ("-map", "0", "-map", "1", "-c:a", "libmp3lame", "-c:v", "copy", "-disposition:v", "attached_pic")
    maker.run("-i", maker.wav(), "-i", cover, *streams, path)
    return ALONE


def _formed(rate: int, channels: int, loud: int, *options: str) -> Make:
    """Beside the picture: a sound of that rate, its beeps in one of the channels or (-1) in all."""

    def make(maker: Maker, path: Path) -> Truth:
        samples = np.zeros((SECONDS * rate, channels), np.float32)
        heard_in = range(channels) if loud < 0 else [loud]
        samples[:, heard_in] = footage.sound(SECONDS, rate=rate)[:, None]
        part = maker.once(f"{path.stem}.wav", lambda each: wav_of(each, samples, rate))
        maker.run("-i", maker.film(), "-i", part, "-map", "0:v", "-map", "1:a", "-c:v", "copy", *options, path)
        return PLAIN

    return make


_MUSIC = (
    "Sound without a picture: WAV, MP3, FLAC, M4A, Ogg, AIFF, CAF, WMA, bare AAC; also with a cover",
    "An envelope, and what an export hears of it. Thumbnail and proxy are refused: `INPUT_NO_VIDEO`.",
)
_FORMS = (
    "Mono, stereo with one silent side, 5.1; 8 to 96 kHz; PCM, Opus, FLAC, ALAC, AC-3, MP3 in a video",
    "Heard in sync.",
)

CASES = (
    Case("sound.wav", GROUP, *_MUSIC, _alone()),
    Case("sound_24.wav", GROUP, *_MUSIC, _alone("-c:a", "pcm_s24le")),
    Case("sound.mp3", GROUP, *_MUSIC, _alone("-c:a", "libmp3lame")),
    Case(
        "no_header.mp3",
        GROUP,
        *_MUSIC,
        _alone("-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0", run_in=1105 / 48000),
    ),
    Case("sound.flac", GROUP, *_MUSIC, _alone()),
    Case("sound.m4a", GROUP, *_MUSIC, _alone(*AAC)),
    Case("alac.m4a", GROUP, *_MUSIC, _alone("-c:a", "alac")),
    Case("sound.opus", GROUP, *_MUSIC, _alone("-c:a", "libopus")),
    Case("sound.aiff", GROUP, *_MUSIC, _alone()),
    Case("sound.caf", GROUP, *_MUSIC, _alone()),
    Case("sound.wma", GROUP, *_MUSIC, _alone("-c:a", "wmav2", run_in=2048 / 48000)),
    Case("sound.aac", GROUP, *_MUSIC, _alone(*AAC, run_in=1024 / 48000)),
    Case("sound.mka", GROUP, *_MUSIC, _alone("-c:a", "flac")),
    Case("sound.webm", GROUP, *_MUSIC, _alone("-c:a", "libopus", "-live", "1")),
    Case("album.mp3", GROUP, *_MUSIC, _with_cover),
    Case("mono_8k.mov", GROUP, *_FORMS, _formed(8000, 1, -1, "-c:a", "pcm_s16le")),
    Case("right_only_44k.mov", GROUP, *_FORMS, _formed(44100, 2, 1, "-c:a", "pcm_s16le")),
    Case("surround.mp4", GROUP, *_FORMS, _formed(48000, 6, 2, "-c:a", "ac3", "-b:a", "256k")),
    Case("pcm_96k.mkv", GROUP, *_FORMS, _formed(96000, 2, -1, "-c:a", "pcm_s24le")),
    Case("opus.mp4", GROUP, *_FORMS, _formed(48000, 2, -1, "-c:a", "libopus")),
    Case("mp3.mp4", GROUP, *_FORMS, _formed(48000, 2, -1, "-c:a", "libmp3lame")),
    Case("flac.mkv", GROUP, *_FORMS, _formed(48000, 1, -1, "-c:a", "flac")),
)
