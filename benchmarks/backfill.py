"""How long a manual run takes to find and enqueue the jobs of a large day, on PostgreSQL with 5 ms per look-up.

    python -m benchmarks.backfill [--subjects 100000] [--quick] [--json FILE]

Three cases. All outputs exist: two look-ups in the storage for each subject, of its source and its output, and nothing
to enqueue. All outputs were made but are gone: as many look-ups, and a job for each subject. None was ever made: the
history knows that, and there is a job for each subject. The objects are simulated, and the storage only waits;
database, history and search are real.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from typing_extensions import override

from benchmarks.report import Row, options, print_report
from mediajobs_dagster.attempts.batch import enqueue_stale
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.errors import StorageMissingError
from mediajobs_dagster.history import History, JobFilter
from mediajobs_dagster.history.schema import current_outputs, job_history, jobs
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import (
    AudioStream,
    JobStatus,
    MediaInfo,
    Upload,
    UploadRole,
    VideoStream,
    new_id,
    new_trace_id,
)
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import ObjectStat, upload_source_key
from mediajobs_dagster.storage.local import LocalStorage
from tests.servers.postgres import fresh_database, running_postgres

LOOK_UP_S = 0.005
BUDGET_S = 120.0
OF_SUBJECTS = 100_000
"""How many subjects the budget is for."""
DAY = datetime(2026, 3, 4, tzinfo=UTC)
MADE, NEVER_MADE = Thumbnail(), EditProxy()
BYTES = 20_000


class Distant(LocalStorage):
    """A storage that answers every look-up after five milliseconds."""

    outputs_are_there = True

    @override
    def _head(self, key: str) -> ObjectStat:
        time.sleep(LOOK_UP_S)
        if not key.startswith("uploads/") and not self.outputs_are_there:
            raise StorageMissingError
        return ObjectStat(key, BYTES, "etag", DAY)


def fill(history: History, url: str, count: int) -> None:
    """A day of uploads, each with a thumbnail that was made the same day."""
    info = MediaInfo(
        container="mov,mp4,m4a,3gp,3g2,mj2",
        duration_seconds=60.0,
        bytes=BYTES,
        video=(VideoStream(index=0, codec="h264", width=1920, height=1080, fps=30.0),),
        audio=(AudioStream(index=1, codec="aac", channels=2, sample_rate=48_000),),
    )
    fingerprint = MADE.fingerprint({}, "etag")
    engine = sa.create_engine(url)
    for start in range(0, count, 1000):
        numbers = range(start, min(start + 1000, count))
        uploads = [_upload(DAY + timedelta(milliseconds=number), info) for number in numbers]
        history.uploads.register(uploads, lambda _: ())
        ids = [(new_id(), upload) for upload in uploads]
        with engine.begin() as connection:
            connection.execute(sa.insert(jobs).returning(sa.literal(1)), [_job(*each) for each in ids])
            rows = [_attempt(*each, fingerprint) for each in ids]
            connection.execute(sa.insert(job_history).returning(sa.literal(1)), rows)
            pointers = [
                {"subject_id": upload.id, "job_type": MADE.name, "attempt_id": row["id"]}
                for (_, upload), row in zip(ids, rows, strict=True)
            ]
            connection.execute(sa.insert(current_outputs).returning(sa.literal(1)), pointers)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")  # as the server does by itself within a minute or so
    engine.dispose()


def _upload(created_at: datetime, info: MediaInfo) -> Upload:
    upload_id = new_id()
    return Upload(
        id=upload_id,
        role=UploadRole.SOURCE,
        storage_key=upload_source_key(upload_id),
        filename="clip.mp4",
        bytes=BYTES,
        etag="etag",
        media_info=info,
        created_at=created_at,
        trace_id=new_trace_id(),
    )


def _job(job_id: str, upload: Upload) -> dict[str, object]:
    ended = {"status": JobStatus.COMPLETED, "attempts": 1, "allowance": 3, "not_before": upload.created_at}
    times = {"created_at": upload.created_at, "updated_at": upload.created_at}
    return {**MADE.request(upload, trace_id=upload.trace_id).model_dump(), "id": job_id, **ended, **times}


def _attempt(job_id: str, upload: Upload, fingerprint: str) -> dict[str, object]:
    (key,) = MADE.output_keys(upload.id)
    return {
        "id": new_id(),
        "job_id": job_id,
        "job_name": MADE.name,
        "attempt": 1,
        "trace_id": upload.trace_id,
        "status": "success",
        "started_at": upload.created_at,
        "completed_at": upload.created_at,
        "duration_ms": 400,
        "output_files": 1,
        "output_bytes": BYTES,
        "created_at": upload.created_at,
        "result": {"fingerprint": fingerprint, "outputs": [{"key": key, "bytes": BYTES, "sha256": "0" * 64}]},
        "manifest": {"schemaVersion": 1},
    }


def measure(worker: Worker, count: int) -> Iterator[Row]:
    """A row for each of the three cases, with its seconds."""
    budget = BUDGET_S * count / OF_SUBJECTS
    for what, job_type, are_there in (
        ("all fresh: two look-ups each", MADE, True),
        ("all gone: two look-ups and a job each", MADE, False),
        ("never made: a job each", NEVER_MADE, True),
    ):
        Distant.outputs_are_there = are_there
        start = time.perf_counter()
        found = enqueue_stale(worker, job_type, DAY.date(), dispatch_id=new_id(), trace_id=new_trace_id(), force=False)
        taken = time.perf_counter() - start
        assert found == (0 if job_type is MADE and are_there else count)
        note = f"{count / taken:,.0f} subjects a second; the process has {_peak_mb():.0f} MB at most"
        yield Row(what, taken, "s", budget=budget, note=note)
    assert len(worker.history.jobs.list(JobFilter(statuses=(JobStatus.QUEUED,)), limit=2 * count)) == 2 * count


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Fill a day, measure and print."""
    parser = options(__doc__)
    parser.add_argument("--subjects", type=int, help="of the day; 100,000, or 5,000 with --quick")
    arguments = parser.parse_args()
    count = arguments.subjects or (5_000 if arguments.quick else OF_SUBJECTS)
    with (
        tempfile.TemporaryDirectory() as home,
        running_postgres() as server,
        fresh_database(server.get_uri()) as url,
        History.open(url) as history,
    ):
        fill(history, url, count)
        settings = Settings.load(_env_file=None, home=home, database_url=url)
        with Worker.open(settings, Registry.standard(), history, lambda: Distant(Path("/nowhere"))) as worker:
            rows = list(measure(worker, count))
    title = f"A day of {count:,} subjects, found and enqueued with {LOOK_UP_S * 1000:.0f} ms a look-up"
    print_report(title, rows, json_file=arguments.json)


if __name__ == "__main__":
    main()
