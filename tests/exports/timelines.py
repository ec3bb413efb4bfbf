"""Parts of timelines, and what tests ask of the pictures that come of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.exports.barcodes import Footage, Pixels

Part = dict[str, object]


def clip(footage: Footage, in_: float | str = 0, out: float | str | None = None, **more: object) -> Part:
    """A clip of the base track."""
    return {"kind": "clip", "source": footage.name, "in": in_, **({} if out is None else {"out": out}), **more}


def image(path: Path, duration: float | str, **more: object) -> Part:
    """An image of the base track."""
    return {"kind": "image", "source": path.name, "duration": duration, **more}


def gap(duration: float) -> Part:
    """Nothing for a while."""
    return {"kind": "gap", "duration": duration}


def canvas(width: int = 320, height: int = 180, fps: float | str = 30, background: str | Part = "#000000") -> Part:
    """A canvas; a background is a colour, or written out."""
    behind: object = {"kind": "color", "color": background} if isinstance(background, str) else background
    return {"width": width, "height": height, "fps": fps, "background": behind}


def off_by(pixels: Pixels, color: tuple[int, int, int]) -> int:
    """How far the farthest of these pixels is from a colour, steps."""
    return int(np.abs(pixels.astype(int) - color).max())
