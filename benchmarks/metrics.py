"""Metrics on beside off: attempts, and a request to the HTTP API.

    python -m benchmarks.metrics [--quick] [--json FILE]

Both work on the same installation in turn; off is MEDIAJOBS_METRICS=false. An attempt makes the edit proxy of a
generated 1080p clip. A request is one for a page of jobs, through the console's ASGI app without a network.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time

import dagster as dg
from starlette.types import ASGIApp, Message

from benchmarks.bare import Installation, make_clip
from benchmarks.report import Pairs, Row, options, print_report, side_by_side
from mediajobs_dagster.console.app import console_app
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.orchestration.outside import FromDagster
from mediajobs_dagster.system import MediaJobs

ATTEMPT_BUDGET = 1.01
REQUEST_BUDGET = 1.05
_REQUESTS = 100


def attempts(off: Installation, on: Installation, *, seconds: int, rounds: int) -> list[Row]:
    """Proxies and thumbnails, with metrics and without."""
    upload = on.register(make_clip(on.folder / "clip.mp4", seconds), probed=True)
    rows: list[Row] = []
    with off.media.worker() as quiet, on.media.worker() as measured:
        for job_type, more in ((EditProxy(), 1), (Thumbnail(), 5)):

            def without(job_type: EditProxy | Thumbnail = job_type) -> float:
                return off.attempt(job_type, upload, quiet).seconds

            def counted(job_type: EditProxy | Thumbnail = job_type) -> float:
                return on.attempt(job_type, upload, measured).seconds

            for warm_up in (without, counted):
                warm_up()
            pairs = side_by_side(rounds * more, without, counted)
            budget = ATTEMPT_BUDGET if isinstance(job_type, EditProxy) else None
            rows.append(Row.of_pairs(f"{job_type.name} of {seconds} s", pairs, budget=budget))
    return rows


def requests(off: Installation, on: Installation, *, rounds: int) -> Row:
    """A page of jobs."""
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        apps = [console_app(each.media, FromDagster(each.media, instance), _nothing) for each in (off, on)]
        pairs = asyncio.run(_asked(apps, rounds))
    return Row.of_pairs("GET /api/jobs", pairs, budget=REQUEST_BUDGET)


async def _asked(apps: list[ASGIApp], rounds: int) -> Pairs:
    taken: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        times: list[list[float]] = [[], []]
        for _ in range(_REQUESTS):
            for app, found in zip(apps, times, strict=True):
                found.append(await _ask(app))
        for found, all_rounds in zip(times, taken, strict=True):
            all_rounds.append(statistics.median(found))
    return Pairs(tuple(taken[0][1:]), tuple(taken[1][1:]))  # the first round warms the caches


async def _ask(app: ASGIApp) -> float:
    """How long the answer takes, seconds."""
    path = "/api/jobs"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"limit=20"}
    scope |= {"asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "headers": [], "root_path": ""}
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    start = time.perf_counter()
    await app(scope, receive, send)
    assert statuses == [200]
    return time.perf_counter() - start


async def _nothing(*_: object) -> None:
    """Stands where Dagster's UI does."""


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    arguments = parser.parse_args()
    rounds, seconds = (3, 10) if arguments.quick else (7, 30)
    with Installation.open() as on, MediaJobs.open(_env_file=None, home=on.settings.home, metrics=False) as media:
        off = Installation(on.folder, media)
        rows = [*attempts(off, on, seconds=seconds, rounds=rounds), requests(off, on, rounds=rounds)]
    print_report("Metrics on beside off", rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
