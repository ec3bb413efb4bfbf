"""Colours: matrix, levels, depth, subsampling, and what the file says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.zoo.making import H264, Form, Maker, frames
from tests.zoo.truth import Case, Job, Make, Picture, Truth, steady

GROUP = "Colours"
SD, HD = (320, 180), (1280, 720)
_HDR_WHITE_NITS = 203
"""Diffuse white of HDR (ITU-R BT.2408)."""
_TONE_MAPPED_WITHIN = 70
"""How far the colours of HDR may be off: tone mapping is a matter of taste."""
_HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1")
_COUNT = 12

Rows = npt.NDArray[np.float64]


def _tags(matrix: str, primaries: str = "", transfer: str = "", levels: str = "tv") -> tuple[str, ...]:
    told = {"colorspace": matrix, "color_primaries": primaries, "color_trc": transfer, "range": levels}
    return tuple(f"{name}={value}" for name, value in told.items() if value)


def _coded(form: Form, *options: str, size: tuple[int, int] = SD, count: int = _COUNT) -> Make:
    """Half a second in that form."""

    def make(maker: Maker, path: Path) -> Truth:
        maker.encode(path, frames(count, size), *(options or H264), form=form)
        # ffmpeg alone takes all that is untagged for BT.601.
        return Truth(Picture(steady(count), count / 25, size=size), None, is_plain=size == SD or bool(form.tags))

    return make


def _av1(maker: Maker, path: Path) -> Truth:
    """There is no decoder of AV1 in the ffmpeg of the tests."""
    coder = ("-c:v", "libsvtav1", "-preset", "12", "-crf", "20", "-svtav1-params", "lp=1")
    truth = _coded(Form("bt709", tags=_tags("bt709", "bt709", "bt709")), *coder)(maker, path)
    refused: dict[Job, str] = {
        **dict.fromkeys(("thumbnail", "proxy"), "INPUT_UNSUPPORTED"),
        "export": "TIMELINE_INVALID",
    }
    return replace(truth, is_plain=False, refused=refused)


def _grey(maker: Maker, path: Path) -> Truth:
    maker.encode(path, frames(_COUNT), *H264, form=Form(pixels="gray"))
    return Truth(Picture(steady(_COUNT), _COUNT / 25, colours_within=None), None)


def _wide(transfer: str, *, within: int | None) -> Make:
    """The same colours in the primaries of BT.2020, 10 bit: SDR, PQ or HLG."""

    def make(maker: Maker, path: Path) -> Truth:
        drawn = [_in_bt2020(frame, transfer) for frame in frames(_COUNT)]
        height, width, _ = drawn[0].shape
        raw = ("-f", "rawvideo", "-pix_fmt", "rgb48le", "-s", f"{width}x{height}", "-r", "25", "-i", "-")
        form = Form("bt2020", pixels="yuv420p10le", tags=_tags("bt2020nc", "bt2020", transfer))
        told = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited:log-level=none:crf=10"
        data = b"".join(map(np.ndarray.tobytes, drawn))
        maker.run(*raw, "-vf", form.filters, *_HEVC, "-x265-params", told, path, data=data)
        return Truth(Picture(steady(_COUNT), _COUNT / 25, colours_within=within), None, is_plain=False)

    return make


_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""Linear light, from the primaries of BT.709 (ITU-R BT.2087)."""


def _in_bt2020(frame: npt.NDArray[np.uint8], transfer: str) -> npt.NDArray[np.uint16]:
    # As a display shows it (ITU-R BT.1886), a gamma of 2.4; HLG and PQ with their own white.
    light = (frame / 255.0) ** 2.4 @ _TO_BT2020.T
    signal = {"smpte2084": _pq, "arib-std-b67": _hlg, "bt709": _bt1886}[transfer](np.clip(light, 0, 1))
    return np.round(signal * 65535).astype("<u2")


def _bt1886(light: Rows) -> Rows:
    return light ** (1 / 2.4)


def _pq(light: Rows) -> Rows:
    """SMPTE ST 2084."""
    power = (light * _HDR_WHITE_NITS / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _hlg(light: Rows) -> Rows:
    """ITU-R BT.2100, on a display of 1000 nits, whose system gamma is 1.2."""
    shown = light * _HDR_WHITE_NITS / 1000
    luma = shown @ np.array([0.2627, 0.6780, 0.0593])
    scene = shown * np.maximum(luma, 1e-9)[..., None] ** (1 / 1.2 - 1)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def _x264(matrix: str, *more: str) -> tuple[str, ...]:
    """H.264 that says its matrix whatever ffmpeg makes of the frames' tags."""
    return (*H264, *(("-colorspace", matrix) if matrix else ()), *more)


_PLAIN = ("Untagged SD and HD", "Untagged pictures of 720 lines and more are BT.709, smaller ones BT.601.")
_TAGGED = ("Tagged BT.601, BT.709, BT.2020, SMPTE 240M", "The tag counts, whatever the size.")
_FULL = ("Full range", "Shown as it is meant, neither washed out nor crushed.")
_DEEP = ("10 bit, 4:2:2, 4:4:4, RGB, grey", "Same colours; outputs are 8 bit 4:2:0.")
_HDR = ("HDR (PQ, HLG)", "Tone-mapped to BT.709; near the colours of an SDR version.")

CASES = (
    Case("sd_untagged.mp4", GROUP, *_PLAIN, _coded(Form("bt601"))),
    Case("hd_untagged.mp4", GROUP, *_PLAIN, _coded(Form("bt709"), size=HD)),
    Case("hd_untagged.mkv", GROUP, *_PLAIN, _coded(Form("bt709"), *_x264(""), size=HD)),
    Case("sd_601.mp4", GROUP, *_TAGGED, _coded(Form("bt601", tags=_tags("smpte170m")), *_x264("smpte170m"))),
    Case("sd_601_pal.mp4", GROUP, *_TAGGED, _coded(Form("bt601", tags=_tags("bt470bg")), *_x264("bt470bg"))),
    Case("sd_709.mp4", GROUP, *_TAGGED, _coded(Form("bt709", tags=_tags("bt709")), *_x264("bt709"))),
    Case(
        "hd_709.mp4",
        GROUP,
        *_TAGGED,
        _coded(Form("bt709", tags=_tags("bt709", "bt709", "bt709")), *_x264("bt709"), size=HD),
    ),
    Case("hd_601.mp4", GROUP, *_TAGGED, _coded(Form("bt601", tags=_tags("smpte170m")), *_x264("smpte170m"), size=HD)),
    Case("sd_240m.mp4", GROUP, *_TAGGED, _coded(Form("smpte240m", tags=_tags("smpte240m")), *_x264("smpte240m"))),
    Case(
        "sd_2020_matrix.mp4",
        GROUP,
        *_TAGGED,
        _coded(Form("bt2020", tags=_tags("bt2020nc", "bt709", "bt709")), *_x264("bt2020nc")),
    ),
    Case("wide.mp4", GROUP, *_TAGGED, _wide("bt709", within=6)),
    Case(
        "transfer_only.mp4",
        GROUP,
        *_TAGGED,
        _coded(Form("bt601", tags=("colorspace=unknown", "color_trc=bt709", "range=tv"))),
    ),
    Case(
        "vp9_709.webm",
        GROUP,
        *_TAGGED,
        _coded(
            Form("bt709", tags=_tags("bt709")),
            "-c:v",
            "libvpx-vp9",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-b:v",
            "2M",
            "-colorspace",
            "bt709",
        ),
    ),
    Case(
        "full_601.mp4",
        GROUP,
        *_FULL,
        _coded(
            Form("bt601", is_full=True, tags=_tags("smpte170m", levels="pc")), *_x264("smpte170m", "-color_range", "pc")
        ),
    ),
    Case(
        "full_709.mp4",
        GROUP,
        *_FULL,
        _coded(Form("bt709", is_full=True, tags=_tags("bt709", levels="pc")), *_x264("bt709", "-color_range", "pc")),
    ),
    Case(
        "full_untagged_matrix.mp4",
        GROUP,
        *_FULL,
        _coded(Form("bt601", is_full=True, tags=("colorspace=unknown", "range=pc")), *H264, "-color_range", "pc"),
    ),
    Case(
        "mjpeg.mov",
        GROUP,
        *_FULL,
        _coded(
            Form("bt601", is_full=True, pixels="yuvj420p", tags=("colorspace=unknown", "range=pc")),
            "-c:v",
            "mjpeg",
            "-q:v",
            "2",
        ),
    ),
    Case(
        "ten_bit.mp4", GROUP, *_DEEP, _coded(Form("bt709", pixels="yuv420p10le", tags=_tags("bt709")), *_x264("bt709"))
    ),
    Case(
        "ten_bit_hevc.mp4",
        GROUP,
        *_DEEP,
        _coded(
            Form("bt709", pixels="yuv420p10le", tags=_tags("bt709")),
            *_HEVC,
            "-x265-params",
            "log-level=none:crf=12:colormatrix=bt709",
        ),
    ),
    Case(
        "ten_bit_422.mov",
        GROUP,
        *_DEEP,
        _coded(Form("bt709", pixels="yuv422p10le", tags=_tags("bt709")), *_x264("bt709")),
    ),
    Case("four_two_two.mp4", GROUP, *_DEEP, _coded(Form("bt601", pixels="yuv422p"))),
    Case("four_four_four.mp4", GROUP, *_DEEP, _coded(Form("bt601", pixels="yuv444p"))),
    Case(
        "rgb.mp4", GROUP, *_DEEP, _coded(Form(pixels="gbrp"), "-c:v", "libx264rgb", "-preset", "veryfast", "-crf", "10")
    ),
    Case("rgb_qtrle.mov", GROUP, *_DEEP, _coded(Form(pixels="rgb24"), "-c:v", "qtrle")),
    Case("huffyuv.avi", GROUP, *_DEEP, _coded(Form("bt601", pixels="yuv422p"), "-c:v", "huffyuv")),
    Case("grey.mp4", GROUP, *_DEEP, _grey),
    Case("av1.mp4", GROUP, "AV1", "Where ffmpeg has a decoder for it; else `INPUT_UNSUPPORTED`.", _av1),
    Case("pq.mp4", GROUP, *_HDR, _wide("smpte2084", within=_TONE_MAPPED_WITHIN)),
    Case("hlg.mp4", GROUP, *_HDR, _wide("arib-std-b67", within=_TONE_MAPPED_WITHIN)),
)
