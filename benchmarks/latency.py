"""One small job through the daemon: from submitting it to its end, and the CPU it costs, beside stock Dagster.

    python -m benchmarks.latency [--rounds 20] [--quick] [--json FILE]

Ours is `mediajobs up`. Stock is `dagster dev` with Dagster's own default instance: the same definitions and the same
job, its default launcher (a new interpreter a run), its default storage and its sensor loop. Both are given a
thumbnail of the same clip, one at a time, in turn. CPU is the kernel's account of every process of either side and
their ended children, less what they use when idle, less ffmpeg's own.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.report import Row, options, print_report
from mediajobs_dagster.intake.intake import Intake
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.demo_clip import make_demo_clip
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.servers.dagster_dev import running_dagster_dev
from tests.servers.mediajobs_up import running_up

IDLE_S = 10.0
POLL_S = 0.01
STOCK_CONFIG = "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"
WORKSPACE = "load_from:\n  - python_module: {module_name: mediajobs_dagster.definitions, location_name: mediajobs}\n"


@dataclass(frozen=True)
class Sample:
    """One job."""

    seconds: float
    """From submitting it to the record of its end."""
    cpu_s: float
    """Of all processes, beyond idle and beyond ffmpeg."""


@dataclass
class Side:
    """One way to run jobs: a data folder, and the process that everything else of it descends from."""

    home: Path
    pid: int
    clip: Path
    idle_cpu: float = 0.0
    """Seconds of CPU a second while nothing is to be done."""

    def measure_idle(self) -> None:
        """Take the idle rate."""
        started, before = time.monotonic(), self.cpu()
        time.sleep(IDLE_S)
        self.idle_cpu = (self.cpu() - before) / (time.monotonic() - started)

    def cpu(self) -> float:
        """Seconds of CPU so far: of the living processes, and of the ended ones that were waited for."""
        root = psutil.Process(self.pid)
        total = 0.0
        for process in [root, *root.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
        return total

    def run_one(self) -> Sample:
        """Submit a thumbnail, wait for its end, and for the processes to be quiet again."""
        with MediaJobs.open(_env_file=None, home=self.home) as media:
            history = media.history
            before, started = self.cpu(), time.monotonic()
            _, (enqueued,) = Intake(history, media.storage).add(
                str(self.clip), [media.registry[Thumbnail.name]], force=True
            )
            while not (job := history.jobs.get(enqueued.job.id)).status.is_final:
                time.sleep(POLL_S)
            seconds = time.monotonic() - started
            assert job.status is JobStatus.COMPLETED, job
            (attempt,) = history.attempts.of_job(job.id)
            time.sleep(1.5)  # the run closes, its process ends
            elapsed = time.monotonic() - started
            return Sample(seconds, self.cpu() - before - elapsed * self.idle_cpu - (attempt.cpu_seconds or 0.0))


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    rounds = 4 if arguments.quick else arguments.rounds
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="latency-")))
        clip = folder / "clip.mp4"
        make_demo_clip(Runner.from_settings(Settings.load(_env_file=None)), clip)
        ours = Side(folder / "ours", stack.enter_context(running_up(folder / "ours")).pid, clip)
        stock = stack.enter_context(_stock(folder / "stock", clip))
        sides = (stock, ours)
        for side in sides:
            side.run_one()  # what is done once a start is nobody's latency
            side.measure_idle()
        samples: dict[int, list[Sample]] = {stock.pid: [], ours.pid: []}
        for _ in range(rounds):
            for side in sides:
                samples[side.pid].append(side.run_one())
    rows = [
        *_rows("submit to done", [(s.seconds, o.seconds) for s, o in _pairs(samples, sides)], budget_s=1.5),
        *_rows("CPU beyond ffmpeg's", [(s.cpu_s, o.cpu_s) for s, o in _pairs(samples, sides)], budget_s=0.4),
        Row("idle, CPU of all processes", ours.idle_cpu, "s a second", note=f"stock {stock.idle_cpu:.3f}"),
    ]
    print_report("A single thumbnail through the daemon, beside stock Dagster", rows, json_file=arguments.json)


@contextmanager
def _stock(home: Path, clip: Path) -> Generator[Side]:
    project = home / "project"
    project.mkdir(parents=True)
    (project / "dagster.yaml").write_text(STOCK_CONFIG)
    (project / "workspace.yaml").write_text(WORKSPACE)
    with running_dagster_dev(home, cwd=project, DAGSTER_HOME=str(project)) as server:
        yield Side(home, server.pid, clip)


def _pairs(samples: dict[int, list[Sample]], sides: tuple[Side, Side]) -> list[tuple[Sample, Sample]]:
    return list(zip(samples[sides[0].pid], samples[sides[1].pid], strict=True))


def _rows(what: str, pairs: list[tuple[float, float]], *, budget_s: float) -> list[Row]:
    stock, ours = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def row(name: str, of: Callable[[list[float]], float], budget: float | None) -> Row:
        return Row(
            f"{what}, {name}",
            of(ours),
            "s",
            budget=budget,
            rounds=len(pairs),
            baseline_s=of(stock),
            ours_s=of(ours),
            spread=(min(ours), max(ours)),
        )

    ratio = statistics.median(stock) / statistics.median(ours)
    return [
        row("p50", statistics.median, budget_s),
        row("p95", lambda values: statistics.quantiles(values, n=20, method="inclusive")[-1], None),
        Row(f"{what}, times less than stock", ratio, budget=6.0, at_least=True, rounds=len(pairs)),
    ]


if __name__ == "__main__":
    main()
