"""An attempt beside the bare ffmpeg command it runs, side by side.

    python benchmarks/attempt_overhead.py [--job-type upload_edit_proxy_v1] [--seconds 60] [--rounds 5] [--json]

The source is a generated 1080p H.264 clip with sound. Each round makes one attempt (fetch, probe, plan, ffmpeg, verify,
publish, record; SQLite and a local folder) and then runs the very argv of its manifest on the same file, in turn, so
that a busy moment of the machine falls on both. The product is the ratio of the median wall times.
"""

from __future__ import annotations

import argparse
import json
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
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.media.tools import Tools, find_tools
from mediajobs_dagster.models import AttemptStatus, Upload, new_trace_id
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.sources.intake import Intake
from mediajobs_dagster.storage import open_storage


@dataclass(frozen=True)
class Round:
    """One attempt and one bare command."""

    attempt_s: float
    bare_s: float
    manifest: Manifest


def make_source(tools: Tools, path: Path, seconds: int) -> None:
    """A 1080p clip that moves everywhere, at the bit rate of a phone."""
    command = [tools.ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size=1920x1080:rate=30:d={seconds}"]
    command += ["-f", "lavfi", "-i", f"anoisesrc=d={seconds}:c=pink:a=0.2", "-c:v", "libx264", "-preset", "ultrafast"]
    command += ["-b:v", "12M", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


class Bench:
    """An upload to work on, over and over, and the bare ffmpeg."""

    def __init__(self, settings: Settings, history: History, upload: Upload, job_type: str) -> None:
        self._settings, self._history, self._upload = settings, history, upload
        self._registry = Registry.standard()
        self._job_type = self._registry[job_type]

    def round(self, folder: Path) -> Round:
        """One attempt of a new worker, as every run has one, then its own command again without us."""
        request = self._job_type.request(self._upload, trace_id=new_trace_id(), force=True)
        self._history.jobs.enqueue([request])
        dispatch = self._history.jobs.assign(self._job_type.name, limit=1, lease_s=60)
        assert dispatch is not None
        with Worker.open(self._settings, self._registry) as worker:
            start = time.perf_counter()
            (outcome,) = work_off(worker, dispatch.id, run_id="benchmark", observer=Observer())
            attempt_s = time.perf_counter() - start
            assert outcome.status is AttemptStatus.SUCCESS, outcome.error
            return Round(attempt_s, self._bare(worker, outcome.manifest, folder), outcome.manifest)

    def _bare(self, worker: Worker, manifest: Manifest, folder: Path) -> float:
        # The stage's own command: the first ffmpeg; probes and the decoding of the end are what an attempt adds.
        command = next(command for command in manifest.ffmpeg_commands if command.argv[0] == "ffmpeg")
        source = worker.storage.local_path(self._upload.storage_key)
        assert source is not None
        (folder / "source").unlink(missing_ok=True)
        (folder / "source").symlink_to(source)
        argv = [str(worker.runner.tools.ffmpeg), *command.argv[1:]]
        start = time.perf_counter()
        done = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(argv, cwd=folder, check=True, **done)
        return time.perf_counter() - start


def measure(job_type: str, seconds: int, rounds: int) -> dict[str, object]:
    """Run the rounds; the report as JSON."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = Settings.load(_env_file=None, home=folder / "home")
        make_source(find_tools(), folder / "clip.mp4", seconds)
        history = stack.enter_context(History.open(settings.database_url))
        upload = Intake(history, open_storage(settings)).register(str(folder / "clip.mp4"), trace_id=new_trace_id())
        bench = Bench(settings, history, upload, job_type)
        bench.round(folder)  # warms the caches
        results = [bench.round(folder) for _ in range(rounds)]
    attempt_s = statistics.median(each.attempt_s for each in results)
    bare_s = statistics.median(each.bare_s for each in results)
    ledgers = [each.manifest.time_ledger for each in results]
    shares = [each.manifest.time_ledger.other_ms / each.manifest.duration_ms for each in results]
    return {
        "jobType": job_type,
        "seconds": seconds,
        "rounds": rounds,
        "attemptS": round(attempt_s, 3),
        "bareS": round(bare_s, 3),
        "ratio": round(attempt_s / bare_s, 4),
        "pairRatios": [round(each.attempt_s / each.bare_s, 4) for each in results],
        "otherShare": round(statistics.median(shares), 4),
        "ledgerMs": {
            name: statistics.median(ledger.to_json()[name] for ledger in ledgers)
            for name in ledgers[0].to_json()
            if name != "queueMs"
        },
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job-type", default="upload_edit_proxy_v1")
    parser.add_argument("--seconds", type=int, default=60, help="length of the source")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    report = measure(arguments.job_type, arguments.seconds, arguments.rounds)
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    table = Table("Figure", "Value", title="An attempt beside the bare ffmpeg command")
    for name, value in report.items():
        table.add_row(name, str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
