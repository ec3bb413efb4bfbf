"""How far a running ffmpeg is, read from the blocks that `-progress` writes."""

from __future__ import annotations

import time
from collections.abc import Callable

from mediajobs_dagster.models import Progress


class ProgressReader:
    """Takes the text of `-progress`: `key=value` lines, a block of which ends with `progress=`."""

    def __init__(self, media_seconds: float | None, on_progress: Callable[[Progress], None] | None) -> None:
        self.out_seconds: float | None = None
        """Media seconds made so far; None before the first figure."""
        self.frames = 0
        """Frames made so far."""
        self.ended = False
        """Whether ffmpeg has written its last block."""
        self._media_seconds = media_seconds
        self._on_progress = on_progress
        self._started = time.monotonic()
        self._pending = b""
        self._block: dict[str, str] = {}
        self._figures: tuple[str | None, ...] = ()
        self._fraction = 0.0

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; True if any figure has moved."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        moved = False
        for line in lines:
            key, _, value = line.decode(errors="replace").partition("=")
            self._block[key.strip()] = value.strip()
            if key == "progress":
                moved |= self._take(self._block)
                self._block = {}
        return moved

    def finish(self) -> None:
        """Tell the listener that all is done."""
        if self._media_seconds is not None:
            self._fraction = 1.0
        self._tell()

    def _take(self, block: dict[str, str]) -> bool:
        figures = tuple(block.get(key) for key in ("frame", "out_time_us", "total_size"))
        moved, self._figures = figures != self._figures, figures
        self.ended = block["progress"] == "end"
        self.frames = _number(block.get("frame")) or self.frames
        microseconds = _number(block.get("out_time_us"))
        if microseconds is not None:
            self.out_seconds = max(0.0, microseconds / 1e6, self.out_seconds or 0.0)
        if self._media_seconds and self.out_seconds is not None:
            # Not 1 before the process has ended: it has to write the trailer, and can still fail.
            self._fraction = max(self._fraction, min(0.999, self.out_seconds / self._media_seconds))
        self._tell()
        return moved

    def _tell(self) -> None:
        if self._on_progress is None:
            return
        made = self.out_seconds or 0.0
        speed = made / max(time.monotonic() - self._started, 1e-3) or None
        known = self._media_seconds is not None
        left = (self._media_seconds or 0.0) * (1 - self._fraction)
        self._on_progress(
            Progress(
                fraction=self._fraction if known else None,
                speed=speed,
                eta_s=left / speed if known and speed else None,
                out_seconds=made,
            )
        )


def _number(text: str | None) -> int | None:
    # Before the first packet ffmpeg writes N/A.
    return int(text) if text and text.lstrip("-").isdigit() else None
