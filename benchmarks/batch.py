"""A batch of thumbnails through one run, beside the same ffmpeg commands under `xargs -P$(nproc)`.

    python -m benchmarks.batch [--quick] [--json FILE]

The uploads are hard links of a few generated 1080p clips, registered with their media info as `mediajobs add` takes in
a folder, and once more without, so that every attempt probes. Ours is a real Dagster run in a process of its own, as
`mediajobs work` makes it: from the first dispatch to the record of the last run. The process's own peak of memory is
taken at its end. The baseline is the argv of an attempt's manifest, guards included, on the same files.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import resource
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bare import Bench, make_clip
from benchmarks.report import Row, options, print_report, side_by_side
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.budget import granted_budget
from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.models import JobStatus, Upload, new_id, new_trace_id
from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.orchestration.local_runs import LocalRuns
from mediajobs_dagster.storage import upload_source_key

CLIPS = 4
CLIP_SECONDS = 5
PROJECT = Path(__file__).parents[1]
THUMBNAIL = Thumbnail()


@dataclass(frozen=True)
class Worked:
    """What working off a queue took, in a process of its own."""

    seconds: float
    runs: int
    own_cpu_s: float
    """User and system time of the process itself, ffmpeg not included."""
    ffmpeg_cpu_s: float
    peak_mb: float
    """Resident memory at its highest, ffmpeg not included."""


def work_off_queue(home: Path) -> Worked:
    """Work off everything that waits; called in a fresh process."""
    os.environ["MEDIAJOBS_HOME"] = str(home)  # Dagster's own storage reads it from there
    os.environ.pop("DAGSTER_HOME", None)
    with Bench.at(home) as bench, open_instance(bench.settings, PROJECT) as instance:
        runs = LocalRuns(bench.media, build_definitions(bench.media), instance)
        before, start = os.times(), time.perf_counter()
        done = runs.work_off()
        seconds, after = time.perf_counter() - start, os.times()
    own = after.user + after.system - before.user - before.system
    return Worked(seconds, done.runs, own, _children_s(after) - _children_s(before), _peak_mb())


def _children_s(times: os.times_result) -> float:
    return times.children_user + times.children_system


def _peak_mb() -> float:
    status = Path("/proc/self/status")  # getrusage would count in the memory of the process that started this one
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024


class Batch:
    """Uploads, and the two ways to make their thumbnails."""

    def __init__(self, bench: Bench, count: int) -> None:
        self._bench = bench
        clips = [make_clip(bench.folder / f"{number}.mp4", CLIP_SECONDS, seed=number) for number in range(CLIPS)]
        taken_in = [bench.register(clip, probed=True) for clip in clips]
        self._uploads = [self._twin(taken_in[number % CLIPS]) for number in range(count)]
        manifest = bench.attempt(THUMBNAIL, taken_in[0]).manifest
        self._argv = next(command.argv for command in manifest.ffmpeg_commands if command.argv[0] == "ffmpeg")
        self.worked: list[Worked] = []
        self.bare_cpu_s: list[float] = []

    def _twin(self, upload: Upload) -> Upload:
        """The same content as an upload of its own: a hard link has the same etag."""
        upload_id = new_id()
        key = upload_source_key(upload_id)
        root = Bench.root_of(self._bench.storage)
        (root / key).parent.mkdir(parents=True)
        os.link(root / upload.storage_key, root / key)
        twin = upload.model_copy(update={"id": upload_id, "storage_key": key})
        return self._bench.history.uploads.add(twin)

    def __len__(self) -> int:
        return len(self._uploads)

    def forget_probes(self) -> None:
        """From here on every attempt has to probe its source."""
        unknown = [
            upload.model_copy(update={"id": new_id(), "media_info": None, "origin": None}) for upload in self._uploads
        ]
        self._uploads = [self._bench.history.uploads.add(upload) for upload in unknown]

    def ours(self) -> float:
        """Enqueue a job for each upload, all of one trace, and work them off in a new process."""
        trace_id = new_trace_id()
        requests = [THUMBNAIL.request(upload, trace_id=trace_id, force=True) for upload in self._uploads]
        self._bench.history.jobs.enqueue(requests)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            worked = pool.submit(work_off_queue, self._bench.settings.home).result()
        statuses = self._bench.history.jobs.counts(THUMBNAIL.name)[THUMBNAIL.name]
        assert sum(statuses.values()) == statuses[JobStatus.COMPLETED], statuses
        self.worked.append(worked)
        return worked.seconds

    def bare(self) -> float:
        """The same with xargs: as many ffmpegs side by side as there are cores, and nothing else."""
        with tempfile.TemporaryDirectory(dir=self._bench.folder) as folder:
            for upload in self._uploads:
                (Path(folder) / upload.storage_key).parent.mkdir(parents=True, exist_ok=True)
            root = Bench.root_of(self._bench.storage)
            names = {"file:source": f"file:{root}/{{}}", "file:thumb.jpg": "file:{}.jpg"}
            argv = [str(find_tools().ffmpeg), *(names.get(part, part) for part in self._argv[1:])]
            program = ["xargs", f"-P{math.ceil(granted_budget().cores)}", "-I{}", *argv]
            listed = "\n".join(upload.storage_key for upload in self._uploads)
            before, start = os.times(), time.perf_counter()
            subprocess.run(program, input=listed.encode(), cwd=folder, check=True, stderr=subprocess.DEVNULL)
            seconds, after = time.perf_counter() - start, os.times()
            self.bare_cpu_s.append(_children_s(after) - _children_s(before))
            assert len(list(Path(folder).rglob("*.jpg"))) == len(self._uploads)
        return seconds


def rows_of(batch: Batch, what: str, rounds: int, budget: float | None) -> list[Row]:
    """Throughput beside xargs, memory, and our own CPU time for each job."""
    first = len(batch.worked)
    pairs = side_by_side(rounds, batch.bare, batch.ours)
    worked, bare_cpu_s = batch.worked[first:], batch.bare_cpu_s[first:]
    count = len(batch)
    shares = [bare / (each.own_cpu_s + each.ffmpeg_cpu_s) for each, bare in zip(worked, bare_cpu_s, strict=True)]
    cpu = [1000 * each.own_cpu_s / count for each in worked]
    note = f"{count / statistics.median(pairs.ours_s):.1f} a second; {worked[0].runs} runs"
    return [
        Row.of_pairs(what, pairs, budget=budget, throughput=True, note=note),
        Row(
            "CPU time of xargs and its ffmpegs, beside ours",
            statistics.median(shares),
            rounds=rounds,
            spread=(min(shares), max(shares)),
            note="what the throughput comes to where the cores are the limit",
        ),
        Row("own CPU time for each of them", statistics.median(cpu), "ms", rounds=rounds, spread=(min(cpu), max(cpu))),
        Row(
            "memory of the run process at its peak",
            max(each.peak_mb for each in worked),
            "MB",
            budget=300,
            rounds=rounds,
            note="ffmpeg not included",
        ),
    ]


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--count", type=int, default=None, help="thumbnails in the batch (500; 60 if --quick)")
    parser.add_argument("--rounds", type=int, default=None, help="3; 1 if --quick")
    arguments = parser.parse_args()
    count = arguments.count or (60 if arguments.quick else 500)
    rounds = arguments.rounds or (2 if arguments.quick else 3)
    with Bench.open() as bench:
        batch = Batch(bench, count)
        rows = rows_of(batch, f"{count} thumbnails, sources probed at intake", rounds, 0.9)
        batch.forget_probes()
        rows += rows_of(batch, f"{count} thumbnails, each attempt probes", 1, None)
    print_report("A batch beside xargs", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
