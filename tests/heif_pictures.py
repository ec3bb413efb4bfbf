"""HEIC and AVIF pictures, made for tests."""

from __future__ import annotations

from pathlib import Path

import pillow_heif
from PIL import Image

LEFT, RIGHT = (200, 30, 30), (30, 30, 200)
"""The colours of the left third and of the rest, before the picture is turned."""
_ORIENTATION = 0x112


def two_coloured(size: tuple[int, int] = (90, 60)) -> Image.Image:
    """A picture that shows how it is turned."""
    image = Image.new("RGB", size, RIGHT)
    image.paste(LEFT, (0, 0, size[0] // 3, size[1]))
    return image


def written(path: Path, image: Image.Image | None = None, *, orientation: int = 1, brand: bytes | None = None) -> Path:
    """A picture as a file, HEIC or AVIF by the ending of its name.

    `orientation` is that of EXIF. It is stored as the format asks for, which is a property of the picture. `brand`
    replaces the file's major brand.
    """
    image = image or two_coloured()
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    if path.suffix == ".avif":
        image.save(path, "AVIF", exif=exif.tobytes())
    else:
        heif = pillow_heif.from_pillow(image)
        heif.save(path, exif=exif.tobytes(), quality=90)
    if brand:
        content = path.read_bytes()
        path.write_bytes(content[:8] + brand + content[12:])
    return path


def of_unknown_coding(path: Path) -> Path:
    """A HEIC picture in a coding that nobody knows."""
    content = written(path.with_name("known.heic")).read_bytes()
    path.write_bytes(content.replace(b"hvc1", b"xyz1"))
    return path
