"""The waveform below a result: drawn from the envelope, and left out when that is damaged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mediajobs_dagster.attempts.withdrawal import keys_of
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from tests.clips import Clips
from tests.platform import Platform


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        '{"points": 3, "durationSeconds": 1.0}',
        '{"points": [{"v": "loud"}], "durationSeconds": 1.0}',
        '{"points": [{"v": 0.5}], "durationSeconds": null}',
        '{"points": [{"v": 0.5}, {"v": 1e999}], "durationSeconds": 1.0}',
        "\udcff\udcfe",
    ],
)
def test_a_damaged_envelope_is_none(platform: Platform, clips: Clips, tmp_path: Path, document: str) -> None:
    """Whatever lies in the place of what was made."""
    platform.add(clips.landscape(), AudioEnvelope.name)
    platform.work()
    (attempt,) = platform.media.attempts()
    whole = platform.media.envelope(attempt)
    assert whole
    assert len(whole.points) == math.ceil(whole.seconds * 10)
    damaged = tmp_path / "damaged.json"
    damaged.write_bytes(document.encode(errors="surrogateescape"))
    (key,) = keys_of(attempt)
    platform.storage.put(damaged, key, content_type="application/json")
    assert platform.media.envelope(attempt) is None
