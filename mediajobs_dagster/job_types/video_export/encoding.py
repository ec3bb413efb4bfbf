"""How an export is encoded: profiles, codecs, and the encoders of graphics hardware."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from pydantic import Field

from mediajobs_dagster.job_types.base import Params
from mediajobs_dagster.media.command import VAAPI_DEVICE


class Profile(StrEnum):
    """The trade-off between speed and quality."""

    DRAFT = "draft"
    """Fast, for a first look."""
    STANDARD = "standard"
    HIGH = "high"
    """The best picture; takes several times as long."""


class Codec(StrEnum):
    """The codec of the picture."""

    H264 = "h264"
    HEVC = "hevc"
    AV1 = "av1"
    VP9 = "vp9"


class Hardware(StrEnum):
    """Graphics hardware that can encode."""

    NVENC = "nvenc"
    QUICK_SYNC = "qsv"
    VIDEOTOOLBOX = "videotoolbox"
    VAAPI = "vaapi"


class ExportParams(Params):
    """How a timeline is to be rendered."""

    profile: Profile = Field(default=Profile.STANDARD, description="draft, standard or high.")
    codec: Codec = Field(default=Codec.H264, description="h264, hevc, av1 or vp9.")
    hardware: Hardware | None = Field(default=None, description="Encode on graphics hardware, if there is any.")
    allow_untonemapped: bool = Field(
        default=False, description="Render HDR sources even where they cannot be tone-mapped: they look washed out."
    )


@dataclass(frozen=True)
class Encoding:
    """The options of an output, and what a probe has to find in it."""

    options: tuple[str, ...]
    codec: str
    """The codec's name by ffprobe."""
    encoder: str
    upload: str = ""
    """The filter that uploads the picture to the hardware; empty if none is needed."""


_KEYFRAME_S = 2
"""Most seconds between key frames: players seek by them, and the check of the result decodes each."""

_SOFTWARE: dict[Codec, tuple[str, dict[Profile, tuple[str, ...]]]] = {
    Codec.H264: (
        "libx264",
        {
            Profile.DRAFT: ("-preset", "ultrafast", "-crf", "28"),
            Profile.STANDARD: ("-preset", "veryfast", "-crf", "20"),
            Profile.HIGH: ("-preset", "slow", "-crf", "17"),
        },
    ),
    Codec.HEVC: (
        "libx265",
        {
            Profile.DRAFT: ("-preset", "ultrafast", "-crf", "30"),
            Profile.STANDARD: ("-preset", "veryfast", "-crf", "23"),
            Profile.HIGH: ("-preset", "medium", "-crf", "20"),
        },
    ),
    Codec.AV1: (
        "libsvtav1",
        {
            Profile.DRAFT: ("-preset", "12", "-crf", "42"),
            Profile.STANDARD: ("-preset", "9", "-crf", "32"),
            Profile.HIGH: ("-preset", "6", "-crf", "26"),
        },
    ),
    Codec.VP9: (
        "libvpx-vp9",
        {
            Profile.DRAFT: ("-deadline", "realtime", "-cpu-used", "8", "-b:v", "0", "-crf", "40"),
            Profile.STANDARD: ("-deadline", "good", "-cpu-used", "5", "-b:v", "0", "-crf", "32", "-row-mt", "1"),
            Profile.HIGH: ("-deadline", "good", "-cpu-used", "2", "-b:v", "0", "-crf", "26", "-row-mt", "1"),
        },
    ),
}

_LEVEL = {Profile.DRAFT: 30, Profile.STANDARD: 22, Profile.HIGH: 18}
"""Constant quality of hardware encoders, in quantiser steps, similar to x264's CRF."""

# In MP4, Apple's players need these tags.
_TAGS = {Codec.HEVC: ("-tag:v", "hvc1")}
_SILENT = {"libx265": ("-x265-params", "log-level=error")}


def hardware_encoder(params: ExportParams) -> str | None:
    """The encoder for the requested hardware, such as h264_nvenc; None if none was requested."""
    return f"{params.codec}_{params.hardware}" if params.hardware else None


def encoding_of(params: ExportParams, fps: Fraction, *, hardware_works: bool) -> Encoding:
    """How to encode; on hardware only if it was requested and `hardware_works`."""
    on_hardware = hardware_encoder(params) if hardware_works else None
    if on_hardware:
        assert params.hardware
        encoder, quality = on_hardware, _hardware_quality(params.hardware, params.profile)
    else:
        encoder, by_profile = _SOFTWARE[params.codec]
        quality = by_profile[params.profile]
    options = (
        *(VAAPI_DEVICE if on_hardware and params.hardware is Hardware.VAAPI else ()),
        *("-c:v", encoder, *quality, *_SILENT.get(encoder, ())),
        *("-g", str(round(_KEYFRAME_S * fps))),
        *("-pix_fmt", "yuv420p") * (on_hardware is None),
        *("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv"),
        *_TAGS.get(params.codec, ()),
        *("-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2"),
        *("-map_metadata", "-1", "-map_chapters", "-1"),  # an export must not carry private metadata of its sources
        *("-movflags", "+faststart"),
        *("-f", "mp4"),
    )
    upload = "format=nv12,hwupload" if on_hardware and params.hardware is Hardware.VAAPI else ""
    return Encoding(options, params.codec, encoder, upload)


def _hardware_quality(hardware: Hardware, profile: Profile) -> tuple[str, ...]:
    level = _LEVEL[profile]
    match hardware:
        case Hardware.NVENC:
            return ("-preset", "p4", "-rc", "vbr", "-cq", str(level), "-b:v", "0")
        case Hardware.QUICK_SYNC:
            return ("-preset", "veryfast", "-global_quality", str(level))
        case Hardware.VIDEOTOOLBOX:
            return ("-q:v", str(100 - 2 * level))
        case Hardware.VAAPI:
            return ("-rc_mode", "CQP", "-qp", str(level))
