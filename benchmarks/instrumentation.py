"""What watching an ffmpeg costs: the edit proxy's command with all instruments on, beside the same with none.

    python -m benchmarks.instrumentation [--quick] [--json FILE]

On is what an attempt does: progress read and told, standard error read for faults, CPU and memory sampled, the command
put on record with a recorder that listens. Off is the same command in the same kind of process, started and waited for
by the same code, but with nobody to listen: no progress is asked for, what ffmpeg says is thrown away, nothing is
sampled and nothing recorded.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bare import Bench, make_clip
from benchmarks.report import Row, options, print_report, side_by_side
from mediajobs_dagster.attempts.recorder import Recorder, Stage
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.history import Claim
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Run
from mediajobs_dagster.media.command import Command
from mediajobs_dagster.media.pipe import Pipe
from mediajobs_dagster.media.process import Child
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import AttemptStatus, HostFacts, Progress, Upload, new_trace_id

BUDGET = 1.01
NEVER_S = 1e9


@dataclass(frozen=True)
class Encode:
    """One command in a folder that holds its source."""

    command: Command
    folder: Path
    runner: Runner
    claim: Claim
    host: HostFacts

    def on(self) -> float:
        """With everything that an attempt watches and records."""
        told: list[Progress] = []
        start = time.perf_counter()
        recorder = Recorder.of(self.claim, self.host, lambda _: None)
        with recorder.timed(Stage.FFMPEG):
            self.runner.run(self.command, cwd=self.folder, report=recorder.add_command, on_progress=told.append)
        manifest = recorder.manifest(AttemptStatus.SUCCESS)
        seconds = time.perf_counter() - start
        assert told
        assert manifest.ffmpeg_commands[0].exit_code == 0
        return seconds

    def off(self) -> float:
        """With nobody to watch."""
        unsampled = replace(self.runner.limits, sample_interval_s=NEVER_S)
        start = time.perf_counter()
        child = Child(self.runner.tools.ffmpeg, "ffmpeg", unsampled, Cancellation())
        exit_code = child.run(self.command.arguments(self.runner.guards), cwd=self.folder, stderr=Pipe(lambda _: None))
        seconds = time.perf_counter() - start
        assert exit_code == 0
        return seconds


def encode_of(bench: Bench, upload: Upload, worker: Worker, folder: Path) -> Encode:
    """The proxy's command, and a job that it can be on record for."""
    job_type = EditProxy()
    bench.history.jobs.enqueue([job_type.request(upload, trace_id=new_trace_id(), force=True)])
    dispatch = bench.history.leases.assign(job_type.name, limit=1, lease_s=3600)
    assert dispatch
    claim = bench.history.leases.claim(dispatch.id, run_id="benchmark", host="here", lease_s=3600)
    assert claim
    assert upload.media_info
    (step,) = job_type.plan_upload(Source(upload, upload.media_info), job_type.parse({})).steps
    assert isinstance(step, Run)
    assert isinstance(step.command, Command)
    source = bench.storage.local_path(upload.storage_key)
    assert source
    (folder / "source").symlink_to(source)
    return Encode(step.command, folder, worker.runner_for(job_type), claim, worker.host)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=int, default=None, help="length of the source (60; 15 if --quick)")
    parser.add_argument("--rounds", type=int, default=None, help="7; 3 if --quick")
    arguments = parser.parse_args()
    seconds = arguments.seconds or (15 if arguments.quick else 60)
    rounds = arguments.rounds or (3 if arguments.quick else 7)
    with (
        Bench.open() as bench,
        bench.media.worker() as worker,
        tempfile.TemporaryDirectory(dir=bench.folder) as folder,
    ):
        upload = bench.register(make_clip(bench.folder / "clip.mp4", seconds), probed=True)
        encode = encode_of(bench, upload, worker, Path(folder))
        encode.on()  # warms the caches
        before = time.process_time()
        encode.on()
        own_ms = 1000 * (time.process_time() - before)
        pairs = side_by_side(rounds, encode.off, encode.on)
    rows = [
        Row.of_pairs(f"proxy of {seconds} s 1080p", pairs, budget=BUDGET),
        Row("own CPU time for it", own_ms, "ms", note=f"{own_ms / 10 / min(pairs.ours_s):.2f} % of its time"),
    ]
    print_report("Instrumentation on beside off", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
