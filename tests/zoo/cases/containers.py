"""Plain media in every container."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.zoo.making import (
    AAC,
    COPY,
    FPS,
    H264,
    NO_RUN_IN,
    PLAIN,
    PROMPT,
    SECONDS,
    SOUND,
    Form,
    Maker,
    frames,
    silent,
)
from tests.zoo.truth import NOT_ASKED, Case, Frame, Job, Make, Picture, Sound, Truth, beeps_of, steady

GROUP = "Containers"
_VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "3M", "-g", "25", "-auto-alt-ref", "0")
_VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "3M", "-g", "25", "-row-mt", "1")
_MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "12", "-bf", "2")
_MPEG4 = ("-c:v", "mpeg4", "-q:v", "2", "-g", "12", "-tag:v", "xvid")
_MP2 = ("-c:a", "mp2", "-b:a", "192k")
_MP3 = ("-c:a", "libmp3lame", "-b:a", "128k")
_PCM = ("-c:a", "pcm_s16le")
_TS_RUN_IN = 1024 / 48000
_REORDERED = (0.08, 0.0)
"""Two frames pass before the first one is shown, and nothing says that they are not part of it."""


def _copied(*options: str, beginnings: tuple[float, ...] = (0.0,)) -> Make:
    """The plain film and sound in another container."""

    def make(maker: Maker, path: Path) -> Truth:
        maker.run(*maker.both(), *COPY, *options, path)
        return replace(PLAIN, beginnings=beginnings)

    return make


def _encoded(*options: str, truth: Truth = PLAIN) -> Make:
    """The same pictures and sound in other codecs."""

    def make(maker: Maker, path: Path) -> Truth:
        inputs = ("-i", maker.wav()) if truth.sound else ()
        maker.encode(path, frames(int(SECONDS * FPS)), *options, inputs=inputs)
        return truth

    return make


def _natural_stream(maker: Maker, path: Path) -> Truth:
    maker.run(*maker.both(), *COPY, path)
    return replace(PLAIN, beginnings=(_TS_RUN_IN, 0.0))


def _gif(maker: Maker, path: Path) -> Truth:
    palette = "split[a][b];[a]palettegen=reserve_transparent=0[p];[b][p]paletteuse=dither=none"
    maker.encode(path, frames(100), form=Form(pixels="rgb24"), filters=palette)
    refused: dict[Job, str] = dict.fromkeys(("thumbnail", "proxy", "envelope"), NOT_ASKED)
    return replace(silent(), refused={**refused, "export": "TIMELINE_INVALID"})


def _nut(maker: Maker, path: Path) -> Truth:
    """ffmpeg's own container, which is not among those that are accepted."""
    maker.run(*maker.both(), *COPY, *NO_RUN_IN, path)
    refused: dict[Job, str] = dict.fromkeys(("thumbnail", "proxy", "envelope"), "INPUT_REFUSED")
    return replace(PLAIN, refused={**refused, "export": "TIMELINE_INVALID"})


def _restarted(maker: Maker, path: Path) -> Truth:
    """The recording, and once more with other frames: its times begin at 0 again."""

    def more(part: Path) -> None:
        maker.encode(part, frames(100, first=100), *H264, *AAC, *NO_RUN_IN, *PROMPT, inputs=("-i", maker.wav()))

    second = maker.once("second.ts", more)
    path.write_bytes(maker.stream().read_bytes() + second.read_bytes())
    beeps = (*beeps_of(SECONDS), *beeps_of(SECONDS, SECONDS))
    return Truth(Picture(steady(200), 2 * SECONDS), Sound(beeps, 2 * SECONDS))


def _joined(maker: Maker, path: Path) -> Truth:
    """Two recordings in one file, the second one an hour on: a recorder that was stopped in between."""

    def more(part: Path) -> None:
        late = ("-output_ts_offset", "3600")
        maker.encode(part, frames(100, first=100), *H264, *AAC, *NO_RUN_IN, *PROMPT, *late, inputs=("-i", maker.wav()))

    path.write_bytes(maker.stream().read_bytes() + maker.once("an_hour_on.ts", more).read_bytes())
    beeps = (*beeps_of(SECONDS), *beeps_of(SECONDS, SECONDS))
    return Truth(Picture(steady(200), 2 * SECONDS), Sound(beeps, 2 * SECONDS))


def _cut(maker: Maker, path: Path) -> Truth:
    """Its first key frame is missing: nothing can be decoded before the next one, the 13th frame."""
    headless = ("-bsf:v", r"noise=drop=lt(n\,5)", *NO_RUN_IN, *PROMPT)
    maker.run(*maker.both(), *COPY, *headless, path)
    return Truth(Picture(tuple(Frame(each / 25, each) for each in range(12, 100)), SECONDS), SOUND)


def _dv(maker: Maker, path: Path) -> Truth:
    """720x576, pixels of 16:15, two fields of the same moment."""
    options = ("-c:v", "dvvideo", "-pix_fmt", "yuv420p", "-aspect", "4:3", "-ar", "48000", "-ac", "2", *_PCM)
    maker.encode(path, frames(50, (720, 576)), *options, inputs=("-i", maker.wav(2)))
    return Truth(Picture(steady(50), 2, size=(768, 576)), Sound(beeps_of(2), 2))


def _prores(maker: Maker, path: Path) -> Truth:
    form = Form("bt709", pixels="yuv422p10le", tags=("colorspace=bt709", "range=tv"))
    options = ("-c:v", "prores_ks", "-profile:v", "2", "-colorspace", "bt709", *_PCM)
    maker.encode(path, frames(50), *options, form=form, inputs=("-i", maker.wav(2)))
    return Truth(Picture(steady(50), 2), Sound(beeps_of(2), 2))


def _case(name: str, kind: str, promise: str, make: Make) -> Case:
    return Case(name, GROUP, kind, promise, make)


_MP4 = ("MP4 and QuickTime, index first or last", "Everything works, frame by frame.")
_FRAGMENTED = ("Fragmented MP4", "As any MP4.")
_MKV = ("Matroska and WebM", "Everything works, frame by frame.")
_BROWSER = (
    "A browser's recording (WebM without length and index)",
    "Everything works. How long it is, is found out by reading it.",
)
_TS = (
    "Transport streams, also those of cameras (`.m2ts`)",
    "Everything works, frame by frame, although there is no index.",
)
_TWO = ("Transport streams that were joined, so that times jump", "One after the other, as they lie in the file.")
_OLD = ("AVI, FLV, WMV, MPEG program streams, MXF, 3GP, Ogg", "Everything works, frame by frame.")
_RAW = ("Bare H.264 and HEVC", "25 frames a second, for nothing in them says when a frame is shown; no sound.")
_ANIMATED = (
    "Animated GIF",
    "It is an image: its first frame, for the items and layers of timelines that show images. No job is made of it.",
)
_OTHER = ("Any other container", "It is refused: `INPUT_REFUSED`.")
_TAPE = ("DV, ProRes, Motion JPEG", "Everything works, frame by frame.")

CASES = (
    _case("plain.mp4", *_MP4, _copied()),
    _case("index_first.mp4", *_MP4, _copied("-movflags", "+faststart")),
    _case("plain.mov", *_MP4, _copied()),
    _case(
        "fragments.mp4",
        *_FRAGMENTED,
        _copied(*NO_RUN_IN, "-movflags", "frag_keyframe+empty_moov+default_base_moof", beginnings=_REORDERED),
    ),
    _case(
        "fragments_of_dash.mp4", *_FRAGMENTED, _copied("-movflags", "dash+delay_moov+frag_keyframe+default_base_moof")
    ),
    _case("cmaf.mp4", *_FRAGMENTED, _copied(*NO_RUN_IN, "-movflags", "cmaf+frag_keyframe")),
    _case("plain.mkv", *_MKV, _copied(*NO_RUN_IN)),
    _case("vp8.webm", *_MKV, _encoded(*_VP8, "-c:a", "libopus")),
    _case("vp9.webm", *_MKV, _encoded(*_VP9, "-c:a", "libopus")),
    _case("ffv1_flac.mkv", *_MKV, _encoded("-c:v", "ffv1", "-c:a", "flac")),
    _case("recorder.webm", *_BROWSER, _encoded(*_VP8, "-c:a", "libopus", "-live", "1", "-f", "webm")),
    _case("recorder_h264.mkv", *_BROWSER, _copied(*NO_RUN_IN, "-live", "1")),
    _case("plain.ts", *_TS, _copied(*NO_RUN_IN, *PROMPT)),
    _case("run_in.ts", *_TS, _natural_stream),
    _case("plain.m2ts", *_TS, _copied(*NO_RUN_IN, "-f", "mpegts", "-mpegts_m2ts_mode", "1")),
    _case("mpeg2_ac3.ts", *_TS, _encoded(*_MPEG2, "-c:a", "ac3", *NO_RUN_IN, *PROMPT)),
    _case("restarted.ts", *_TWO, _restarted),
    _case("an_hour_between.ts", *_TWO, _joined),
    _case(
        "cut.ts",
        "A transport stream that was cut between key frames",
        "The picture begins with the first frame that can be decoded, and keeps its time with the sound.",
        _cut,
    ),
    _case("mpeg4_mp3.avi", *_OLD, _encoded(*_MPEG4, *_MP3, *NO_RUN_IN)),
    _case(
        "mjpeg_pcm.avi", *_OLD, _encoded("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuv420p", "-strict", "-1", *_PCM)
    ),
    _case("h264_aac.flv", *_OLD, _copied(*NO_RUN_IN)),
    _case("flv1_mp3.flv", *_OLD, _encoded("-c:v", "flv", "-q:v", "2", "-g", "12", "-ar", "44100", *_MP3, *NO_RUN_IN)),
    _case("no_length.flv", *_OLD, _copied(*NO_RUN_IN, "-flvflags", "no_duration_filesize+no_metadata")),
    _case(
        "wmv2.wmv",
        *_OLD,
        _encoded(
            "-c:v",
            "wmv2",
            "-q:v",
            "2",
            "-g",
            "12",
            "-c:a",
            "wmav2",
            truth=replace(PLAIN, beginnings=(2048 / 48000, 0.0)),
        ),
    ),
    _case("mpeg2.mpg", *_OLD, _encoded(*_MPEG2, *_MP2, *NO_RUN_IN, *PROMPT, "-f", "vob")),
    _case("mpeg1.mpg", *_OLD, _encoded("-c:v", "mpeg1video", "-q:v", "2", "-g", "12", *_MP2, *NO_RUN_IN, *PROMPT)),
    _case("mpeg2_pcm.mxf", *_OLD, _encoded(*_MPEG2, *_PCM)),
    _case("h264_aac.3gp", *_OLD, _copied()),
    _case("vp8_opus.ogg", *_OLD, _encoded(*_VP8, "-c:a", "libopus")),
    _case("plain.nut", *_OTHER, _nut),
    _case("bare.h264", *_RAW, _encoded(*H264, truth=silent())),
    _case(
        "bare.hevc",
        *_RAW,
        _encoded(
            "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:crf=14:keyint=12", truth=silent()
        ),
    ),
    _case("animated.gif", *_ANIMATED, _gif),
    _case("pal.dv", *_TAPE, _dv),
    _case("prores.mov", *_TAPE, _prores),
)
