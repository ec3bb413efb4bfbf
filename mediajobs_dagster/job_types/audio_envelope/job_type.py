"""`upload_audio_envelope_v1`: the loudness of a video over time, for drawing a waveform.

Format `audio_envelope_v3`, ten points a second. A point is the root mean square of one tenth of a second (4,800 samples
at 48 kHz of the sound track, mixed down to one channel with weights that add up to 1), in decibels of full scale,
clamped to -60…0 dB, back to linear amplitude, square-rooted so that quiet passages stay visible:

    v = sqrt(10 ** (clamp(20 * log10(rms), -60, 0) / 20))

A point stands for its tenth of a second of the whole file, from the beginning of the file to its end: where the sound
begins later, ends earlier or has a hole, there is silence. Nothing is normalised per file, so envelopes compare across
files; silence is sqrt(0.001) = 0.0316.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from mediajobs_dagster.job_types.base import Lane, Params, UploadJobType
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Output, Plan, Run, Sink
from mediajobs_dagster.job_types.tracks import sound_of, track_notes, whole_of
from mediajobs_dagster.media import command as ffmpeg
from mediajobs_dagster.models import AudioStream, JsonObject, MediaInfo, Upload

VERSION = "audio_envelope_v3"
SAMPLE_RATE = 48_000
WINDOW = 4_800
INTERVAL_SECONDS = WINDOW / SAMPLE_RATE
FILENAME = "audio_envelope.json"


class AudioEnvelope(UploadJobType):
    """The loudness of the sound, ten points a second, as JSON for drawing a waveform."""

    name: ClassVar[str] = "upload_audio_envelope_v1"
    asset: ClassVar[str] = "audio_envelope"
    version: ClassVar[int] = 2
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
        audio = sound_of(source.info)
        if audio is None:
            silent: JsonObject = {
                **head(has_audio=False),
                "durationSeconds": source.info.duration_seconds,
                "points": [],
            }
            output = Output(FILENAME, key, "application/json", literal=json.dumps(silent).encode())
            return Plan(outputs=(output,), notes=track_notes(source.info))
        command = ffmpeg.Command(
            inputs=(ffmpeg.Input("source"),),
            outputs=(ffmpeg.Output(ffmpeg.STDOUT, _samples(audio, source.info)),),
            media_seconds=audio.duration_seconds or source.info.duration_seconds or None,
        )
        return Plan(
            outputs=(Output(FILENAME, key, "application/json"),),
            steps=(Run(command, sink=partial(_writer, begin=audio.start_seconds, end=source.info.duration_seconds)),),
            notes=track_notes(source.info),
        )


def _writer(scratch: Path, *, begin: float, end: float) -> Sink:
    # numpy takes a tenth of a second to load: only what computes an envelope waits for it.
    from mediajobs_dagster.job_types.audio_envelope.points import EnvelopeWriter

    return EnvelopeWriter(scratch / FILENAME, begin, end)


def head(*, has_audio: bool) -> JsonObject:
    """The fields of an envelope before its points."""
    return {"version": VERSION, "intervalSeconds": INTERVAL_SECONDS, "hasAudio": has_audio}


def _samples(audio: AudioStream, info: MediaInfo) -> tuple[str, ...]:
    # Signed 16-bit: half the pipe traffic of floats, far finer than the -60 dB floor, and what makes ffmpeg's mix to
    # one channel an average (for float samples it adds the channels up 3 dB louder).
    return (
        *("-map", f"0:{audio.index}", "-vn"),  # -vn: the picture is not even demultiplexed
        *("-af", f"{whole_of(audio, info)}:out_sample_rate={SAMPLE_RATE}:out_chlayout=mono:out_sample_fmt=s16"),
        *("-c:a", "pcm_s16le", "-f", "s16le"),
    )
