"""The audio envelope of an hour of sound beside bare ffmpeg decoding the same file, side by side.

    python benchmarks/envelope.py [--codec aac] [--seconds 3600] [--rounds 5] [--json]

Each round makes one envelope (a whole attempt: fetch, probe, plan, ffmpeg, verify, publish, record; SQLite and a local
folder) and then runs the very argv of its manifest, 48 kHz mono PCM to nowhere, in turn, so that a busy moment of the
machine falls on both. The product is the ratio of the median wall times; the target is 1.3 or less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mediajobs_dagster.attempts.batch import work_off
from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.attempts.observer import Observer
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import Upload, new_trace_id
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.sources.intake import Intake

TARGET = 1.3
CODECS = {"aac": ("aac", "m4a"), "mp3": ("libmp3lame", "mp3"), "flac": ("flac", "flac"), "pcm": ("pcm_s16le", "wav")}


@dataclass(frozen=True)
class Round:
    """One envelope and one bare decode."""

    attempt_s: float
    bare_s: float
    manifest: Manifest


def make_source(tools: Tools, folder: Path, codec: str, seconds: int) -> Path:
    """Pink noise in 44.1 kHz stereo: a minute is encoded, and repeated without encoding it again."""
    encoder, suffix = CODECS[codec]
    minute, whole = folder / f"minute.{suffix}", folder / f"whole.{suffix}"
    noise = "anoisesrc=d=60:c=pink:a=0.3:r=44100,aformat=channel_layouts=stereo"
    start = [tools.ffmpeg, "-v", "error", "-y"]
    subprocess.run([*start, "-f", "lavfi", "-i", noise, "-c:a", encoder, minute], check=True)
    subprocess.run([*start, "-stream_loop", "-1", "-i", minute, "-t", str(seconds), "-c", "copy", whole], check=True)
    return whole


def one_round(worker: Worker, upload: Upload, folder: Path) -> Round:
    """An envelope, then its own command again without us."""
    request = AudioEnvelope().request(upload, trace_id=new_trace_id(), force=True)
    worker.history.jobs.enqueue([request])
    dispatch = worker.history.jobs.assign(AudioEnvelope.name, limit=1, lease_s=600)
    assert dispatch is not None
    start = time.perf_counter()
    (outcome,) = work_off(worker, dispatch.id, run_id="benchmark", observer=Observer())
    attempt_s = time.perf_counter() - start
    assert outcome.error is None, outcome.error
    (command,) = [command for command in outcome.manifest.ffmpeg_commands if command.argv[0] == "ffmpeg"]
    return Round(attempt_s, bare_decode(worker, upload, command.argv, folder), outcome.manifest)


def bare_decode(worker: Worker, upload: Upload, argv: tuple[str, ...], folder: Path) -> float:
    """Seconds that ffmpeg takes for the same samples when nobody reads them."""
    source = worker.storage.local_path(upload.storage_key)
    assert source is not None
    (folder / "source").unlink(missing_ok=True)
    (folder / "source").symlink_to(source)
    nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    start = time.perf_counter()
    subprocess.run([worker.runner.tools.ffmpeg, *argv[1:]], cwd=folder, check=True, **nowhere)
    return time.perf_counter() - start


def measure(codec: str, seconds: int, rounds: int) -> dict[str, object]:
    """Run the rounds; the report as JSON."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = Settings.load(_env_file=None, home=folder / "home")
        worker = stack.enter_context(Worker.open(settings, Registry.standard()))
        source = make_source(worker.runner.tools, folder, codec, seconds)
        upload = Intake(worker.history, worker.storage).register(str(source), trace_id=new_trace_id())
        one_round(worker, upload, folder)  # warms the caches
        cpu_before = os.times()
        results = [one_round(worker, upload, folder) for _ in range(rounds)]
        cpu_after = os.times()
    attempt_s = statistics.median(each.attempt_s for each in results)
    bare_s = statistics.median(each.bare_s for each in results)
    own_cpu = (cpu_after.user + cpu_after.system - cpu_before.user - cpu_before.system) / rounds
    return {
        "codec": codec,
        "seconds": seconds,
        "rounds": rounds,
        "envelopeS": round(attempt_s, 3),
        "bareDecodeS": round(bare_s, 3),
        "ratio": round(attempt_s / bare_s, 3),
        "pairRatios": [round(each.attempt_s / each.bare_s, 3) for each in results],
        "ffmpegStageS": round(statistics.median(each.manifest.time_ledger.ffmpeg_ms for each in results) / 1000, 3),
        "ownCpuSeconds": round(own_cpu, 3),
        "target": TARGET,
        "met": attempt_s / bare_s <= TARGET,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", choices=CODECS, default="aac", help="what the sound is coded in")
    parser.add_argument("--seconds", type=int, default=3600, help="length of the source")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    report = measure(arguments.codec, arguments.seconds, arguments.rounds)
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    table = Table("Figure", "Value", title="An audio envelope beside bare decoding")
    for name, value in report.items():
        table.add_row(name, str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
