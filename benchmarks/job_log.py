"""What an append to the job log costs, at an empty log and at a long one, side by side.

    python -m benchmarks.job_log [--quick] [--json FILE]

Each round appends to both logs in turn, so that a busy moment of the machine affects both. The result is the mean cost
of one append in the median round.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import Row, options, print_report
from mediajobs_dagster.history.job_log import JobLogEntry, JobLogger, LoggedOutput, StageTiming

STAGES = ("fetch", "probe", "plan", "ffmpeg", "verify", "publish", "record")


def an_entry(number: int) -> JobLogEntry:
    """An entry of the usual size, about 800 bytes."""
    return JobLogEntry(
        job_id=f"0190a1b2-c3d4-7e5f-8a9b-{number:012d}",
        job_type="upload_edit_proxy_v1",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        inputs={"uploadId": f"upload-{number}", "durationSeconds": 63.4},
        worker="worker-1",
        stage="record",
        stages=tuple(StageTiming(name=name, duration_ms=12, status="ok") for name in STAGES),
        outputs=(LoggedOutput(key=f"proxies/uploads/{number}/edit_proxy.mp4", bytes=1_234_567, exists=True),),
        success=True,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        finished_at=datetime(2026, 1, 1, 0, 0, 14, tzinfo=UTC),
        duration_ms=14_000,
    )


def mean_append_ms(log: JobLogger, entries: list[JobLogEntry]) -> float:
    """The mean cost of one append, milliseconds."""
    start = time.perf_counter()
    for entry in entries:
        log.log_job(entry)
    return (time.perf_counter() - start) * 1000 / len(entries)


def measure(entries: int, appends: int, rounds: int) -> dict[int, list[float]]:
    """Fill one log, then append to both; returns the milliseconds per append of each round, by length of the log."""
    batch = [an_entry(number) for number in range(appends)]
    costs: dict[int, list[float]] = {0: [], entries: []}
    with tempfile.TemporaryDirectory() as folder:
        long = JobLogger(Path(folder) / "long.json")
        long.log_jobs_batch([an_entry(number) for number in range(entries)])
        for number in range(rounds):
            short = JobLogger(Path(folder) / f"short-{number}.json")
            costs[0].append(mean_append_ms(short, batch))
            costs[entries].append(mean_append_ms(long, batch))
        assert len(json.loads(long.path.read_bytes())) == entries + rounds * appends
    return costs


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--entries", type=int, default=None, help="length of the long log (100,000; 10,000 if --quick)")
    parser.add_argument("--appends", type=int, default=500, help="appends in a round")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    entries = arguments.entries or (10_000 if arguments.quick else 100_000)
    rows = [
        Row(
            f"append to a log of {length:,} entries",
            statistics.median(costs),
            "ms",
            rounds=arguments.rounds,
            spread=(min(costs), max(costs)),
        )
        for length, costs in measure(entries, arguments.appends, arguments.rounds).items()
    ]
    print_report("The job log", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
