"""Taking turns with a million jobs of 10,000 traces waiting, on SQLite and on PostgreSQL.

    python -m benchmarks.turns [--jobs 1000000] [--quick] [--engine sqlite] [--json FILE]

A figure is the 95th percentile of its calls. Asked for are a batch of one job, of 50 and of 500; one while five traces
have had enough; one when all that waits is of such a trace; and a job that comes along.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from benchmarks.report import Row, options, print_report
from mediajobs_dagster.history import History
from mediajobs_dagster.models import NewJob, new_id, utc_now
from tests.servers.postgres import fresh_database, running_postgres

BUDGET_MS = 10.0
TRACES = 10_000
CROWDED, FOLDER = "upload_thumb_v1", "upload_edit_proxy_v1"
"""A job type of which all traces have jobs, and one of which a single trace has."""
_AT_ONCE = 5_000
ENOUGH = tuple(f"{number:032x}" for number in range(5))


def a_job(job_type: str, trace_id: str) -> NewJob:
    """A request of its own."""
    return NewJob(
        job_type=job_type,
        subject_id=new_id(),
        subject_day=utc_now().date(),
        trace_id=trace_id,
        idempotency_key=new_id() + new_id(),
    )


def fill(history: History, jobs: int) -> None:
    """Nine tenths of the jobs are of 10,000 traces, one tenth is of one folder."""
    of_each = max(1, jobs * 9 // 10 // TRACES)
    crowd = (a_job(CROWDED, f"{number:032x}") for number in range(TRACES) for _ in range(of_each))
    folder = (a_job(FOLDER, ENOUGH[0]) for _ in range(jobs // 10))
    requests = chain(crowd, folder)
    while some := list(islice(requests, _AT_ONCE)):
        history.jobs.enqueue(some)


def settle(url: str) -> None:
    """Have PostgreSQL take stock, as it does by itself within a minute or so."""
    engine = sa.create_engine(url)
    if engine.dialect.name == "postgresql":
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("VACUUM (ANALYZE)")
    engine.dispose()


def measured(history: History, calls: int) -> Iterator[tuple[str, list[float]]]:
    """What is asked, and the milliseconds of each call."""

    def assign(job_type: str, limit: int, besides: tuple[str, ...] = ()) -> Callable[[], object]:
        return lambda: history.leases.assign(job_type, limit=limit, lease_s=3600, besides=besides)

    asks: dict[str, Callable[[], object]] = {
        "assign 1 job": assign(CROWDED, 1),
        "assign 50 jobs": assign(FOLDER, 50),
        "assign 500 jobs": assign(FOLDER, 500),
        "assign 1 job, five traces have had enough": assign(CROWDED, 1, ENOUGH),
        "assign, the only trace has had enough": assign(FOLDER, 1, ENOUGH),
        "enqueue 1 job of a new trace": lambda: history.jobs.enqueue([a_job(CROWDED, new_id())]),
    }
    for name, ask in asks.items():
        taken: list[float] = []
        for _ in range(calls + 1):
            start = time.perf_counter()
            ask()
            taken.append((time.perf_counter() - start) * 1000)
        yield name, taken[1:]


def rows_of(engine: str, url: str, jobs: int, calls: int) -> Iterator[Row]:
    """The figures of one engine."""
    with History.open(url, timeout_s=600) as history:
        fill(history, jobs)
        settle(url)
        for name, taken in measured(history, calls):
            ordered = sorted(taken)
            p50, p95 = statistics.median(ordered), ordered[round(0.95 * (len(ordered) - 1))]
            yield Row(
                f"{engine}: {name}",
                p95,
                unit="ms",
                budget=BUDGET_MS,
                rounds=len(taken),
                spread=(ordered[0], ordered[-1]),
                note=f"p50 {p50:.2f}, p95 {p95:.2f} ms",
                details={"callsMs": taken},
            )


def main() -> None:
    """Fill, measure and print."""
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, help="jobs that wait; 1,000,000, or 50,000 with --quick")
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), action="append", help="can be repeated; both")
    arguments = parser.parse_args()
    jobs, calls = arguments.jobs or (50_000 if arguments.quick else 1_000_000), 30 if arguments.quick else 100
    rows: list[Row] = []
    with ExitStack() as stack:
        for engine in arguments.engine or ("sqlite", "postgresql"):
            if engine == "sqlite":
                url = f"sqlite:///{Path(stack.enter_context(TemporaryDirectory())) / 'turns.db'}"
            else:
                url = stack.enter_context(fresh_database(stack.enter_context(running_postgres()).get_uri()))
            rows += rows_of(engine, url, jobs, calls)
    print_report(f"Turns with {jobs:,} jobs of {TRACES:,} traces waiting", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
