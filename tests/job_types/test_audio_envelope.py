"""The plan of an audio envelope, from saved probes, and the formula over samples made by hand."""

from __future__ import annotations

import itertools
import json
import math
import random
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.audio_envelope.points import EnvelopeWriter
from mediajobs_dagster.job_types.base import Lane
from mediajobs_dagster.job_types.plan import Plan
from mediajobs_dagster.media.command import STDOUT, Input
from mediajobs_dagster.models import MediaInfo
from tests.job_types.sources import UPLOAD_ID, saved, source, variant

Samples = npt.NDArray[np.int16]

# --- the plan --------------------------------------------------------------------------------------------------------


MIXED = "aresample=async=1:min_hard_comp=0.02:out_sample_rate=48000:out_chlayout=mono:out_sample_fmt=s16"


def plan(info: MediaInfo) -> Plan:
    """The plan of an envelope of that media."""
    return AudioEnvelope().plan_upload(source(info), AudioEnvelope().parse({}))


@pytest.mark.parametrize(
    ("name", "track"),
    [("bigbuckbunny", 1), ("rotated_portrait", 1), ("surround", 1), ("two_audio_tracks", 1), ("cover_art", 0)],
)
def test_the_command(name: str, track: int) -> None:
    """The first sound track, as 48 kHz mono 16-bit samples, to standard output; the picture is left alone."""
    (step,) = plan(saved(name)).steps
    assert step.command.inputs == (Input("source"),)
    (output,) = step.command.outputs
    assert output.target == STDOUT
    assert shlex.join(output.options) == f"-map 0:{track} -vn -af {MIXED} -c:a pcm_s16le -f s16le"
    assert step.sink is not None


def test_what_comes_out() -> None:
    """One JSON document under the upload's own key."""
    (output,) = plan(saved("bigbuckbunny")).outputs
    assert (output.filename, output.content_type) == ("audio_envelope.json", "application/json")
    assert output.key == f"envelopes/uploads/{UPLOAD_ID}/audio_envelope.json"
    assert output.literal is None


@pytest.mark.parametrize("name", ["one_frame", "anamorphic", "ten_bit_422"])
def test_without_sound_there_is_nothing_to_run(name: str) -> None:
    """The document says that there is no sound, and how long the video is."""
    made = plan(saved(name))
    assert made.steps == ()
    assert made.outputs[0].literal is not None
    assert json.loads(made.outputs[0].literal) == {
        "version": "audio_envelope_v3",
        "intervalSeconds": 0.1,
        "durationSeconds": saved(name).duration_seconds,
        "hasAudio": False,
        "points": [],
    }


def test_progress_is_reckoned_from_the_sound() -> None:
    """The sound's own length wins over the file's; where neither is known, there is no fraction."""
    track = saved("surround").audio[0]
    assert plan(saved("surround")).steps[0].command.media_seconds == 1.0
    unknown = (track.model_copy(update={"duration_seconds": None}),)
    assert plan(variant("surround", audio=unknown, duration_seconds=7.0)).steps[0].command.media_seconds == 7.0
    assert plan(variant("surround", audio=unknown, duration_seconds=0.0)).steps[0].command.media_seconds is None


def test_it_is_light() -> None:
    """Envelopes do not wait behind encodes."""
    assert AudioEnvelope().lane is Lane.LIGHT


# --- the formula -----------------------------------------------------------------------------------------------------


def written(folder: Path, *pieces: bytes) -> dict[str, Any]:
    """What the writer makes of these pieces, read back as JSON."""
    path = folder / "envelope.json"
    writer = EnvelopeWriter(path)
    for piece in pieces:
        writer.write(piece)
    writer.close()
    return json.loads(path.read_bytes())


def values(envelope: dict[str, Any]) -> list[float]:
    """The points' values."""
    return [point["v"] for point in envelope["points"]]


def noise(samples: int) -> Samples:
    """Always the same noise, its loudness rising from nothing to full scale."""
    made = np.random.default_rng(1).uniform(-1, 1, samples) * np.linspace(0, 32767, samples)
    return made.astype("<i2")


def test_pieces_cut_anywhere_give_the_same_bytes(tmp_path: Path) -> None:
    """Pipes cut samples in half; the file is byte by byte the one that a single piece gives."""
    data, chance = noise(48_000 + 1_234).tobytes(), random.Random(7)
    written(tmp_path, data)
    at_once = (tmp_path / "envelope.json").read_bytes()
    for _ in range(5):
        cuts = [0, *sorted(chance.sample(range(len(data)), 40)), len(data)]
        written(tmp_path, *(data[start:end] for start, end in itertools.pairwise(cuts)))
        assert (tmp_path / "envelope.json").read_bytes() == at_once
    written(tmp_path, *(data[start : start + 1] for start in range(2_000)), data[2_000:])
    assert (tmp_path / "envelope.json").read_bytes() == at_once


def test_points_follow_the_formula(tmp_path: Path) -> None:
    """RMS in decibels, clamped to -60…0, back to amplitude, square-rooted: sample by sample, in plain arithmetic."""
    samples = noise(10 * 4_800)
    expected: list[float] = []
    for start in range(0, len(samples), 4_800):
        window = [int(sample) / 32768 for sample in samples[start : start + 4_800]]
        rms = math.sqrt(sum(sample * sample for sample in window) / len(window))
        decibels = max(-60.0, min(0.0, 20 * math.log10(rms)))
        expected.append(math.sqrt(10 ** (decibels / 20)))
    assert values(written(tmp_path, samples.tobytes())) == pytest.approx(expected, abs=1e-4)


def test_silence_is_the_floor(tmp_path: Path) -> None:
    """-60 dB: sqrt(0.001), not zero, and not an error of the logarithm."""
    envelope = written(tmp_path, bytes(2 * 9_600))
    assert values(envelope) == [0.0316, 0.0316]
    assert envelope["hasAudio"] is True


@pytest.mark.parametrize("sample", [-32768, 32767])
def test_full_scale_is_one(tmp_path: Path, sample: int) -> None:
    """0 dB is 1, and never more."""
    assert values(written(tmp_path, np.full(4_800, sample, dtype="<i2").tobytes())) == [1.0]


def test_a_quiet_tone_is_below_the_floor_only_where_it_is(tmp_path: Path) -> None:
    """One step of 16-bit is -90 dB, which the floor hides; -40 dB is 0.1 in amplitude's square root."""
    faint, quiet = np.full(4_800, 1, dtype="<i2"), np.full(4_800, round(32768 / 100), dtype="<i2")
    assert values(written(tmp_path, faint.tobytes(), quiet.tobytes())) == [0.0316, pytest.approx(0.1, abs=1e-3)]


def test_the_last_window_may_be_shorter(tmp_path: Path) -> None:
    """It is the mean of the samples there are, not of 4,800; the length is told by the sample."""
    full, short = np.full(4_800, 16384, dtype="<i2"), np.full(17, 16384, dtype="<i2")
    envelope = written(tmp_path, full.tobytes(), short.tobytes())
    assert values(envelope) == [0.7071, 0.7071]
    assert [point["t"] for point in envelope["points"]] == [0.0, 0.1]
    assert envelope["durationSeconds"] == round((4_800 + 17) / 48_000, 3)


def test_half_a_sample_at_the_end_is_dropped(tmp_path: Path) -> None:
    """An ffmpeg that was cut short leaves a whole document all the same."""
    assert values(written(tmp_path, np.full(3, 16384, dtype="<i2").tobytes() + b"\x01")) == [0.7071]


def test_no_samples_at_all(tmp_path: Path) -> None:
    """A sound track without sound in it: no points, and still valid JSON."""
    assert written(tmp_path) == {
        "version": "audio_envelope_v3",
        "intervalSeconds": 0.1,
        "durationSeconds": 0.0,
        "hasAudio": True,
        "points": [],
    }


def test_times_do_not_drift(tmp_path: Path) -> None:
    """Point 12,345 lies at 1234.5 s, written with one digit."""
    envelope = written(tmp_path, *([bytes(2 * 48_000)] * 1_300))
    assert [point["t"] for point in envelope["points"]] == [number / 10 for number in range(13_000)]
