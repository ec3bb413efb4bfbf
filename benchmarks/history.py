"""The cost of the history at 1,000,000 attempts, on SQLite and on PostgreSQL: every list, filter, statistic and poll.

    python -m benchmarks.history [--rows 1000000] [--quick] [--engine sqlite] [--json FILE]

Each engine gets two databases, one of a thousand attempts and one of `--rows`. A query's figure is the 95th percentile
of its calls, each with other parameters; that of the daemon's poll is their median. The append is a job's whole life
(enqueue, assign, claim, finish), in the small database and the large one in turn.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.history_data import BACKLOG_TYPE, CODES, DAYS, HOSTS, TYPES, Past, build
from benchmarks.report import Row, options, print_report, side_by_side
from mediajobs_dagster.history import AttemptFilter, History, JobFilter
from mediajobs_dagster.models import Attempt, AttemptStatus, JobStatus, NewJob, new_id, new_trace_id, utc_now
from tests.servers.postgres import fresh_database, running_postgres

BUDGET_MS = 50.0
POLL_BUDGET_MS = 1.0
"""Asked ten times a second."""
APPEND_BUDGET = 1.25
SMALL = 1_000
FREE_TYPE = "create_video_export_v1"
"""A job type of which nothing waits."""

Query = Callable[[History, random.Random], object]


@dataclass(frozen=True)
class Ask:
    """One query of the history."""

    name: str
    query: Query
    budget_ms: float = BUDGET_MS

    @property
    def by_median(self) -> bool:
        """Whether the budget limits the median: for a poll the total cost counts, not the slowest call."""
        return self.budget_ms == POLL_BUDGET_MS


def asks(past: Past) -> list[Ask]:
    """Every query of a page, a poll or a worker."""
    return [*_job_lists(past), *_attempt_lists(past), *_statistics(past), *_polls(past), *_queue()]


def _any(past: Past, chance: random.Random) -> int:
    return chance.randrange(past.rows)


def _period(past: Past, chance: random.Random) -> tuple[datetime, datetime]:
    since, until = sorted(past.end - timedelta(days=DAYS) * chance.random() for _ in range(2))
    return since, until


def _job_lists(past: Past) -> list[Ask]:
    def listing(name: str, filter_of: Callable[[random.Random], JobFilter]) -> Ask:
        return Ask(f"jobs: {name}", lambda history, chance: history.jobs.list(filter_of(chance)))

    def page(deep: float, **conditions: Any) -> Query:
        def query(history: History, chance: random.Random) -> object:
            after = past.job_id(round(past.rows * (1 - deep)) + chance.randrange(10))
            return history.jobs.list(JobFilter(**conditions), after=after)

        return query

    def of_period(chance: random.Random, job_type: str | None = None) -> JobFilter:
        since, until = _period(past, chance)
        return JobFilter(job_type=job_type, since=since, until=until)

    return [
        listing("all", lambda _: JobFilter()),
        listing("type", lambda chance: JobFilter(job_type=chance.choice(TYPES))),
        listing("status", lambda chance: JobFilter(statuses=(chance.choice(list(JobStatus)),))),
        listing("several statuses", lambda chance: JobFilter(statuses=tuple(chance.sample(list(JobStatus), 3)))),
        listing("type, status", lambda chance: JobFilter(job_type=chance.choice(TYPES), statuses=(JobStatus.DEAD,))),
        listing("trace", lambda chance: JobFilter(trace_id=past.trace_id(_any(past, chance)))),
        listing("period", of_period),
        listing("type, period", lambda chance: of_period(chance, chance.choice(TYPES))),
        listing("subject", lambda chance: JobFilter(subject_id=past.subject_id(_any(past, chance)))),
        listing("error", lambda chance: JobFilter(error_code=chance.choice(CODES))),
        listing(
            "type, error", lambda chance: JobFilter(job_type=chance.choice(TYPES), error_code=chance.choice(CODES))
        ),
        listing("unknown error", lambda _: JobFilter(error_code="NEVER_SEEN")),
        listing("parent", lambda chance: JobFilter(parent_job_id=past.job_id(_any(past, chance) // 30 * 30))),
        listing("50 ids", lambda chance: JobFilter(ids=tuple(past.job_id(_any(past, chance)) for _ in range(50)))),
        Ask("jobs: all, half-way down", page(0.5)),
        Ask("jobs: all, last page", page(0.99998)),
        Ask("jobs: type, last page", page(0.9999, job_type=TYPES[0])),
        Ask("jobs: error, last page", page(0.99, error_code=CODES[0])),
    ]


def _attempt_lists(past: Past) -> list[Ask]:
    def listing(name: str, filter_of: Callable[[random.Random], AttemptFilter]) -> Ask:
        return Ask(f"attempts: {name}", lambda history, chance: history.attempts.list(filter_of(chance)))

    def page(deep: float, **conditions: Any) -> Query:
        def query(history: History, chance: random.Random) -> object:
            after = past.attempt_id(round(past.rows * (1 - deep)) + chance.randrange(10))
            return history.attempts.list(AttemptFilter(**conditions), after=after)

        return query

    return [
        *(listing(name, filter_of) for name, filter_of in _attempt_filters(past).items()),
        Ask("attempts: all, half-way down", page(0.5)),
        Ask("attempts: all, last page", page(0.99998)),
        Ask("attempts: type, last page", page(0.9999, job_name=TYPES[0])),
        Ask("attempts: status, last page", page(0.99, statuses=(AttemptStatus.FAILURE,))),
        Ask(
            "attempts: with manifests",
            lambda history, chance: history.attempts.list(
                AttemptFilter(job_name=chance.choice(TYPES)), with_manifest=True
            ),
        ),
        Ask("attempt by id", lambda history, chance: history.attempts.get(past.attempt_id(_any(past, chance)))),
        Ask("attempts of a job", lambda history, chance: history.attempts.of_job(past.job_id(_any(past, chance)))),
    ]


def _attempt_filters(past: Past) -> dict[str, Callable[[random.Random], AttemptFilter]]:
    statuses = list(AttemptStatus)

    def within(chance: random.Random, **conditions: Any) -> AttemptFilter:
        since, until = _period(past, chance)
        return AttemptFilter(since=since, until=until, **conditions)

    return {
        "all": lambda _: AttemptFilter(),
        "type": lambda chance: AttemptFilter(job_name=chance.choice(TYPES)),
        "status": lambda chance: AttemptFilter(statuses=(chance.choice(statuses),)),
        "several statuses": lambda chance: AttemptFilter(statuses=tuple(chance.sample(statuses, 3))),
        "type, status": lambda chance: AttemptFilter(
            job_name=chance.choice(TYPES), statuses=(chance.choice(statuses),)
        ),
        "trace": lambda chance: AttemptFilter(trace_id=past.trace_id(_any(past, chance))),
        "run": lambda chance: AttemptFilter(run_id=past.run_id(_any(past, chance))),
        "job": lambda chance: AttemptFilter(job_id=past.job_id(_any(past, chance))),
        "error": lambda chance: AttemptFilter(error_code=chance.choice(CODES)),
        "type, error": lambda chance: AttemptFilter(job_name=chance.choice(TYPES), error_code=chance.choice(CODES)),
        "since": lambda chance: AttemptFilter(since=_period(past, chance)[0]),
        "until": lambda chance: AttemptFilter(until=_period(past, chance)[0]),
        "period": within,
        "type, period": lambda chance: within(chance, job_name=chance.choice(TYPES)),
        "error, since": lambda chance: AttemptFilter(error_code=chance.choice(CODES), since=_period(past, chance)[0]),
        "type, status, error, period": lambda chance: within(
            chance,
            job_name=chance.choice(TYPES),
            statuses=(AttemptStatus.FAILURE, AttemptStatus.LOST),
            error_code=chance.choice(CODES),
        ),
    }


def _statistics(past: Past) -> list[Ask]:
    def figures(name: str, filter_of: Callable[[random.Random], AttemptFilter]) -> Ask:
        return Ask(f"statistics: {name}", lambda history, chance: history.statistics.of(filter_of(chance)))

    return [figures(name, filter_of) for name, filter_of in _attempt_filters(past).items()]


def _polls(past: Past) -> list[Ask]:
    a_while_ago = timedelta(hours=1)
    return [
        Ask("jobs.counts()", lambda history, _: history.jobs.counts()),
        Ask("jobs.next_due(): a large backlog", lambda history, _: history.jobs.next_due(TYPES), POLL_BUDGET_MS),
        Ask("jobs.next_due(): nothing waits", lambda history, _: history.jobs.next_due([FREE_TYPE]), POLL_BUDGET_MS),
        Ask("jobs.next_due(): any type", lambda history, _: history.jobs.next_due(), POLL_BUDGET_MS),
        Ask("jobs.active()", lambda history, _: history.jobs.active(BACKLOG_TYPE)),
        Ask("leases.lost()", lambda history, _: history.leases.lost()),
        Ask("leases.expired_dispatches()", lambda history, _: history.leases.expired_dispatches()),
        Ask("breaker: last success", lambda history, chance: history.attempts.last_success_at(chance.choice(TYPES))),
        Ask(
            "breaker: failures of ours",
            lambda history, chance: history.attempts.operator_failures(
                chance.choice(TYPES), since=past.end - a_while_ago
            ),
        ),
        Ask(
            "current outputs of a subject",
            lambda history, chance: history.current.of(TYPES[0], past.subject_id(_any(past, chance))),
        ),
        Ask("uploads.day_summary()", lambda history, _: history.uploads.day_summary(past.end.date())),
    ]


def _queue() -> list[Ask]:
    def assign(history: History, limit: int) -> str:
        dispatch = history.leases.assign(BACKLOG_TYPE, limit=limit, lease_s=3600)
        assert dispatch is not None
        return dispatch.id

    def claim(history: History, _: random.Random) -> object:
        return history.leases.claim(_waiting(history), run_id=new_id(), host="worker-1", lease_s=3600)

    return [
        Ask("assign from a large backlog", lambda history, _: assign(history, 50)),
        Ask("assign, nothing waits", lambda history, _: history.leases.assign(FREE_TYPE, limit=50, lease_s=3600)),
        Ask(
            "assign a probe job",
            lambda history, _: history.leases.assign(BACKLOG_TYPE, limit=1, lease_s=3600, only_if_idle=True),
        ),
        Ask("assign and claim", lambda history, chance: claim(history, chance)),
        Ask("enqueue", lambda history, _: history.jobs.enqueue([_a_job(BACKLOG_TYPE)])),
    ]


def _waiting(history: History) -> str:
    dispatch = history.leases.assign(BACKLOG_TYPE, limit=1, lease_s=3600)
    assert dispatch is not None
    return dispatch.id


def _a_job(job_type: str) -> NewJob:
    return NewJob(
        job_type=job_type,
        subject_id=new_id(),
        subject_day=utc_now().date(),
        trace_id=new_trace_id(),
        idempotency_key=new_id() + new_id(),
    )


def measure(history: History, past: Past, calls: int) -> Iterator[tuple[Ask, list[float]]]:
    """Each query with the milliseconds of its calls, without the first call, which prepares the statement."""
    for ask in asks(past):
        chance = random.Random(ask.name)
        taken: list[float] = []
        for _ in range(calls + 1):
            start = time.perf_counter()
            ask.query(history, chance)
            taken.append((time.perf_counter() - start) * 1000)
        yield ask, taken[1:]


def append(history: History, attempts: int) -> float:
    """Seconds that `attempts` jobs take from enqueue to finish, one after the other."""
    start = time.perf_counter()
    for _ in range(attempts):
        history.jobs.enqueue([_a_job(FREE_TYPE)])
        dispatch = history.leases.assign(FREE_TYPE, limit=1, lease_s=60)
        assert dispatch is not None
        claim = history.leases.claim(dispatch.id, run_id=new_id(), host="worker-1", lease_s=60)
        assert claim is not None
        assert history.leases.finish(_ended(claim.attempt), job_status=JobStatus.COMPLETED)
    return time.perf_counter() - start


def _ended(attempt: Attempt) -> Attempt:
    stages = [{"name": name, "durationMs": 12, "status": "ok"} for name in ("fetch", "probe", "ffmpeg", "verify")]
    return attempt.model_copy(
        update={
            "status": AttemptStatus.SUCCESS,
            "completed_at": utc_now(),
            "duration_ms": random.randrange(300, 900),
            "result": {"outputs": [{"key": "out", "bytes": 1_000_000}]},
            "manifest": {"schemaVersion": 1, "stages": stages},
        }
    )


def rows_of(engine: str, past: Past, urls: tuple[str, str], calls: int, rounds: int, appends: int) -> list[Row]:
    """The figures of one engine, from a small and a large database."""
    small_url, large_url = urls
    rows: list[Row] = []
    with History.open(small_url, timeout_s=60) as small, History.open(large_url, timeout_s=60) as large:
        for history in (small, large):
            append(history, appends)
        pairs = side_by_side(rounds, lambda: append(small, appends), lambda: append(large, appends))
        a_second = appends / statistics.median(pairs.ours_s)
        note = (
            f"{a_second:.0f} attempts a second; at {SMALL:,} rows {appends / statistics.median(pairs.baseline_s):.0f}"
        )
        rows.append(Row.of_pairs(f"{engine}: append at {past.rows:,} rows", pairs, budget=APPEND_BUDGET, note=note))
        for ask, taken in measure(large, past, calls):
            ordered = sorted(taken)
            p50, p95 = statistics.median(ordered), ordered[round(0.95 * (len(ordered) - 1))]
            rows.append(
                Row(
                    f"{engine}: {ask.name}",
                    p50 if ask.by_median else p95,
                    unit="ms",
                    budget=ask.budget_ms,
                    rounds=len(taken),
                    spread=(ordered[0], ordered[-1]),
                    note=f"p50 {p50:.2f}, p95 {p95:.2f} ms",
                    details={"p50Ms": p50, "p95Ms": p95, "callsMs": taken},
                )
            )
    return rows


@contextmanager
def databases(engine: str) -> Generator[tuple[str, str]]:
    """The addresses of two empty databases."""
    with ExitStack() as stack:
        if engine == "sqlite":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            yield f"sqlite:///{folder / 'small.db'}", f"sqlite:///{folder / 'large.db'}"
            return
        server = stack.enter_context(running_postgres()).get_uri()
        yield stack.enter_context(fresh_database(server)), stack.enter_context(fresh_database(server))


def main() -> None:
    """Build, measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rows", type=int, help="attempts in the large database; 1,000,000, or 100,000 with --quick")
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), action="append", help="can be repeated; both")
    arguments = parser.parse_args()
    past = Past(arguments.rows or (100_000 if arguments.quick else 1_000_000), datetime.now(UTC))
    calls, rounds, appends = (20, 3, 50) if arguments.quick else (60, 7, 150)
    rows: list[Row] = []
    notes = [f"{past.rows:,} attempts over {DAYS} days on {HOSTS} hosts, {past.backlog:,} jobs waiting."]
    for engine in arguments.engine or ("sqlite", "postgresql"):
        with databases(engine) as urls:
            start = time.perf_counter()
            build(urls[0], Past(SMALL, past.end))
            build(urls[1], past)
            notes.append(f"{engine}: built in {time.perf_counter() - start:.0f} s.")
            rows += rows_of(engine, past, urls, calls, rounds, appends)
    print_report(f"The history at {past.rows:,} attempts", rows, json_file=arguments.json, notes=notes)


if __name__ == "__main__":
    main()
