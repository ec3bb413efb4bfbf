"""A clean-up of 1,000,000 attempts while others work, on SQLite and on PostgreSQL.

    python -m benchmarks.cleanup [--rows 1000000] [--quick] [--engine sqlite] [--json FILE]

Measured are the time that it takes, the size of the database before and after, and meanwhile the 95th percentile of a
claim (assign and claim) and of a page of a list. For comparison, both are measured before it too. The clean-up runs in
a process of its own, as it does under `mediajobs up`. One in ten of the attempts made outputs that are still current,
and stays.
"""

from __future__ import annotations

import multiprocessing
import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from benchmarks.history import databases
from benchmarks.history_data import BACKLOG_TYPE, TYPES, Past, build
from benchmarks.report import Row, options, print_report
from mediajobs_dagster.history import AttemptFilter, History, JobFilter
from mediajobs_dagster.models import JsonObject, new_id
from mediajobs_dagster.resilience.retention import Retention
from mediajobs_dagster.settings import Settings

CLAIM_BUDGET_MS = 50.0
LIST_BUDGET_MS = 50.0
BEFORE_S = 5.0
"""How long claims and lists are measured before the clean-up, seconds."""
PAUSE_S = 0.02

Taken = dict[str, list[float]]
"""Milliseconds of calls, by what was called."""


def clean(url: str, now: datetime, answer: multiprocessing.Queue[JsonObject]) -> None:
    """Clean up, in a process of its own."""
    with History.open(url) as history:
        answer.put(Retention(Settings.load(_env_file=None), history).clean_up(now=now).to_json())


def call(history: History, chance: random.Random, taken: Taken) -> None:
    """One claim, and one page of each list."""
    start = time.perf_counter()
    dispatch = history.leases.assign(BACKLOG_TYPE, limit=1, lease_s=3600)
    assert dispatch is not None
    assert history.leases.claim(dispatch.id, run_id=new_id(), host="worker-1", lease_s=3600)
    taken["claim"].append((time.perf_counter() - start) * 1000)
    for name, page in (("jobs", history.jobs), ("attempts", history.attempts)):
        start = time.perf_counter()
        job_type = chance.choice(TYPES)
        chosen = JobFilter(job_type=job_type) if name == "jobs" else AttemptFilter(job_name=job_type)
        assert page.list(chosen) is not None  # pyright: ignore[reportArgumentType]  # each has its own filter
        taken["list page"].append((time.perf_counter() - start) * 1000)
    time.sleep(PAUSE_S)


def few_pointers(url: str) -> None:
    """Leave one in ten of the current outputs: the others were replaced or deleted since."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM current_outputs WHERE subject_id NOT LIKE '%0'".replace("%", "%%"))
    engine.dispose()


def rows_of(engine: str, past: Past, url: str) -> Iterator[Row]:
    """The figures of one engine."""
    build(url, past)
    few_pointers(url)
    chance = random.Random(1)
    before: Taken = {"claim": [], "list page": []}
    meanwhile: Taken = {"claim": [], "list page": []}
    spawned = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[JsonObject] = spawned.Queue()
    with History.open(url) as history:
        until = time.monotonic() + BEFORE_S
        while time.monotonic() < until:
            call(history, chance, before)
        cleaning = spawned.Process(target=clean, args=(url, past.end + timedelta(days=31), answer))
        cleaning.start()
        while cleaning.is_alive() and answer.empty():
            call(history, chance, meanwhile)
    done = answer.get(timeout=60)
    cleaning.join()
    removed = {each["kind"]: each["rows"] for each in done["removed"]}
    note = f"{removed['attempts']:,} attempts and {removed['jobs']:,} jobs; {done['space']}"
    yield Row(f"{engine}: clean-up", done["tookS"], unit="s", note=note, details=done)
    for what in ("Before", "After"):
        yield Row(f"{engine}: database {what.lower()}", done[f"bytes{what}"] / (1 << 20), unit="MB")
    for name, budget in (("claim", CLAIM_BUDGET_MS), ("list page", LIST_BUDGET_MS)):
        p95, usual = _p95(meanwhile[name]), _p95(before[name])
        spread = (min(meanwhile[name]), max(meanwhile[name]))
        note = f"p50 {statistics.median(meanwhile[name]):.2f} ms; before the clean-up p95 {usual:.2f} ms"
        calls = len(meanwhile[name])
        yield Row(f"{engine}: {name} meanwhile", p95, unit="ms", budget=budget, rounds=calls, spread=spread, note=note)


def _p95(taken: list[float]) -> float:
    return sorted(taken)[round(0.95 * (len(taken) - 1))]


def main() -> None:
    """Build, clean up, and print."""
    parser = options(__doc__)
    parser.add_argument("--rows", type=int, help="attempts in the database; 1,000,000, or 50,000 with --quick")
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), action="append", help="can be repeated; both")
    arguments = parser.parse_args()
    past = Past(arguments.rows or (50_000 if arguments.quick else 1_000_000), datetime.now(UTC))
    rows: list[Row] = []
    for engine in arguments.engine or ("sqlite", "postgresql"):
        with databases(engine) as (url, _):
            rows += rows_of(engine, past, url)
    print_report(f"A clean-up of {past.rows:,} attempts", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
