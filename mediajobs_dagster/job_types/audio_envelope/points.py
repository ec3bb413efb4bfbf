"""The points of an envelope, computed from samples as ffmpeg sends them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from mediajobs_dagster.job_types.audio_envelope.job_type import INTERVAL_SECONDS, SAMPLE_RATE, WINDOW, head
from mediajobs_dagster.job_types.plan import Sink

FLOOR_DB = -60.0
_BYTES_PER_SAMPLE = 2
_WINDOW_BYTES = WINDOW * _BYTES_PER_SAMPLE
_SILENT_WINDOWS = 1000
_BLOCK = 8
"""Windows that are converted to floats at once: few enough for the processor's cache."""


class EnvelopeWriter(Sink):
    """Turns 48 kHz mono s16le samples into an envelope file, point by point; memory does not grow with the length.

    The sound begins at `begin`, and there is silence before, and from its end to `end`, seconds of the whole file.
    """

    def __init__(self, path: Path, begin: float = 0.0, end: float = 0.0) -> None:
        self._end = round(end * SAMPLE_RATE)
        self._file: BinaryIO = path.open("wb")
        self._rest = b""
        self._samples = 0
        self._points = 0
        opening = json.dumps(head(has_audio=True))
        self._file.write(opening[:-1].encode() + b', "points": [')
        self._silence(round(begin * SAMPLE_RATE))

    def write(self, data: bytes) -> None:
        """Take the next bytes, which may end anywhere, even within a sample."""
        # Only a window that is split over two calls is copied together; the others are read in place.
        missing = _WINDOW_BYTES - len(self._rest) if self._rest else 0
        if len(data) < missing:
            self._rest += data
            return
        if missing:
            self._append(_windows(self._rest + data[:missing], 1))
        whole = (len(data) - missing) // _WINDOW_BYTES
        self._append(_windows(memoryview(data)[missing:], whole))
        self._rest = data[missing + whole * _WINDOW_BYTES :]

    def close(self) -> None:
        """Write the silence at the end, the last, shorter window and the end of the file."""
        self._silence(self._end - self._samples - len(self._rest) // _BYTES_PER_SAMPLE)
        left = len(self._rest) // _BYTES_PER_SAMPLE
        if left:
            self._append(np.frombuffer(self._rest, dtype="<i2", count=left).reshape(1, left))
        self._file.write(f'], "durationSeconds": {self._samples / SAMPLE_RATE:.3f}}}\n'.encode())
        self._file.close()

    def _silence(self, samples: int) -> None:
        while samples > 0:
            length = min(samples, _SILENT_WINDOWS * WINDOW)
            self.write(bytes(length * _BYTES_PER_SAMPLE))
            samples -= length

    def _append(self, windows: npt.NDArray[np.int16]) -> None:
        if not windows.size:
            return
        points = envelope(windows)
        text = ", ".join(
            f'{{"t": {(self._points + index) * INTERVAL_SECONDS:.1f}, "v": {value:.4f}}}'
            for index, value in enumerate(points.tolist())
        )
        self._file.write((", " if self._points else "").encode() + text.encode())
        self._points += len(points)
        self._samples += windows.size


def envelope(windows: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """The points of `windows`, an array of shape (points, samples) of signed 16-bit samples."""
    squares = np.empty(len(windows), dtype=np.float64)
    scaled = np.empty((min(_BLOCK, len(windows)), windows.shape[1]), dtype=np.float32)
    for start in range(0, len(windows), _BLOCK):
        block = windows[start : start + _BLOCK]
        floats = scaled[: len(block)]
        floats[:] = block
        squares[start : start + _BLOCK] = np.einsum("ij,ij->i", floats, floats)
    mean_square = squares / windows.shape[1] / 32768.0**2
    decibels = 10.0 * np.log10(np.maximum(mean_square, 1e-12))
    return np.sqrt(10.0 ** (np.clip(decibels, FLOOR_DB, 0.0) / 20.0))


def _windows(data: bytes | memoryview, count: int) -> npt.NDArray[np.int16]:
    return np.frombuffer(data, dtype="<i2", count=count * WINDOW).reshape(count, WINDOW)
