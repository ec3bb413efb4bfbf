"""What an append to the job log costs, at an empty log and at a long one, side by side.

    python benchmarks/job_log.py [--entries 100000] [--appends 500] [--rounds 7] [--json]

Each round appends to both logs in turn, so that a busy moment of the machine falls on both. The product is the median
round's mean cost of one append.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from mediajobs_dagster.history.job_log import JobLogEntry, JobLogger, LoggedOutput, StageTiming

STAGES = ("fetch", "probe", "plan", "ffmpeg", "verify", "publish", "record")


def an_entry(number: int) -> JobLogEntry:
    """An entry as large as a usual one, about 800 bytes."""
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


def measure(entries: int, appends: int, rounds: int) -> dict[str, object]:
    """Fill one log, then append to both; the report as JSON."""
    batch = [an_entry(number) for number in range(appends)]
    costs: dict[int, list[float]] = {0: [], entries: []}
    with tempfile.TemporaryDirectory() as folder:
        long = JobLogger(Path(folder) / "long.json")
        long.log_jobs_batch([an_entry(number) for number in range(entries)])
        for number in range(rounds):
            short = JobLogger(Path(folder) / f"short-{number}.json")
            costs[0].append(mean_append_ms(short, batch))
            costs[entries].append(mean_append_ms(long, batch))
        logged = len(json.loads(long.path.read_bytes()))
        size = long.path.stat().st_size
    assert logged == entries + rounds * appends
    return {
        "appendsPerRound": appends,
        "rounds": rounds,
        "longLogBytes": size,
        "appendMs": {str(length): {"median": statistics.median(c), "max": max(c)} for length, c in costs.items()},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000, help="length of the long log")
    parser.add_argument("--appends", type=int, default=500, help="appends in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    report = measure(arguments.entries, arguments.appends, arguments.rounds)
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{arguments.rounds} rounds of {arguments.appends} appends")
    print(f"{'entries before':>14}  {'median ms':>9}  {'worst ms':>8}")
    for length, cost in report["appendMs"].items():
        print(f"{length:>14}  {cost['median']:9.4f}  {cost['max']:8.4f}")


if __name__ == "__main__":
    main()
