"""Decodes the images of users with Pillow, each in a process of its own, under limits on memory and time.

An image of a few kilobytes can declare pixels of gigabytes, and a fault of a decoder must not end a worker.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import PIL
from PIL import Image

from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import (
    FfmpegFailedError,
    FfmpegKilledError,
    InputCorruptError,
    InputTooLargeError,
    InputTruncatedError,
    InputUnsupportedError,
    MediaJobsError,
    OutOfMemoryError,
)
from mediajobs_dagster.media.budget import OomWatch, granted_budget
from mediajobs_dagster.media.diagnosis import OWN_CRASHES
from mediajobs_dagster.media.heif import HEAD_BYTES, HEIF, heif_coding
from mediajobs_dagster.media.mp4_boxes import missing_bytes_of_file, truncated_text
from mediajobs_dagster.media.pipe import Pipe
from mediajobs_dagster.media.process import Child, Limits
from mediajobs_dagster.media.stderr import StderrReader
from mediajobs_dagster.models import IMAGE, JsonObject, MediaInfo, VideoStream

ACCEPTED_IMAGES = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats of images, by Pillow's names. HEIC and AVIF are accepted too, and known by their first bytes."""

_HEIF_DECODER = "pi_heif"
_READER = Path(__file__).with_name("picture_reader.py")
_LIMIT_S = 60.0
_PROGRAM_BYTES = 128 << 20
_BYTES_PER_PIXEL = 28
"""WebP is decoded into two canvases, then into Pillow's picture; turning and converting it takes two more. AVIF takes
the most: 26."""

Box = tuple[float, float, float, float]
"""Left, top, width and height, shares of the whole."""


def image_info(path: Path, max_pixels: int, cancel: Cancellation | None = None) -> MediaInfo:
    """What an image file holds, decoded to its end.

    Raises InputTruncatedError, InputTooLargeError, InputCorruptError, InputUnsupportedError, InputTooLongError,
    OutOfMemoryError when the kernel ended the process, FfmpegKilledError when somebody else did, and FfmpegFailedError
    when it could not begin.
    """
    if missing := missing_bytes_of_file(path):  # a decoder of HEIC leaves missing tiles empty, and says nothing
        raise InputTruncatedError(truncated_text(missing))
    found = _asked(path, max_pixels, cancel)
    picture = VideoStream(index=0, codec="rgba", width=found["width"], height=found["height"], frames=1)
    return MediaInfo(container=IMAGE, duration_seconds=0.0, bytes=path.stat().st_size, video=(picture,))


def fitted_image(
    path: Path,
    max_pixels: int,
    size: tuple[int, int],
    crop: Box | None = None,
    cancel: Cancellation | None = None,
) -> Image.Image:
    """The image in a file, upright, in RGBA, cropped, then scaled and cut to cover `size`. Raises as `image_info`."""
    # Beside the image, in the folder of the attempt, which goes even if this process is killed.
    with TemporaryDirectory(prefix="pixels-", dir=path.parent) as folder:
        target = Path(folder) / "pixels"
        _asked(path, max_pixels, cancel, target=str(target), size=size, crop=crop)
        return Image.frombytes("RGBA", size, target.read_bytes())


def _asked(path: Path, max_pixels: int, cancel: Cancellation | None, **wanted: Any) -> JsonObject:
    """The answer of a reader. Raises the fault that it names, or the one that it ended of."""
    coding = _heif_coding(path)
    formats = [coding] if coding else ACCEPTED_IMAGES
    request = {"formats": formats, "max_pixels": max_pixels, "target": None, "is_heif": bool(coding), **wanted}
    most = min(_PROGRAM_BYTES + _BYTES_PER_PIXEL * max_pixels, granted_budget().largest_command_bytes)
    limits = Limits(
        stall_s=_LIMIT_S,
        total_s=_LIMIT_S,
        memory_mb=most >> 20,
        memory_is_configured=False,
        follow_input=True,
        raised_by=(),
    )
    watch = OomWatch.of_process()
    kills = watch.kills()
    child = Child(Path(sys.executable), "The reader of images", limits, cancel or Cancellation())
    said, answer = StderrReader(), bytearray()
    arguments = ("-I", str(_READER), _folders(coding), str(path.absolute()), json.dumps(request))
    exit_code = child.run(arguments, cwd=None, stderr=Pipe(said.feed), stdout=Pipe(answer.extend))
    if exit_code:
        said.close()
        raise _crash(exit_code, said.tail, killed_for_memory=watch.kills() > kills)
    found: JsonObject = json.loads(answer)
    if fault := _FAULTS.get(found.get("fault", "")):
        raise fault[0](f"An image cannot be used: {found['message']}. {fault[1]}")
    return found


def _heif_coding(path: Path) -> str | None:
    with path.open("rb") as file:
        return heif_coding(file.read(HEAD_BYTES))


def _folders(coding: str | None) -> str:
    """Where the reader finds its libraries, as the value of PATH would say it."""
    decoder = find_spec(_HEIF_DECODER) if coding == HEIF else None
    homes = [PIL.__file__, decoder and decoder.origin]
    return os.pathsep.join(dict.fromkeys(str(Path(home).parents[1]) for home in homes if home))


_FAULTS: dict[str, tuple[type[MediaJobsError], str]] = {
    "too large": (InputTooLargeError, "Use a smaller one, or raise MEDIAJOBS_MAX_PIXELS."),
    "corrupt": (InputCorruptError, "Upload it again."),
    "unsupported": (InputUnsupportedError, "Save it as JPEG or PNG."),
}


def _crash(exit_code: int, said: str, *, killed_for_memory: bool) -> MediaJobsError:
    if killed_for_memory:
        return OutOfMemoryError("The reader of an image was killed because the worker's cgroup ran out of memory.")
    last = (said.strip().splitlines() or ["nothing"])[-1]
    if exit_code > 0:  # what is wrong with an image is an answer: this is what could not even begin
        return FfmpegFailedError(f"The reader of images ended with exit code {exit_code}. It said: {last}.")
    if -exit_code not in OWN_CRASHES:
        return FfmpegKilledError(
            f"The reader of images was ended by signal {-exit_code}, which mediajobs did not send. Look for who did: "
            "an operator, or the container's limits."
        )
    return InputCorruptError(f"An image made its decoder crash (signal {-exit_code}). Use another image.")
