"""Boxes with round corners, and pictures with less opacity."""

from __future__ import annotations

from PIL import Image, ImageDraw

_FINE = 4
"""Corners are drawn this many times larger and then scaled down, which smooths them."""


def rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """A box as a mask (mode L) with smooth round corners; the radius is at most half the shorter edge."""
    mask = Image.new("L", size, 255)
    radius = min(radius, min(size) // 2)
    if radius == 0:
        return mask
    edge = 2 * radius * _FINE
    disc = Image.new("L", (edge, edge))
    ImageDraw.Draw(disc).ellipse((0, 0, edge - 1, edge - 1), fill=255)
    disc = disc.reduce(_FINE)
    right, bottom = size[0] - radius, size[1] - radius
    for x, from_x in ((0, 0), (right, radius)):
        for y, from_y in ((0, 0), (bottom, radius)):
            mask.paste(disc.crop((from_x, from_y, from_x + radius, from_y + radius)), (x, y))
    return mask


def faint(picture: Image.Image, opacity: float) -> Image.Image:
    """The picture with its alpha multiplied by `opacity`."""
    if opacity < 1:
        picture.putalpha(picture.getchannel("A").point([round(alpha * opacity) for alpha in range(256)]))
    return picture
