"""`upload_audio_envelope_v1`: the loudness of a video over time, for drawing a waveform.

Format `audio_envelope_v3`, ten points a second. A point is the root mean square of one tenth of a second (4,800 samples
at 48 kHz of the first sound track, mixed down to one channel with weights that add up to 1), in decibels of full scale,
clamped to -60…0 dB, back to linear amplitude, square-rooted so that quiet passages stay visible:

    v = sqrt(10 ** (clamp(20 * log10(rms), -60, 0) / 20))

Nothing is normalised per file, so envelopes compare across files; silence is sqrt(0.001) = 0.0316.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from mediajobs_dagster.job_types.base import Lane, Params, UploadJobType
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Output, Plan, Run, Sink
from mediajobs_dagster.media import command as ffmpeg
from mediajobs_dagster.models import AudioStream, JsonObject, Upload

VERSION = "audio_envelope_v3"
SAMPLE_RATE = 48_000
WINDOW = 4_800
INTERVAL_SECONDS = WINDOW / SAMPLE_RATE
FLOOR_DB = -60.0
FILENAME = "audio_envelope.json"

# Signed 16-bit: half the pipe traffic of floats, far finer than the -60 dB floor, and what makes ffmpeg's mix to one
# channel an average (for float samples it adds the channels up 3 dB louder).
_BYTES_PER_SAMPLE = 2
_WINDOW_BYTES = WINDOW * _BYTES_PER_SAMPLE
_BLOCK = 8
"""Windows that are converted to floats at once: few enough for the processor's cache."""


class AudioEnvelope(UploadJobType):
    """The loudness of the sound, ten points a second, as JSON for drawing a waveform."""

    name: ClassVar[str] = "upload_audio_envelope_v1"
    asset: ClassVar[str] = "audio_envelope"
    lane: ClassVar[Lane] = Lane.LIGHT
    batch_size: ClassVar[int] = 20
    threads: ClassVar[int] = 1  # audio decoders cannot use more

    @override
    def wanted_for(self, upload: Upload) -> bool:
        return upload.media_info is None or not upload.media_info.is_image

    @override
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        return (f"envelopes/uploads/{subject_id}/{FILENAME}",)

    @override
    def rehearsal(self, clip: Upload) -> Upload:
        return clip

    @override
    def plan_upload(self, source: Source, params: Params) -> Plan:
        (key,) = self.output_keys(source.upload.id)
        audio = source.info.main_audio
        if audio is None:
            silent: JsonObject = {
                **_head(has_audio=False),
                "durationSeconds": source.info.duration_seconds,
                "points": [],
            }
            return Plan(outputs=(Output(FILENAME, key, "application/json", literal=json.dumps(silent).encode()),))
        command = ffmpeg.Command(
            inputs=(ffmpeg.Input("source"),),
            outputs=(ffmpeg.Output(ffmpeg.STDOUT, _samples(audio)),),
            media_seconds=audio.duration_seconds or source.info.duration_seconds or None,
        )
        return Plan(
            outputs=(Output(FILENAME, key, "application/json"),),
            steps=(Run(command, sink=lambda scratch: EnvelopeWriter(scratch / FILENAME)),),
        )


class EnvelopeWriter(Sink):
    """Turns 48 kHz mono s16le samples into an envelope file, point by point; memory does not grow with the length."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb")
        self._rest = b""
        self._samples = 0
        self._points = 0
        opening = json.dumps(_head(has_audio=True))
        self._file.write(opening[:-1].encode() + b', "points": [')

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
        """Write the last, shorter window and the end of the file."""
        left = len(self._rest) // _BYTES_PER_SAMPLE
        if left:
            self._append(np.frombuffer(self._rest, dtype="<i2", count=left).reshape(1, left))
        self._file.write(f'], "durationSeconds": {self._samples / SAMPLE_RATE:.3f}}}\n'.encode())
        self._file.close()

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


def _head(*, has_audio: bool) -> JsonObject:
    return {"version": VERSION, "intervalSeconds": INTERVAL_SECONDS, "hasAudio": has_audio}


def _samples(audio: AudioStream) -> tuple[str, ...]:
    return (
        *("-map", f"0:{audio.index}", "-vn"),  # -vn: the picture is not even demultiplexed
        *("-ac", "1", "-ar", str(SAMPLE_RATE), "-c:a", "pcm_s16le", "-f", "s16le"),
    )


JOB_TYPE = AudioEnvelope()
