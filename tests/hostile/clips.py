"""Tiny real clips in every container: what hostile files are made from."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from mediajobs_dagster.media.tools import Tools

_PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=0.5")
_SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=16000:duration=0.5")
_BOTH = (*_PICTURE, *_SOUND)
_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "4")
_AAC = ("-c:a", "aac")

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "mp4": (*_BOTH, *_H264, *_AAC, "-movflags", "+faststart"),
    "mov": (*_BOTH, *_H264, "-c:a", "pcm_s16le"),
    "m4a": (*_SOUND, *_AAC),
    "fragmented.mp4": (*_BOTH, *_H264, *_AAC, "-movflags", "frag_keyframe+empty_moov"),
    "edited.mp4": (*_PICTURE, "-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p"),
    "mkv": (*_BOTH, *_H264, *_AAC),
    "webm": (*_BOTH, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus"),
    "avi": (*_BOTH, "-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    "wav": _SOUND,
    "w64": _SOUND,
    "aiff": _SOUND,
    "caf": _SOUND,
    "au": _SOUND,
    "mp3": (*_SOUND, "-c:a", "libmp3lame"),
    "flac": _SOUND,
    "ogg": (*_SOUND, "-c:a", "libopus"),
    "aac": (*_SOUND, *_AAC),
    "ts": (*_BOTH, *_H264, *_AAC),
    "flv": (*_BOTH, "-c:v", "flv", "-ar", "22050", "-c:a", "pcm_s16le"),
    "gif": _PICTURE,
    "mpg": (*_PICTURE, "-r", "25", "-c:v", "mpeg2video"),
    "asf": (*_BOTH, "-c:v", "mpeg4", "-c:a", "wmav2"),
    "mxf": (*_PICTURE, "-r", "25", "-c:v", "mpeg2video"),
    "ivf": (*_PICTURE, "-c:v", "libvpx-vp9", "-deadline", "realtime"),
    "h264": (*_PICTURE, *_H264),
}
"""What ffmpeg makes each clip with, by its ending."""

PICTURES = ("png", "jpeg", "webp", "bmp", "tiff")
"""Images, by Pillow's names and by their endings."""


def real_clips(tools: Tools, folder: Path) -> dict[str, bytes]:
    """Half a second of picture, or sound, or both in every container, and one image of each kind; by the ending."""
    found: dict[str, bytes] = {}
    for ending, options in COMMANDS.items():
        path = folder / f"clip.{ending}"
        # Bit for bit the same each time, so that a seed names the same file everywhere with this ffmpeg.
        exact = ("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-threads", "1")
        command = [tools.ffmpeg, "-nostdin", "-v", "error", "-y", *options, *exact, path]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)
        found[ending] = path.read_bytes()
    for ending in PICTURES:
        path = folder / f"image.{ending}"
        image = Image.new("RGB", (64, 48), "red")
        image.paste((0, 0, 255), (10, 10, 40, 30))
        image.save(path, ending.upper())
        found[ending] = path.read_bytes()
    return found
