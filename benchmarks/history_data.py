"""Fills a history database with a given number of jobs and attempts, such as three months of work leave."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import islice
from typing import Any, TextIO, cast

import psycopg2
import sqlalchemy as sa

from mediajobs_dagster.attempts.manifest import Manifest, Metrics, StageRecord, TimeLedger, Versions
from mediajobs_dagster.history import History
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.folding import fold
from mediajobs_dagster.history.schema import current_outputs, job_history, jobs, uploads
from mediajobs_dagster.models import AttemptStatus, FfmpegCommand, HostFacts

TYPES = ("upload_thumb_v1", "upload_edit_proxy_v1", "upload_audio_envelope_v1")
BACKLOG_TYPE = "upload_edit_proxy_v1"
CODES = ("INPUT_CORRUPT", "INPUT_TRUNCATED", "STALLED", "TIMEOUT", "DISK_FULL", "OUT_OF_MEMORY", "STORAGE_DENIED")
DAYS = 90
JOBS_OF_A_TRACE, ATTEMPTS_OF_A_RUN, HOSTS = 30, 50, 20
_TYPICAL_MS = dict(zip(TYPES, (400, 14_000, 2_000), strict=True))
_ENDINGS = {"success": "completed", "failure": "dead", "skipped": "skipped", "cancelled": "cancelled", "lost": "dead"}
_WEIGHTS = (940, 970, 985, 995, 1000)
_CHUNK = 20_000
_FOLDED_AT_ONCE = 100_000

Row = tuple[Any, ...]
"""Column values in a text form that both databases read."""


@dataclass(frozen=True)
class Past:
    """Three months of work: `rows` attempts at as many jobs, and a backlog."""

    rows: int
    end: datetime

    @property
    def backlog(self) -> int:
        """How many jobs of one type are queued."""
        return self.rows // 10

    def moment(self, number: int) -> datetime:
        """When the attempt with that number was made."""
        return self.end - timedelta(days=DAYS) * ((self.rows - number) / self.rows)

    def job_id(self, number: int) -> str:
        """The job of that number; a UUIDv7, as `new_id` makes them."""
        return _id(self.moment(number), "a", number)

    def attempt_id(self, number: int) -> str:
        """The one attempt at the job of that number."""
        return _id(self.moment(number), "b", number)

    def trace_id(self, number: int) -> str:
        """A random id; consecutive jobs share a trace."""
        return _random_id("trace", number // JOBS_OF_A_TRACE)

    def run_id(self, number: int) -> str:
        """A random id, as Dagster's are."""
        text = _random_id("run", number // ATTEMPTS_OF_A_RUN)
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def subject_id(self, number: int) -> str:
        """Each subject has a job of each type."""
        return f"upload-{number // len(TYPES)}"


@lru_cache(maxsize=100)
def _random_id(kind: str, number: int) -> str:
    return hashlib.md5(f"{kind} {number}".encode(), usedforsecurity=False).hexdigest()


def _id(moment: datetime, kind: str, number: int) -> str:
    milliseconds = f"{int(moment.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7{number % 4096:03x}-8{kind}00-{number:012x}"


def build(url: str, past: Past) -> None:
    """Migrate an empty database, fill it, and make it ready for measurements."""
    History.open(url).close()
    engine = sa.create_engine(url)
    load = _load_sqlite if engine.dialect.name == "sqlite" else _load_postgres
    with engine.begin() as connection:
        _hurry(connection)
        indexes = _drop_indexes(connection)
        load(connection, uploads, _uploads(past))
        load(connection, jobs, _jobs(past))
        load(connection, job_history, _attempts(past))
        load(connection, current_outputs, _pointers(past))
        for index in indexes:  # building them after the load takes a fraction of the time
            connection.exec_driver_sql(index)
    database = Database(url, timeout_s=600)
    while fold(database, limit=_FOLDED_AT_ONCE):
        pass
    database.close()
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        # The first is what the server does by itself within a minute or so.
        is_remote = engine.dialect.name == "postgresql"
        connection.exec_driver_sql("VACUUM (ANALYZE)" if is_remote else "PRAGMA journal_mode = WAL")
    engine.dispose()


def _hurry(connection: sa.Connection) -> None:
    settings = ("SET LOCAL maintenance_work_mem = '512MB'",)
    if connection.dialect.name == "sqlite":
        # An interrupted build is thrown away, so it need not be durable.
        settings = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -500000")
    for setting in settings:
        connection.exec_driver_sql(setting)


def _drop_indexes(connection: sa.Connection) -> list[str]:
    if connection.dialect.name == "sqlite":
        found = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    else:
        found = (
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
            "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        )
    indexes = [(str(name), str(sql)) for name, sql in connection.exec_driver_sql(found)]
    is_sqlite = connection.dialect.name == "sqlite"
    planned: list[Row] = []
    if is_sqlite:
        planned = [tuple(row) for row in connection.exec_driver_sql("SELECT tbl, idx, stat FROM sqlite_stat1")]
    for name, _ in indexes:
        connection.exec_driver_sql(f'DROP INDEX "{name}"')
    if is_sqlite:  # it deletes the planner's statistics together with an index
        connection.exec_driver_sql("DELETE FROM sqlite_stat1")
        connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", planned)
    return [sql for _, sql in indexes]


def _load_sqlite(connection: sa.Connection, table: sa.Table, rows: Iterator[Row]) -> None:
    statement = f"INSERT INTO {table.name} ({_names(table)}) VALUES ({', '.join('?' * len(table.c))})"
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.executemany(statement, rows)


def _load_postgres(connection: sa.Connection, table: sa.Table, rows: Iterator[Row]) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg2.extensions.connection)
    with driver.cursor() as cursor:
        cursor.copy_expert(f"COPY {table.name} ({_names(table)}) FROM STDIN", cast(TextIO, _Lines(rows)))


def _names(table: sa.Table) -> str:
    return ", ".join(column.name for column in table.c)


class _Lines:
    """Rows as a file in PostgreSQL's text format, as far as psycopg2 asks; none of the values needs escaping."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows, self._rest = rows, ""

    def read(self, size: int) -> str:
        while len(self._rest) < size:
            lines = [
                "\t".join("\\N" if value is None else str(value) for value in row) for row in islice(self._rows, 500)
            ]
            if not lines:
                break
            self._rest += "\n".join(lines) + "\n"
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def _text(moment: datetime) -> str:
    return moment.isoformat(" ", "microseconds").removesuffix("+00:00")


def _row_of(table: sa.Table) -> Callable[[dict[str, Any]], Row]:
    names = [column.name for column in table.c]
    return lambda values: tuple(map(values.get, names))


def _uploads(past: Past) -> Iterator[Row]:
    """As many as a tenth of the attempts, all on the last day."""
    row_of, created_at = _row_of(uploads), _text(past.end)
    for number in range(past.rows // 10):
        yield row_of(
            {
                "id": f"upload-{number}",
                "role": "source",
                "storage_key": f"uploads/upload-{number}/source.mp4",
                "filename": f"clip {number}.mp4",
                "folded_name": f"clip {number}.mp4",
                "bytes": 10_000_000 + number,
                "etag": f"etag-{number}",
                "origin": f"file:///clips/{number}.mp4",
                "media_ms": 60_000,
                "created_at": created_at,
                "trace_id": past.trace_id(number),
            }
        )


def _jobs(past: Past) -> Iterator[Row]:
    row_of, chance, keys = _row_of(jobs), random.Random(1), random.Random(3)
    for number in range(past.rows + past.backlog):
        waits = number >= past.rows
        ending, code = (None, None) if waits else _ending(chance)
        moment = past.moment(min(number, past.rows))
        yield row_of(
            {
                "id": past.job_id(min(number, past.rows)) if not waits else _id(moment, "c", number),
                "job_type": BACKLOG_TYPE if waits else TYPES[number % 3],
                "subject_id": past.subject_id(number),
                "subject_day": moment.date().isoformat(),
                "params": '{"crf": 23}',
                "priority": number % 3,
                "trace_id": past.trace_id(number),
                "parent_job_id": past.job_id(number - number % JOBS_OF_A_TRACE)
                if not waits and number % 10 == 7
                else None,
                "force": 0,
                "status": _ENDINGS[ending] if ending else "queued",
                "attempts": int(not waits),
                "max_attempts": 3,
                "allowance": 3,
                "not_before": _text(moment),
                "idempotency_key": f"{keys.getrandbits(256):064x}",
                "created_at": _text(moment),
                "updated_at": _text(moment),
                "turn": 0,
                "follow_up": "[]",
                "error_code": code,
            }
        )


def _attempts(past: Past) -> Iterator[Row]:
    row_of, chance, durations = _row_of(job_history), random.Random(1), random.Random(2)
    for number in range(past.rows):
        ending, code = _ending(chance)
        job_type = TYPES[number % 3]
        duration_ms = round(_TYPICAL_MS[job_type] * durations.lognormvariate(0, 0.6))
        moment = past.moment(number)
        outputs = int(ending == "success")
        yield row_of(
            {
                "id": past.attempt_id(number),
                "job_id": past.job_id(number),
                "job_name": job_type,
                "attempt": 1,
                "run_id": past.run_id(number),
                "trace_id": past.trace_id(number),
                "status": ending,
                "started_at": _text(moment),
                "completed_at": _text(moment + timedelta(milliseconds=duration_ms)),
                "duration_ms": duration_ms,
                "queue_ms": 900,
                "rtf": 4.5,
                "ffmpeg_ms": duration_ms * 9 // 10,
                "host": f"worker-{durations.randrange(HOSTS)}",
                "error_code": code,
                "blame": code and ("input" if code.startswith("INPUT") else "system"),
                "output_files": outputs,
                "output_bytes": outputs * 1_000_000,
                "cpu_seconds": duration_ms * 1.6 / 1000,
                "bytes_in": 10_000_000 + number,
                "bytes_out": outputs * 1_000_000,
                "width": 1920,
                "height": 1080,
                "fps": 29.97,
                "video_codec": "h264",
                "media_seconds": duration_ms * 4.5 / 1000,
                "input_bytes": 10_000_000 + number,
                "instance_type": "c7i.large",
                "threads": 2,
                "side_by_side": 1,
                "wasted_ms": duration_ms if ending in ("failure", "cancelled", "lost") else 0,
                "created_at": _text(moment),
                "error": code and "It did not work.",
                "result": f'{{"outputs": [{{"key": "out/{number}", "bytes": 1000000}}]}}' if outputs else None,
                "manifest": _manifest(past, number, job_type, ending, duration_ms),
            }
        )


def _pointers(past: Past) -> Iterator[Row]:
    """Each subject has one job of each type, so each success made the current outputs."""
    row_of, chance = _row_of(current_outputs), random.Random(1)
    for number in range(past.rows):
        ending, _ = _ending(chance)
        if ending == "success":
            yield row_of(
                {
                    "subject_id": past.subject_id(number),
                    "job_type": TYPES[number % 3],
                    "attempt_id": past.attempt_id(number),
                }
            )


def _ending(chance: random.Random) -> tuple[str, str | None]:
    [ending] = chance.choices(tuple(_ENDINGS), cum_weights=_WEIGHTS)
    failed = ending in ("failure", "lost")
    return ending, chance.choice(CODES) if failed else None


def _manifest(past: Past, number: int, job_type: str, ending: str, duration_ms: int) -> str:
    """A short one: its stages, one command, and one operation."""
    text = _manifest_text()
    for name, value in (
        ("JOB", past.job_id(number)),
        ("TRACE", past.trace_id(number)),
        ("RUN", past.run_id(number)),
        ("TYPE", job_type),
        ("STATUS", ending),
    ):
        text = text.replace(f"@{name}@", value)
    return text.replace("987654", str(duration_ms))


@cache
def _manifest_text() -> str:
    at, duration_ms = datetime(2026, 1, 1, tzinfo=UTC), 987654
    stages = {"fetch": 10, "probe": 40, "plan": 1, "ffmpeg": duration_ms, "verify": 30, "publish": 8}
    made = Manifest(
        job_id="@JOB@",
        job_type="@TYPE@",
        attempt=1,
        trace_id="@TRACE@",
        run_id="@RUN@",
        status=AttemptStatus.SUCCESS,
        started_at=at,
        finished_at=at,
        duration_ms=duration_ms,
        queue_ms=900,
        input_summary={"name": "clip.mp4"},
        stages=tuple(StageRecord(name=name, started_at=at, duration_ms=ms, status="ok") for name, ms in stages.items()),
        ffmpeg_commands=(
            FfmpegCommand(
                argv=("ffmpeg", "-i", "file:source", "-vf", "scale=960:540", "-c:v", "libx264", "edit_proxy.mp4"),
                started_at=at,
                duration_ms=duration_ms,
                exit_code=0,
                status="ok",
            ),
        ),
        metrics=Metrics(host=HostFacts(hostname="worker-1", instance_type="c7i.large", cpu_cores=2, mem_gb=4)),
        time_ledger=TimeLedger(queue_ms=900, ffmpeg_ms=duration_ms),
        versions=Versions(mediajobs="0.2.0", ffmpeg="8.1"),
    )
    text = json.dumps(made.to_json())
    return text.replace('"status": "success"', '"status": "@STATUS@"', 1)
