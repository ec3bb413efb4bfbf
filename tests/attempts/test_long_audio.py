"""An hour of sound becomes an envelope in memory that does not grow with its length."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.clips import Clips

HOUR_S = 3600

# A process that does only this: what it peaks at is what the envelope job takes. Its own memory is asked of the kernel
# by the address space: the figure of getrusage would hold that of the process it was started from, too.
SCRIPT = """
import json, resource, sys
from pathlib import Path
from mediajobs_dagster.attempts.batch import work_off
from mediajobs_dagster.intake.intake import Intake
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.system import MediaJobs

media = MediaJobs.open(_env_file=None, home=sys.argv[2], scratch_reserve_mb=1, lease_s=300)
with media, media.worker() as worker:
    Intake(worker.history, worker.storage).add(sys.argv[1], [AudioEnvelope()])
    dispatch = worker.history.leases.assign(AudioEnvelope.name, limit=1, lease_s=300)
    (outcome,) = work_off(worker, AudioEnvelope(), dispatch.id, run_id="run", listeners=Listeners()).first
    assert outcome.error is None, outcome.error
    output = worker.storage.local_path(outcome.manifest.outputs[0].key)
status = Path("/proc/self/status")
peak_kib = (
    int(status.read_text().partition("VmHWM:")[2].split()[0])
    if status.exists()
    else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
)
ffmpeg_mb = max(command.max_rss_mb or 0 for command in outcome.manifest.ffmpeg_commands)
print(json.dumps({"own_mb": peak_kib / 1024, "ffmpeg_mb": ffmpeg_mb, "output": str(output)}))
"""


@dataclass(frozen=True)
class Measured:
    """What making one envelope took, in a process of its own."""

    own_mb: float
    ffmpeg_mb: float
    output: Path


def measure(audio: Path, home: Path) -> Measured:
    """Add the file and make its envelope."""
    command = [sys.executable, "-c", SCRIPT, str(audio), str(home)]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return Measured(told["own_mb"], told["ffmpeg_mb"], Path(told["output"]))


def test_memory_does_not_grow_with_the_length(clips: Clips, tmp_path: Path) -> None:
    """Our process and ffmpeg, over one hour and over ten seconds."""
    hour, seconds = clips.long_audio(HOUR_S), clips.long_audio(10)
    try:
        long, short = measure(hour, tmp_path / "long"), measure(seconds, tmp_path / "short")
    finally:
        hour.unlink()  # 690 MB
        for copy in tmp_path.glob("*/objects/uploads/*/source"):
            copy.unlink()
    assert long.own_mb - short.own_mb < 100
    assert long.own_mb < 300
    assert long.ffmpeg_mb < 100

    envelope = json.loads(long.output.read_bytes())
    assert envelope["durationSeconds"] == HOUR_S
    points = envelope["points"]
    assert len(points) == HOUR_S * 10
    assert [points[-1]["t"], points[18_000]["t"]] == [3599.9, 1800.0]
    # Each even second is loud, each odd one soft, to the last.
    assert all(points[second * 10 + 5]["v"] > 0.7 for second in range(0, HOUR_S, 2))
    assert all(points[second * 10 + 5]["v"] < 0.3 for second in range(1, HOUR_S, 2))
