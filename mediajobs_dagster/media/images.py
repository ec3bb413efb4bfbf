"""Opens the images of users with Pillow, within limits."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from mediajobs_dagster.errors import InputCorruptError, InputTooLargeError, InputUnsupportedError
from mediajobs_dagster.models import IMAGE, MediaInfo, VideoStream

ACCEPTED_IMAGES = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats of images, by Pillow's names."""


def open_image(path: Path, max_pixels: int) -> Image.Image:
    """The image in a file, upright, in RGBA.

    Raises InputTooLargeError before any pixel is decoded, InputCorruptError, and InputUnsupportedError.
    """
    try:
        with _opened(path) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise InputTooLargeError(
                    f"An image declares {width}x{height} pixels; the limit is {max_pixels} in all. Use a smaller one, "
                    "or raise MEDIAJOBS_MAX_PIXELS."
                )
            return _eight_bits(ImageOps.exif_transpose(image)).convert("RGBA")
    except Image.DecompressionBombError as error:
        raise InputTooLargeError(f"An image is too large: {error}. Use a smaller one.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputCorruptError(f"An image cannot be decoded: {error}. Upload it again.") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits scaled to 8 bits; Pillow would clip it. Raises InputUnsupportedError."""
    if image.mode == "F":
        raise InputUnsupportedError("An image has floating-point pixels, whose range is unknown. Save it as PNG.")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    return image.convert("I").point(lambda value: value / 257 + 0.5).convert("L")


def _opened(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns from a limit of its own on; here, `max_pixels` is the limit.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path, formats=ACCEPTED_IMAGES)


def image_info(path: Path, max_pixels: int) -> MediaInfo:
    """What an image file holds, decoded to its end. Raises as `open_image`."""
    image = open_image(path, max_pixels)
    picture = VideoStream(index=0, codec="rgba", width=image.width, height=image.height, frames=1)
    return MediaInfo(container=IMAGE, duration_seconds=0.0, bytes=path.stat().st_size, video=(picture,))
