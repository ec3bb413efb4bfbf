"""The same edit with `melt`, the command of the MLT framework, which Kdenlive and Shotcut use."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.export_edit import Edit
from benchmarks.export_passes import inset_box, lettering
from benchmarks.export_sources import FPS

PROFILE = f"""description=1080p at {FPS}
frame_rate_num={FPS}
frame_rate_den=1
width=1920
height=1080
progressive=1
sample_aspect_num=1
sample_aspect_den=1
display_aspect_num=16
display_aspect_den=9
colorspace=709
"""


@dataclass(frozen=True)
class Melt:
    """Makes the edit with melt in `folder`, from `files` by name."""

    program: str
    edit: Edit
    files: Mapping[str, Path]
    folder: Path

    @staticmethod
    def find() -> str | None:
        """Where melt is, if it is on PATH."""
        return shutil.which("melt")

    def make(self, name: str) -> float:
        """Make the video `name`; returns the seconds it takes."""
        (self.folder / "mlt.profile").write_text(PROFILE)
        if self.edit.title:
            lettering(self.edit).picture.save(self.folder / "title.png")
        command = [self.program, "-silent", "-profile", "mlt.profile", *self._base(), *self._above(), *_encoded(name)]
        start = time.perf_counter()
        subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return time.perf_counter() - start

    def _base(self) -> list[object]:
        arguments: list[object] = []
        for part in self.edit.parts:
            arguments += [f"avformat:{self.files[part.source]}", *_from(part.first, part.frames)]
            if part.dissolve:
                arguments += ["-mix", part.dissolve, "-mixer", "luma", "-mixer", "mix:-1"]
        return arguments

    def _above(self) -> list[object]:
        tracks: list[object] = []
        joints: list[object] = []
        if inset := self.edit.inset:
            source = f"avformat:{self.files[inset.source]}"
            tracks += ["-track", "-blank", inset.start - 1, source, *_from(inset.first, inset.frames), "audio_index=-1"]
            joints += _over(1, inset_box(self.edit), inset.start, inset.frames)
        if title := self.edit.title:
            shown = lettering(self.edit)
            tracks += ["-track", "-blank", title.start - 1, "pixbuf:title.png", *_from(0, title.frames)]
            joints += _over(2, (shown.left, shown.top, *shown.picture.size), title.start, title.frames)
        return [*tracks, *joints]


def _from(first: int, frames: int) -> list[object]:
    return [f"in={first}", f"out={first + frames - 1}"]


def _over(track: int, box: tuple[int, int, int, int], start: int, frames: int) -> list[object]:
    left, top, width, height = box
    place = f"geometry={left}/{top}:{width}x{height}:100"
    way = ("composite", place, "a_track=0", f"b_track={track}", "progressive=1", "distort=1")
    return ["-transition", *way, *_from(start, frames)]


def _encoded(name: str) -> list[object]:
    # real_time=-2: two frames at a time, none dropped.
    picture = ("vcodec=libx264", "preset=veryfast", "crf=20", f"g={2 * FPS}", "pix_fmt=yuv420p", "threads=0")
    sound = ("acodec=aac", "ab=128k", "ar=48000", "channels=2")
    return [
        "-consumer",
        f"avformat:{name}",
        *picture,
        *sound,
        "real_time=-2",
        "movflags=+faststart",
        "terminate_on_pause=1",
    ]
