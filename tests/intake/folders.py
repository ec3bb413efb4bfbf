"""Folders of small, distinct media files."""

from __future__ import annotations

import struct
from pathlib import Path


def distinct(clip: Path, number: int) -> bytes:
    """The clip as a file of its own: at its end an MP4 may have a box that players pass over."""
    return clip.read_bytes() + struct.pack(">I4sI", 12, b"free", number)


def fill(folder: Path, clip: Path, count: int) -> Path:
    """Make `folder` with so many distinct copies of `clip`."""
    folder.mkdir()
    for number in range(count):
        (folder / f"clip{number:04}.mp4").write_bytes(distinct(clip, number))
    return folder
