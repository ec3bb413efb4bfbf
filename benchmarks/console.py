"""The console over 1,000,000 attempts, on SQLite and PostgreSQL: each page and answer alone, and 200 requests a second.

    python -m benchmarks.console [--rows 1000000] [--quick] [--engine sqlite] [--json FILE]

The server is a process of its own with the whole app, Dagster's UI aside; requests come over loopback, on connections
that stay open. Alone, a figure is the 95th percentile of calls with other parameters each. Under load, requests are
sent by the clock, whether or not earlier ones were answered, and a figure is the 95th percentile of the time from the
moment at which a request was due to the end of its answer.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing.context import SpawnProcess
from pathlib import Path
from urllib.parse import urlencode

import dagster as dg
import psutil
import uvicorn

from benchmarks.history_data import CODES, DAYS, HOSTS, TYPES, Past, build
from benchmarks.report import Row, options, print_report
from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.models import JobStatus, utc_now
from mediajobs_dagster.orchestration.outside import FromDagster
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.servers.postgres import fresh_database, running_postgres

BUDGET_MS = 100.0
PAGE_BUDGET_MS = 300.0
MEMORY_BUDGET_MB = 50.0
PER_SECOND = 200
_CONNECTIONS = 64

PathOf = Callable[[random.Random], str]


@dataclass(frozen=True)
class Ask:
    """One kind of request."""

    name: str
    path_of: PathOf
    budget_ms: float = BUDGET_MS
    share: int = 0
    """How often it comes under load, beside the others."""


def asks(past: Past) -> list[Ask]:
    """What pages and programs ask for."""

    def any_of(id_of: Callable[[int], str], chance: random.Random) -> str:
        return id_of(chance.randrange(past.rows))

    def jobs(path: str, **fixed: str) -> PathOf:
        return lambda _: f"{path}?{urlencode(fixed)}"

    def since(chance: random.Random) -> str:
        return (past.end - timedelta(days=DAYS) * chance.random()).isoformat()

    def by(name: str, values: Sequence[str], path: str) -> PathOf:
        return lambda chance: f"{path}?{urlencode({name: chance.choice(values)})}"

    names = [f"worker-{number}" for number in range(HOSTS)]
    listed = [
        Ask("GET /api/jobs", jobs("/api/jobs", limit="50"), share=4),
        Ask("… by type", by("type", TYPES, "/api/jobs"), share=2),
        Ask("… by status", by("status", list(JobStatus), "/api/jobs"), share=2),
        Ask("… by error", by("error", CODES, "/api/jobs"), share=2),
        Ask("… by trace", lambda chance: f"/api/jobs?trace={any_of(past.trace_id, chance)}", share=2),
        Ask("… by machine", by("host", names, "/api/jobs")),
        Ask("… by an unknown machine", jobs("/api/jobs", host="nowhere")),
        Ask("… by a long duration", jobs("/api/jobs", longerThanMs="100000")),
        Ask("… by a name", lambda chance: f"/api/jobs?text=clip+{chance.randrange(past.rows // 10)}"),
        Ask("… by a name that nothing has", jobs("/api/jobs", text="nothing like it")),
        Ask("GET /api/attempts", jobs("/api/attempts", limit="50"), share=4),
    ]
    single = [
        Ask("GET /api/attempts/ID", lambda chance: f"/api/attempts/{any_of(past.attempt_id, chance)}", share=8),
        Ask("GET /api/jobs/ID", lambda chance: f"/api/jobs/{any_of(past.job_id, chance)}", share=2),
        Ask("GET /api/traces/ID", lambda chance: f"/api/traces/{any_of(past.trace_id, chance)}"),
        Ask("GET /api/statistics", jobs("/api/statistics"), share=2),
        Ask("… since", lambda chance: f"/api/statistics?{urlencode({'since': since(chance)})}", share=2),
        Ask("GET /api/jobs/status", jobs("/api/jobs/status")),
        Ask("GET /api/search", lambda chance: f"/api/search?q={any_of(past.job_id, chance)[:13]}"),
        Ask("GET /metrics", jobs("/metrics")),
    ]
    pages = [
        Ask("page /", lambda _: "/", PAGE_BUDGET_MS),
        Ask("page /, 90 days", lambda _: "/?range=90d", PAGE_BUDGET_MS),
        Ask("page /jobs", lambda _: "/jobs", PAGE_BUDGET_MS),
        Ask("page /jobs, failed", lambda _: "/jobs?status=failed&status=dead", PAGE_BUDGET_MS),
        Ask("page /jobs, by a name", lambda _: "/jobs?text=clip+77", PAGE_BUDGET_MS),
        Ask("page /jobs, by machine", by("host", names, "/jobs"), PAGE_BUDGET_MS),
        Ask("page of a job", lambda chance: f"/jobs/{any_of(past.job_id, chance)}", PAGE_BUDGET_MS),
        Ask("page of an attempt", lambda chance: f"/attempts/{any_of(past.attempt_id, chance)}", PAGE_BUDGET_MS),
        Ask("page of a trace", lambda chance: f"/traces/{any_of(past.trace_id, chance)}", PAGE_BUDGET_MS),
        Ask("page /uploads", lambda _: "/uploads", PAGE_BUDGET_MS),
        Ask("page /search", lambda chance: f"/search?q=clip+{chance.randrange(past.rows // 10)}", PAGE_BUDGET_MS),
    ]
    return [*listed, *single, *pages]


# --- the server ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    """A console in a process of its own."""

    port: int
    process: psutil.Process

    @property
    def memory_mb(self) -> float:
        """What it has in memory."""
        return self.process.memory_info().rss / 1e6


@contextmanager
def serving(url: str, folder: Path) -> Generator[Served]:
    """The console on the history at `url`."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = int(listening.getsockname()[1])
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(url, folder, port), daemon=True)
    process.start()
    try:
        _wait_for(port, process)
        yield Served(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.join()


def _serve(url: str, folder: Path, port: int) -> None:
    settings = Settings.load(_env_file=None, home=folder / "home", database_url=url)
    with MediaJobs(settings) as media, dg.DagsterInstance.local_temp(str(folder)) as instance:
        app = console_app(media, FromDagster(media, instance), _nothing)
        uvicorn.run(app, port=port, log_level="error", lifespan="off")


async def _nothing(*_: object) -> None:
    """Stands where Dagster's UI does."""


def _wait_for(port: int, process: SpawnProcess) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > until or not process.is_alive():
                raise
            time.sleep(0.05)
        else:
            return


# --- the client ------------------------------------------------------------------------------------------------------


class Connection:
    """A connection that stays open; one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> int:
        """The status of the answer, once all of it is here."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAccept: */*\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lengths = [line.partition(":")[2] for line in head.split("\r\n") if line.lower().startswith("content-length")]
        await reader.readexactly(int(lengths[0]))
        return int(head.split(" ", 2)[1])


async def alone(port: int, ask: Ask, calls: int) -> list[float]:
    """The milliseconds of each call, one after the other; those of the first two do not count."""
    connection, chance, taken = Connection(port), random.Random(ask.name), list[float]()
    for _ in range(calls + 2):
        path, start = ask.path_of(chance), time.perf_counter()
        status = await connection.get(path)
        assert status in (200, 303), (path, status)  # a search with one answer leads there
        taken.append(1000 * (time.perf_counter() - start))
    return taken[2:]


async def together(port: int, asked: Sequence[Ask], seconds: float) -> dict[str, list[float]]:
    """The milliseconds of each request, by name, of `PER_SECOND` requests a second."""
    chance, loop = random.Random(7), asyncio.get_running_loop()
    chosen = chance.choices(asked, [each.share for each in asked], k=round(PER_SECOND * seconds))
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(_CONNECTIONS):
        idle.put_nowait(Connection(port))
    taken: dict[str, list[float]] = {}

    async def send(ask: Ask, due: float) -> None:
        connection = await idle.get()
        status = await connection.get(ask.path_of(chance))
        assert status == 200, (ask.name, status)
        taken.setdefault(ask.name, []).append(1000 * (loop.time() - due))
        idle.put_nowait(connection)

    begin = loop.time() + 0.1
    async with asyncio.TaskGroup() as group:
        for number, ask in enumerate(chosen):
            due = begin + number / PER_SECOND
            await asyncio.sleep(max(0.0, due - loop.time()))
            group.create_task(send(ask, due))
    return taken


# --- the report ------------------------------------------------------------------------------------------------------


def measure(engine: str, url: str, past: Past, *, calls: int, seconds: float) -> list[Row]:
    """All figures of one engine."""
    asked = asks(past)
    row = partial(_row, engine)
    with tempfile.TemporaryDirectory() as folder, serving(url, Path(folder)) as served:
        rows = [row(ask.name, asyncio.run(alone(served.port, ask, calls)), ask.budget_ms) for ask in asked]
        mixed = [each for each in asked if each.share]
        asyncio.run(together(served.port, mixed, seconds / 4))  # warms what is only needed by many at once
        before = served.memory_mb
        taken = asyncio.run(together(served.port, mixed, seconds))
        grown = served.memory_mb - before
    rows += [row(f"{name}, {PER_SECOND} a second", taken[name], BUDGET_MS) for name in taken]
    rows.append(row(f"all, {PER_SECOND} a second", [each for some in taken.values() for each in some], BUDGET_MS))
    note = f"{before:.0f} MB before"
    return [*rows, Row(f"{engine}: memory that load adds", grown, "MB", MEMORY_BUDGET_MB, note=note)]


def _row(engine: str, name: str, taken: Sequence[float], budget_ms: float) -> Row:
    spread, note = (min(taken), max(taken)), f"median {statistics.median(taken):.1f} ms"
    p95 = statistics.quantiles(taken, n=20, method="inclusive")[-1]
    return Row(f"{engine}: {name}", p95, "ms", budget_ms, rounds=len(taken), spread=spread, note=note)


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="attempts in the history")
    parser.add_argument("--engine", choices=("sqlite", "postgres"), help="only this one")
    arguments = parser.parse_args()
    past = Past(20_000 if arguments.quick else arguments.rows, utc_now().replace(microsecond=0))
    calls, seconds = (20, 5.0) if arguments.quick else (60, 30.0)
    rows: list[Row] = []
    with ExitStack() as stack:
        if arguments.engine != "postgres":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            build(url := f"sqlite:///{folder}/history.db", past)
            rows += measure("sqlite", url, past, calls=calls, seconds=seconds)
        if arguments.engine != "sqlite":
            url = stack.enter_context(fresh_database(stack.enter_context(running_postgres()).get_uri()))
            build(url, past)
            rows += measure("postgres", url, past, calls=calls, seconds=seconds)
    print_report(f"The console over {past.rows:,} attempts", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
