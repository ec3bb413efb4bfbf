"""Decodes one image of a user, in a process of its own that `images` starts under limits.

It is run by its path and imports nothing of this package, so that it starts in a tenth of a second:

    python -I picture_reader.py FOLDERS_OF_LIBRARIES IMAGE REQUEST

REQUEST and the answer, on standard output, are JSON. An image that cannot be decoded is an answer too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

_LONGEST_S = 120
"""It ends itself after this long: whoever started it may be gone."""


class TooLargeError(Exception):
    """The image declares more pixels than it may have."""


class UnsupportedError(Exception):
    """The image's pixels cannot be shown."""


def answer(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Width and height of the upright image, or the fault that keeps it from being decoded, and its message.

    `request` has `formats`, `max_pixels`, `is_heif`, and for a picture to be used `target` (a file for raw RGBA),
    `size` and `crop` (left, top, width and height as shares; None: all of it).
    """
    from PIL import Image  # the path to it is known only now

    try:
        size = _decode(path, request)
    except (TooLargeError, Image.DecompressionBombError) as error:
        return {"fault": "too large", "message": str(error)}
    except MemoryError:
        return {"fault": "too large", "message": "its pixels take more memory than it is granted"}
    except UnsupportedError as error:
        return {"fault": "unsupported", "message": str(error)}
    except Exception as error:  # noqa: BLE001  # foreign code: a hostile file makes Pillow raise anything
        message = str(error).replace(f" {str(path)!r}", "") or type(error).__name__  # no path of the machine
        if request["is_heif"]:
            # There are many ways to code one, and no decoder knows all of them. So it need not be damaged.
            return {"fault": "unsupported", "message": f"it is a HEIC or AVIF picture not decodable here: {message}"}
        return {"fault": "corrupt", "message": message}
    return {"width": size[0], "height": size[1]}


def _decode(path: Path, request: dict[str, Any]) -> tuple[int, int]:
    from PIL import Image, ImageOps

    if "HEIF" in request["formats"]:
        # It applies the orientation, and says that there is none left.
        from pi_heif import register_heif_opener  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

        register_heif_opener()
    _refuse_large(_webp_size(path), request["max_pixels"])
    with warnings.catch_warnings():
        # Pillow warns from a limit of its own on; here, `max_pixels` is the limit.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        opened = Image.open(path, formats=request["formats"])
    with opened:
        _refuse_large(opened.size, request["max_pixels"])
        opened.load()
        ImageOps.exif_transpose(opened, in_place=True)
        image = _eight_bits(opened)
    if request["target"]:
        image = image.convert("RGBA")
        Path(request["target"]).write_bytes(_fitted(image, request["crop"], tuple(request["size"])).tobytes())
    return image.size


def _refuse_large(size: tuple[int, int] | None, max_pixels: int) -> None:
    if size and size[0] * size[1] > max_pixels:
        raise TooLargeError(f"it declares {size[0]}x{size[1]} pixels; the limit is {max_pixels} in all")


def _webp_size(path: Path) -> tuple[int, int] | None:
    """The size that a WebP declares; None for any other file. Pillow sets memory aside for it as it opens the file.

    Format: https://developers.google.com/speed/webp/docs/riff_container and RFC 6386, section 9.1.
    """
    with path.open("rb") as file:
        head = file.read(30)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def _eight_bits(image: Any) -> Any:
    """A grey image of 16 bits scaled to 8 bits; Pillow would clip it."""
    if image.mode == "F":
        raise UnsupportedError("it has floating-point pixels, whose range is unknown")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    return image.convert("I").point(_eighth).convert("L")


def _eighth(value: Any) -> Any:
    return value / 257 + 0.5


def _fitted(image: Any, crop: list[float] | None, size: tuple[int, int]) -> Any:
    from PIL import Image, ImageOps

    if crop:
        left, top = crop[0] * image.width, crop[1] * image.height
        right, bottom = left + crop[2] * image.width, top + crop[3] * image.height
        image = image.crop((round(left), round(top), round(right), round(bottom)))
    # Covers `size`, cut in the middle; if the shapes agree, this is plain scaling.
    return ImageOps.fit(image, size, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    signal.alarm(_LONGEST_S)
    sys.path += sys.argv[1].split(os.pathsep)
    json.dump(answer(Path(sys.argv[2]), json.loads(sys.argv[3])), sys.stdout)
