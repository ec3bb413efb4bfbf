"""How far it is to a key frame, and what tells where one is."""

from __future__ import annotations

from pathlib import Path

from tests.zoo.making import AAC, COPY, H264, NO_RUN_IN, PLAIN, PROMPT, Maker, frames
from tests.zoo.patching import remove_avi_index, remove_cues
from tests.zoo.truth import Case, Make, Truth

GROUP = "Seeking"
_MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-bf", "2", "-sc_threshold", "1000000000")
_MP2 = ("-c:a", "mp2", "-b:a", "192k")


def _coded(*options: str) -> Make:
    def make(maker: Maker, path: Path) -> Truth:
        maker.encode(path, frames(100), *options, inputs=("-i", maker.wav()))
        return PLAIN

    return make


def _h264(*options: str) -> Make:
    return _coded(*H264, *AAC, *options)


def _without_cues(maker: Maker, path: Path) -> Truth:
    maker.run(*maker.both(), *COPY, *NO_RUN_IN, path)
    remove_cues(path)
    return PLAIN


def _without_avi_index(maker: Maker, path: Path) -> Truth:
    options = ("-c:v", "mpeg4", "-q:v", "2", "-g", "50", "-c:a", "pcm_s16le")
    maker.encode(path, frames(100), *options, inputs=("-i", maker.wav()))
    remove_avi_index(path)
    return PLAIN


_FAR = ("One key frame in the whole file, or one in ten seconds", "The right frame, wherever it is.")
_OPEN = ("Open groups, B-frames, no B-frames, key frames only, gradual refresh", "The right frame, wherever it is.")
_NONE = ("No index at all", "The right frame, wherever it is.")

CASES = (
    Case("one_key.mp4", GROUP, *_FAR, _h264("-g", "300")),
    Case("one_key.mkv", GROUP, *_FAR, _h264("-g", "300", *NO_RUN_IN)),
    Case("one_key.ts", GROUP, *_FAR, _h264("-g", "300", *NO_RUN_IN, *PROMPT)),
    Case("one_key.m2ts", GROUP, *_FAR, _coded(*_MPEG2, "-g", "300", *_MP2, *NO_RUN_IN, *PROMPT, "-f", "mpegts")),
    Case("one_key.mpg", GROUP, *_FAR, _coded(*_MPEG2, "-g", "300", *_MP2, *NO_RUN_IN, *PROMPT, "-f", "vob")),
    Case("one_key.flv", GROUP, *_FAR, _h264("-g", "300", *NO_RUN_IN)),
    Case("one_key.avi", GROUP, *_FAR, _coded("-c:v", "mpeg4", "-q:v", "2", "-g", "300", "-c:a", "pcm_s16le")),
    Case("open_groups.mp4", GROUP, *_OPEN, _h264("-x264-params", "open-gop=1:keyint=12:b-pyramid=strict", "-bf", "3")),
    Case(
        "open_groups.ts", GROUP, *_OPEN, _h264("-x264-params", "open-gop=1:keyint=25", "-bf", "3", *NO_RUN_IN, *PROMPT)
    ),
    Case(
        "open_groups_hevc.mp4",
        GROUP,
        *_OPEN,
        _coded(
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "log-level=none:crf=14:open-gop=1:keyint=25:bframes=3",
            "-tag:v",
            "hvc1",
            *AAC,
        ),
    ),
    Case("no_b_frames.mp4", GROUP, *_OPEN, _h264("-bf", "0", "-g", "50")),
    Case("pyramid.mp4", GROUP, *_OPEN, _h264("-bf", "8", "-g", "50", "-x264-params", "b-pyramid=normal:b-adapt=0")),
    Case("keys_only.mp4", GROUP, *_OPEN, _h264("-g", "1")),
    Case("gradual_refresh.mp4", GROUP, *_OPEN, _h264("-bf", "0", "-x264-params", "intra-refresh=1:keyint=20")),
    Case(
        "gradual_refresh.ts",
        GROUP,
        *_OPEN,
        _h264("-bf", "0", "-x264-params", "intra-refresh=1:keyint=20", *NO_RUN_IN, *PROMPT),
    ),
    Case("no_cues.mkv", GROUP, *_NONE, _without_cues),
    Case("no_index.avi", GROUP, *_NONE, _without_avi_index),
)
