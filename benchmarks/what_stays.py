"""What a run of one job leaves for ever: bytes in each database, and files and folders, a run.

    python -m benchmarks.what_stays [--runs 60] [--quick] [--json FILE]

Embedded: thumbnails through a real `mediajobs up`, each in a run of its own, and what grew below MEDIAJOBS_HOME but the
objects themselves. PostgreSQL: the same runs in this process, on the storage that `deploy/dagster.celery.yaml` names.
Sizes are those of whole pages with the rows' indexes, so they are what a disk loses.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
import yaml

from benchmarks.report import Row, options, print_report
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.demo_clip import make_demo_clip
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import Upload, new_trace_id
from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.orchestration.internals.core import InstanceRef
from mediajobs_dagster.orchestration.local_runs import LocalRuns
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.platform import Platform
from tests.servers.mediajobs_up import running_up
from tests.servers.postgres import fresh_database, running_postgres

DEPLOY = Path(__file__).parents[1] / "deploy" / "dagster.celery.yaml"
DATABASES = {
    "events": "dagster/events/event_log.db",
    "runs": "dagster/history/runs.db",
    "history": "mediajobs.db",
}
WARM_UP = 5
"""Runs before the measurement, which leave what is left once."""
MILLION = 1_000_000


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--runs", type=int, default=60)
    arguments = parser.parse_args()
    runs = 15 if arguments.quick else arguments.runs
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    with tempfile.TemporaryDirectory(prefix="what-stays-") as folder:
        clip = Path(folder) / "clip.mp4"
        make_demo_clip(Runner.from_settings(Settings.load(_env_file=None)), clip)
        rows = [*_embedded(Path(folder) / "embedded", clip, runs), *_postgres(Path(folder) / "postgres", clip, runs)]
    print_report("What a run of one job leaves", rows, json_file=arguments.json)


# --- embedded --------------------------------------------------------------------------------------------------------


def _embedded(home: Path, clip: Path, runs: int) -> list[Row]:
    with running_up(home), MediaJobs.open(_env_file=None, home=home) as media:
        upload = Platform(media).register(clip)
        _work_off(media, upload, WARM_UP)
        before, inodes = _sizes(home), _inodes(home)
        events = _event_bytes(home)
        _work_off(media, upload, runs)
        grown = {name: (size - before[name]) / runs for name, size in _sizes(home).items()}
        left = (_inodes(home) - inodes) / runs
        events = _event_bytes(home) - events
    by_type = {str(kind): round(size / runs) for kind, size in events.most_common()}
    return [
        *_rows("embedded", grown, runs, {"events": by_type}),
        Row("embedded, files and folders", left, "a run", rounds=runs, note=f"{left * MILLION:,.0f} a million"),
    ]


def _work_off(media: MediaJobs, upload: Upload, count: int) -> None:
    job_type = media.registry[Thumbnail.name]
    requests = [job_type.request(upload, trace_id=new_trace_id(), anew=True, force=True) for _ in range(count)]
    jobs = [enqueued.job.id for enqueued in media.history.jobs.enqueue(requests)]
    for job in jobs:
        while not media.history.jobs.get(job).status.is_final:
            time.sleep(0.1)
    time.sleep(3.0)  # the last run closes


def _sizes(home: Path) -> dict[str, int]:
    return {name: _scalar(home / file, "SELECT sum(pgsize) FROM dbstat") for name, file in DATABASES.items()}


def _scalar(file: Path, statement: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(statement).fetchone()[0]


def _event_bytes(home: Path) -> Counter[str]:
    with closing(sqlite3.connect(home / DATABASES["events"])) as connection:
        statement = "SELECT dagster_event_type, sum(length(event)) FROM event_logs GROUP BY 1"
        return Counter({kind or "log line": size for kind, size in connection.execute(statement)})


def _inodes(home: Path) -> int:
    objects = home / "objects"
    return sum(1 for path in home.rglob("*") if objects not in path.parents)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


def _postgres(home: Path, clip: Path, runs: int) -> list[Row]:
    with ExitStack() as stack:
        server = stack.enter_context(running_postgres())
        dagster_url, history_url = (stack.enter_context(fresh_database(server.get_uri())) for _ in range(2))
        media = stack.enter_context(MediaJobs.open(_env_file=None, home=home, database_url=history_url))
        instance = stack.enter_context(_instance(home, dagster_url))
        upload = Platform(media).register(clip)
        local = LocalRuns(media, build_definitions(media), instance)

        def work_off(count: int) -> dict[str, int]:
            job_type = media.registry[Thumbnail.name]
            media.history.jobs.enqueue(
                [job_type.request(upload, trace_id=new_trace_id(), anew=True, force=True) for _ in range(count)]
            )
            local.work_off()
            events = ("event_logs", "asset_check_executions", "asset_event_tags", "asset_keys")
            return {
                "events": _tables(dagster_url, events),
                "runs": _tables(dagster_url, ("runs", "run_tags")),
                "history": _tables(history_url, ("jobs", "job_history", "metric_entries")),
            }

        before = work_off(WARM_UP)
        grown = {name: (size - before[name]) / runs for name, size in work_off(runs).items()}
    return _rows("PostgreSQL", grown, runs, {})


@contextmanager
def _instance(home: Path, url: str) -> Generator[dg.DagsterInstance]:
    os.environ["DAGSTER_POSTGRES_URL"] = url
    folder = home / "instance"
    folder.mkdir(parents=True)
    storage = yaml.safe_load(DEPLOY.read_text())["storage"]
    (folder / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}, "storage": storage}))
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder))) as instance:
        yield instance


def _tables(url: str, names: tuple[str, ...]) -> int:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in names:
            connection.exec_driver_sql(f"VACUUM {name}")  # what updates left behind is used again
        found = sum(connection.scalar(sa.text(f"SELECT pg_total_relation_size('{name}')")) or 0 for name in names)
    engine.dispose()
    return found


def _rows(engine: str, grown: Mapping[str, float], runs: int, details: Mapping[str, object]) -> list[Row]:
    def row(name: str, size: float) -> Row:
        note = f"{size * MILLION / 1e9:.1f} GB a million"
        return Row(f"{engine}, {name}", size / 1024, "KB", rounds=runs, note=note, details=details)

    return [*(row(name, size) for name, size in grown.items()), row("all of it", sum(grown.values()))]


if __name__ == "__main__":
    main()
