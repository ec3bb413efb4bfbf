"""Tells a picture from one that shows nothing: black before a fade, a white slate, a screen that is hardly lit."""

from __future__ import annotations

from pathlib import Path

from mediajobs_dagster.errors import OutputInvalidError

_SHRUNK = 4
"""The picture is looked at in a quarter of its size, which a JPEG decoder makes in less than a millisecond."""
_SPREAD = 8.0
"""Standard deviation of luma or chroma, levels. Noise on black stays below; a title of 0.1 % of the pixels does not."""
_DIM = 64
"""A picture without any light above this level of luma is as good as black."""
_LIT_SHARE = 0.001


def is_blank(path: Path) -> bool:
    """Whether the JPEG at `path` is nearly of one colour, or nearly black all over.

    Raises OutputInvalidError when it is no picture.
    """
    # Most processes that load this never look at a picture, and Pillow takes a while to load.
    from PIL import Image, ImageStat

    try:
        with Image.open(path) as picture:
            picture.draft("YCbCr", (max(1, picture.width // _SHRUNK), max(1, picture.height // _SHRUNK)))
            levels = picture.convert("YCbCr").histogram()
    except OSError as error:
        raise OutputInvalidError(f"{path.name} cannot be decoded: {error}.") from error
    lit = sum(levels[_DIM:256])
    return max(ImageStat.Stat(levels).stddev) < _SPREAD or lit < _LIT_SHARE * sum(levels[:256])
