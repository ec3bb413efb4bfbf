"""What an append to the job log costs, at an empty log and at a long one, side by side.

    python -m benchmarks.job_log [--quick] [--json FILE]

Each round appends to both logs in turn, so that a busy moment of the machine affects both. The result is the mean cost
of one append in the median round.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.report import Row, options, print_report
from mediajobs_dagster.history.job_log import JobLogger
from mediajobs_dagster.history.job_log_entry import JobLogEntry, TranscriptMetadata

STAGES = ("fetch", "probe", "plan", "ffmpeg", "verify", "publish", "record")


def an_entry(number: int) -> JobLogEntry:
    """An entry of a media job, about 1,200 bytes."""
    return JobLogEntry(
        job_id=f"0190a1b2-c3d4-7e5f-8a9b-{number:012d}",
        job_type="upload_edit_proxy_v1",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        video_id=f"0190a1b2-c3d4-7e5f-8a9c-{number:012d}",
        worker_id="worker-1",
        video_title="talk.mp4",
        output_dir=f"proxies/uploads/{number}",
        stage="completed",
        success=True,
        start_time=1697543210.123,
        end_time=1697543224.123,
        processing_duration=14.0,
        timings=dict.fromkeys(STAGES, 0.012),
        files_created=(f"proxies/uploads/{number}/edit_proxy.mp4",),
    )


def a_guide(number: int) -> JobLogEntry:
    """An entry of a study guide of a talk of a quarter of an hour, about 14 KB."""
    transcript = "and so the machine learns it " * 430
    metadata = TranscriptMetadata(duration="15:30", length=len(transcript), method="speech")
    return an_entry(number).model_copy(update={"transcript": transcript, "transcript_metadata": metadata})


def mean_append_ms(log: JobLogger, entries: list[JobLogEntry]) -> float:
    """The mean cost of one append, milliseconds."""
    start = time.perf_counter()
    for entry in entries:
        log.log_job(entry)
    return (time.perf_counter() - start) * 1000 / len(entries)


def measure(entries: int, appends: int, rounds: int) -> dict[str, list[float]]:
    """Fill one log, then append to both; returns the milliseconds per append of each round, by what was appended."""
    batch, guides = ([make(number) for number in range(appends)] for make in (an_entry, a_guide))
    with tempfile.TemporaryDirectory() as folder:
        long = JobLogger(Path(folder) / "long.json")
        long.log_jobs_batch([an_entry(number) for number in range(entries)])
        costs: dict[str, list[float]] = {
            "to a log of 0 entries": [],
            f"to a log of {entries:,} entries": [],
            f"a study guide, to a log of {entries:,} entries": [],
        }
        empty, full, of_guides = costs.values()
        for number in range(rounds):
            short = JobLogger(Path(folder) / f"short-{number}.json")
            empty.append(mean_append_ms(short, batch))
            full.append(mean_append_ms(long, batch))
            of_guides.append(mean_append_ms(long, guides))
        assert long.get_statistics()["total_jobs"] == entries + 2 * rounds * appends
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
            f"append {what}",
            statistics.median(costs),
            "ms",
            rounds=arguments.rounds,
            spread=(min(costs), max(costs)),
        )
        for what, costs in measure(entries, arguments.appends, arguments.rounds).items()
    ]
    print_report("The job log", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
