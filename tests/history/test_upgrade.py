"""A filled database of the schema before becomes one of this schema: no row and no total is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from mediajobs_dagster.history import AttemptFilter, History, JobFilter, migrations
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.folding import fold
from mediajobs_dagster.history.requests import Claim
from mediajobs_dagster.history.schema import AT_ONCE
from mediajobs_dagster.history.series import BOUNDS_MS
from mediajobs_dagster.history.spans import SPANS_S, class_of, start_of
from mediajobs_dagster.models import Attempt, AttemptStatus, FollowUp, JobStatus, new_id
from tests.history.factories import NOON, THUMB, a_new_job, an_attempt, ended, some_new_jobs
from tests.history.test_totals import assert_agrees, selected

ROWS = 1_300
"""More than the upgrade takes at once."""
ENDINGS = ("success", "success", "failure", "skipped", "cancelled", "lost", "running")


def database_of(url: str, schema: str) -> Database:
    """A database of an older schema, without rows."""
    database = Database(url, timeout_s=60)
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, schema)
    return database


def add_jobs(old: Database, count: int) -> list[str]:
    """Put jobs into a database of an older schema, with the columns that it has; returns their ids."""
    with old.write() as connection:
        table = sa.Table("jobs", sa.MetaData(), autoload_with=connection)
        rows = [
            asked.model_dump()
            | {"id": new_id(), "status": "queued", "attempts": 0, "allowance": 3, "turn": number}
            | {"not_before": AT_ONCE, "created_at": NOON, "updated_at": NOON}
            for number, asked in enumerate(some_new_jobs(count))
        ]
        connection.execute(
            sa.insert(table), [{name: row[name] for name in table.c.keys() & row.keys()} for row in rows]
        )
    return [row["id"] for row in rows]


@pytest.fixture
def old(empty_url: str) -> Iterator[Database]:
    """A database of schema 0001 without rows."""
    database = database_of(empty_url, "0001")
    yield database
    database.close()


def manifest_of(number: int) -> dict[str, Any]:
    """What a manifest of schema version 1 says of the cohort of a thumbnail or, every fifth time, of an export."""
    is_export = number % 5 == 0
    return {
        "schemaVersion": 1,
        "stages": [{"name": "ffmpeg", "durationMs": number}],
        "inputSummary": {"uploadId": "u", "bytes": 5_000_000_000 + number} if not is_export else {"timelineId": "t"},
        "ffmpegCommands": [
            {"argv": ["ffmpeg", "-threads", "1", "-i", "a", "-threads", "2", "b"]},
            {"argv": ["ffprobe", "c"]},
        ],
        "metrics": {
            "mediaSeconds": 12.345 if number % 7 < 2 else None,
            "rtfBasis": "output" if is_export else "input",
            "input": None if is_export else {
                "durationSeconds": 60.5,
                "videoCodec": "h264",
                "width": 1280,
                "height": 720,
                "fps": 29.97,
            },
            "host": {"instanceType": "c7i.large", "hostname": "worker-1"},
        },
    }  # fmt: skip


def old_row(number: int, manifest: str | None) -> dict[str, Any]:
    """A row of `job_history` in schema 0001, every seventh of them still running."""
    status = ENDINGS[number % 7]
    runs = status == "running"
    return {
        "id": f"00000000-0000-7000-8000-{number:012x}",
        "job_name": ("thumb", "proxy")[number % 2],
        "attempt": 1,
        "run_id": f"run-{number % 10}",
        "status": status,
        "started_at": NOON + timedelta(minutes=7 * number),
        "created_at": NOON + timedelta(minutes=7 * number),
        "completed_at": None if runs else NOON + timedelta(minutes=7 * number, seconds=2),
        "duration_ms": None if runs else 100 + number,
        "rtf": 2.5 if status == "success" else None,
        "bytes_in": None if runs else 1_000 + number,
        "bytes_out": None if runs else 10 * number,
        "cpu_seconds": None if runs else number / 1000,
        "host": f"worker-{number % 3}",
        "error_code": "STALLED" if status in ("failure", "lost") else None,
        "output_files": int(status == "success"),
        "output_bytes": 77 * int(status == "success"),
        "result": json.dumps({"outputs": [{"key": "a", "bytes": 77}]}) if status == "success" else None,
        "manifest": None if runs else manifest,
    }


def fill(old: Database, manifests: list[str | None]) -> None:
    """Add an attempt for each manifest; its triggers count them. Every other entry is folded, as 0001 did."""
    rows = [old_row(number, manifest) for number, manifest in enumerate(manifests)]
    names = list(rows[0])
    columns = {"started_at": None, "created_at": None, "completed_at": None}
    types = [sa.bindparam(name, type_=sa.DateTime(timezone=True)) for name in columns]
    values = ", ".join(f"CAST(:{name} AS json)" if name in ("result", "manifest") else f":{name}" for name in names)
    if old.is_sqlite:
        values = ", ".join(f":{name}" for name in names)
    insert = sa.text(f"INSERT INTO job_history ({', '.join(names)}) VALUES ({values})").bindparams(*types)
    with old.write() as connection:
        connection.execute(insert, rows)
        for row in rows[::2]:
            if row["status"] != "running":
                fold_as_before(connection, row)


def fold_as_before(connection: sa.Connection, row: dict[str, Any]) -> None:
    """Move what is counted of an attempt from its entry into the totals of schema 0001."""
    at = sa.bindparam("at", type_=sa.DateTime(timezone=True))
    deleting = sa.text("DELETE FROM metric_entries WHERE created_at = :at").bindparams(at)
    assert connection.execute(deleting, {"at": row["created_at"]}).rowcount == 1
    common = {"name": row["job_name"], "status": row["status"], "code": row["error_code"] or ""}
    for span_s in SPANS_S:
        of = common | {"span": span_s, "at": start_of(row["created_at"], span_s), "host": row["host"]}
        made = {"class": class_of(row["duration_ms"]), "ms": row["duration_ms"]}
        made |= {"files": row["output_files"], "bytes": row["output_bytes"]}
        totals = (
            "INSERT INTO metric_totals (span_s, start, job_name, status, error_code, duration_class, attempts, "
            "duration_ms, output_files, output_bytes) "
            "VALUES (:span, :at, :name, :status, :code, :class, 1, :ms, :files, :bytes) "
            "ON CONFLICT (span_s, start, job_name, status, error_code, duration_class) DO UPDATE SET "
            + ", ".join(
                f"{name} = metric_totals.{name} + excluded.{name}"
                for name in ("attempts", "duration_ms", "output_files", "output_bytes")
            )
        )
        hosts = (
            "INSERT INTO metric_hosts VALUES (:span, :at, :name, :status, :code, :host, 1) "
            "ON CONFLICT (span_s, start, job_name, status, error_code, host) DO UPDATE "
            "SET attempts = metric_hosts.attempts + 1"
        )
        connection.execute(sa.text(totals).bindparams(at), of | made)
        connection.execute(sa.text(hosts).bindparams(at), of)


def test_no_attempt_and_no_total_is_lost(old: Database, empty_url: str) -> None:
    """Statistics agree with the rows, whether the old schema had folded them or not, and when all is folded later."""
    fill(old, [json.dumps(manifest_of(number)) for number in range(ROWS)])
    before = rows_of(old)
    with History.open(empty_url, timeout_s=60) as history:
        attempts = list(history.attempts.iterate(AttemptFilter()))
        assert len(attempts) == ROWS
        after = rows_of(old)
        assert {name: after[name] for name in before} == before
        for _ in range(2):
            for filter in (
                AttemptFilter(),
                AttemptFilter(job_name="thumb"),
                AttemptFilter(statuses=(AttemptStatus.LOST, AttemptStatus.SUCCESS)),
                AttemptFilter(since=NOON + timedelta(minutes=90), until=NOON + timedelta(days=5)),
            ):
                assert_agrees(history.statistics.of(filter), selected(attempts, filter), exact=False)
            while fold(old, limit=100):
                pass


def test_attempts_get_what_their_manifest_tells(old: Database, empty_url: str) -> None:
    """A thumbnail's input is known, an export's is not; media seconds are those that count, else the input's."""
    fill(old, [json.dumps(manifest_of(number)) for number in range(7)])
    with History.open(empty_url) as history:
        by_number = {int(each.id[-3:], 16): each for each in history.attempts.iterate(AttemptFilter())}
    assert cohort_of(by_number[1]) == (1280, 720, 29.97, "h264", 12.345, 5_000_000_001, "c7i.large", 2)
    assert cohort_of(by_number[2]) == (1280, 720, 29.97, "h264", 60.5, 5_000_000_002, "c7i.large", 2)
    assert cohort_of(by_number[0]) == (None, None, None, None, 12.345, None, "c7i.large", 2)
    assert cohort_of(by_number[5]) == (None, None, None, None, None, None, "c7i.large", 2)
    assert cohort_of(by_number[6]) == (None,) * 8
    assert {each.side_by_side for each in by_number.values()} == {None}
    assert rows_of(old)["wasted_ms"] == [0, 0, 102, 0, 104, 105, 0]


def cohort_of(attempt: Attempt) -> tuple[Any, ...]:
    names = ("width", "height", "fps", "video_codec", "media_seconds", "input_bytes", "instance_type", "threads")
    return tuple(getattr(attempt, name) for name in names)


STRANGE = (
    '{"errors": [{"message": "bad \\u0000 tag"}], "metrics": {"input": {"videoCodec": "h\\u0000\\ud800"}}}',
    None,
    "null",
    "{}",
    "[]",
    '"text"',
    '{"metrics": []}',
    '{"metrics": {"input": 5, "host": "x", "mediaSeconds": "long"}, "inputSummary": null, "ffmpegCommands": [7]}',
    '{"metrics": {"input": {"width": 99999999999, "height": -1, "fps": NaN, "videoCodec": 5}}}',
    '{"ffmpegCommands": [{"argv": ["-threads"]}, {"argv": ["-threads", "all"]}, {"argv": null}]}',
)


def test_strange_manifests_are_no_obstacle(old: Database, empty_url: str) -> None:
    """What cannot be read, or cannot be kept, stays unknown; a NUL and half a surrogate pair are replaced."""
    manifests = [text for text in STRANGE if old.is_sqlite or "NaN" not in (text or "")]  # PostgreSQL took none
    fill(old, manifests)
    with History.open(empty_url) as history:
        attempts = list(history.attempts.iterate(AttemptFilter()))
    assert len(attempts) == len(manifests)
    codecs = {attempt.video_codec for attempt in attempts if attempt.video_codec}
    assert codecs == {"h\N{REPLACEMENT CHARACTER}?"}
    cohorts = [cohort_of(attempt) for attempt in attempts if attempt.video_codec is None]
    assert set(cohorts) == {(None,) * 8}


def test_jobs_and_later_attempts_go_on_as_before(old: Database, empty_url: str) -> None:
    """The reference to the job holds, and an attempt that ends after the upgrade is counted in the new totals."""
    with old.write() as connection:
        connection.execute(sa.text(
            "INSERT INTO jobs (id, job_type, subject_id, subject_day, priority, trace_id, force, status, attempts, "
            "max_attempts, allowance, not_before, idempotency_key, created_at, updated_at) "
            "VALUES ('job', 'thumb', 's', '2026-03-04', 0, 't', false, 'completed', 1, 3, 3, "
            "'2026-03-04 12:00:00', 'key', '2026-03-04 12:00:00', '2026-03-04 12:00:00')"
        ))  # fmt: skip
    fill(old, [json.dumps(manifest_of(1))])
    with old.write() as connection:
        connection.execute(sa.text("UPDATE job_history SET job_id = 'job'"))
    with History.open(empty_url) as history:
        [attempt] = history.attempts.of_job("job")
        assert history.jobs.counts() == {"thumb": dict.fromkeys(JobStatus, 0) | {JobStatus.COMPLETED: 1}}
        history.attempts.record(an_attempt(status=AttemptStatus.FAILURE, duration_ms=40, cpu_seconds=1.5))
        report = history.statistics.of(AttemptFilter())
        assert report.attempts == 2
        assert (report.wasted_ms, report.cpu_seconds) == (40, 1.5)
        history.jobs.enqueue([a_new_job(job_type=THUMB, parent_job_id="job")])
        assert len(history.jobs.list(JobFilter(parent_job_id="job"))) == 1
        with old.write() as connection:
            connection.execute(sa.text("DELETE FROM jobs WHERE id = 'job'"))
        assert history.attempts.get(attempt.id).job_id is None


def rows_of(database: Database) -> dict[str, list[Any]]:
    """The table of attempts as the database holds it, by column, in the order of the ids."""
    with database.read() as connection:
        result = connection.execute(sa.text("SELECT * FROM job_history ORDER BY id"))
        return dict(zip(result.keys(), map(list, zip(*result.all(), strict=True)), strict=True))


def test_the_newest_success_of_each_subject_becomes_the_current_one(empty_url: str) -> None:
    """Outputs that were made under schema 0002 are found where they are; failures and older successes are not."""
    old = database_of(empty_url, "0002")
    rows = [
        ("s1", "thumb", 1, "success"),
        ("s1", "thumb", 3, "success"),
        ("s1", "thumb", 2, "success"),
        ("s1", "thumb", 4, "failure"),
        ("s1", "proxy", 1, "success"),
        ("s2", "thumb", 1, "lost"),
        ("s3", "thumb", 1, "success"),
    ]
    result = json.dumps({"fingerprint": "f", "outputs": [{"key": "thumbs/uploads/s1/thumb.jpg", "bytes": 7}]})
    cast = ":result" if old.is_sqlite else "CAST(:result AS json)"
    at = sa.bindparam("at", type_=sa.DateTime(timezone=True))
    job = sa.text(
        "INSERT INTO jobs (id, job_type, subject_id, subject_day, priority, trace_id, force, status, attempts, "
        "max_attempts, allowance, not_before, idempotency_key, created_at, updated_at) VALUES (:job, :type, :subject, "
        "'2026-03-04', 0, 't', false, 'completed', 1, 3, 3, :at, :job, :at, :at)"
    ).bindparams(at)
    attempt = sa.text(
        "INSERT INTO job_history (id, job_id, job_name, attempt, status, started_at, created_at, output_files, "
        f"output_bytes, result) VALUES (:id, :job, :type, 1, :status, :at, :at, 1, 7, {cast})"
    ).bindparams(at)
    with old.write() as connection:
        for number, (subject, name, hour, status) in enumerate(rows):
            moment = NOON + timedelta(hours=hour)
            connection.execute(job, {"job": f"job-{number}", "type": name, "subject": subject, "at": moment})
            of = {"id": f"attempt-{number}", "job": f"job-{number}", "type": name, "status": status, "at": moment}
            connection.execute(attempt, of | {"result": result})
    old.close()
    with History.open(empty_url) as history:
        found = {(subject, name): history.current.of(name, subject) for subject, name, _, _ in rows}
        assert {of: current and current.id for of, current in found.items()} == {
            ("s1", "thumb"): "attempt-1",
            ("s1", "proxy"): "attempt-4",
            ("s2", "thumb"): None,
            ("s3", "thumb"): "attempt-6",
        }
        assert history.current.results("thumb", ["s1"]) == {"s1": json.loads(result)}


def test_timelines_get_their_titles(empty_url: str) -> None:
    """Those of schema 0003 are found by the title in their document; more of them than are read at once."""
    old = database_of(empty_url, "0003")
    cast = ":document" if old.is_sqlite else "CAST(:document AS json)"
    at = sa.bindparam("at", type_=sa.DateTime(timezone=True))
    adding = sa.text(
        f"INSERT INTO timelines (id, document, etag, created_at, trace_id) VALUES (:id, {cast}, :id, :at, 't')"
    ).bindparams(at)
    titles = {f"t{number:03}": f"Cut {number} \u2713" for number in range(120)} | {"none": None, "empty": ""}
    with old.write() as connection:
        for timeline_id, title in titles.items():
            document = {"version": "create_video_v1"} | ({} if title is None else {"title": title})
            connection.execute(adding, {"id": timeline_id, "document": json.dumps(document), "at": NOON})
    old.close()
    with History.open(empty_url) as history:
        named = history.naming.of_subjects(titles)
        assert named == {timeline_id: title or "Untitled" for timeline_id, title in titles.items()}
        assert all(history.timelines.get(each).title == name for each, name in list(named.items())[-3:])
        assert history.naming.subjects("Cut 7 \u2713", limit=5) == ["t007"]


def test_jobs_that_wait_take_turns_by_their_trace(empty_url: str) -> None:
    """Also those of before: a trace of one job does not wait for a folder that was there earlier."""
    old = database_of(empty_url, "0002")
    rows = [(f"a{number}", "a", "queued", 0, None) for number in range(4)]
    rows += [("b0", "b", "failed", 1, None), ("b1", "b", "queued", 0, None), ("c0", "c", "queued", 0, "taken")]
    insert = sa.text(
        "INSERT INTO jobs (id, job_type, subject_id, subject_day, priority, trace_id, force, status, attempts, "
        "max_attempts, allowance, not_before, idempotency_key, dispatch_id, created_at, updated_at, params) VALUES "
        "(:id, :type, 's', '2026-03-04', 0, :trace, false, :status, :attempts, 3, 3, :at, :id, :dispatch, :at, :at, "
        "'{}')"
    ).bindparams(sa.bindparam("at", type_=sa.DateTime(timezone=True)))
    with old.write() as connection:
        for job_id, trace, status, attempts, dispatch in rows:
            of = {"id": job_id, "type": THUMB, "trace": trace, "status": status, "attempts": attempts, "at": NOON}
            connection.execute(insert, of | {"dispatch": dispatch})
    old.close()
    with History.open(empty_url) as history:
        history.jobs.enqueue([a_new_job(trace_id="d" * 32)])
        dispatches = [history.leases.assign(THUMB, limit=1, lease_s=60) for _ in range(7)]
        assert [each.jobs[0].trace_id[0] if each else "" for each in dispatches] == ["b", "a", "b", "d", "a", "a", "a"]
        assert history.jobs.counts()[THUMB][JobStatus.QUEUED] == 7  # the triggers count as before


def test_uploads_are_found_by_their_names_in_any_case(empty_url: str) -> None:
    """Those of schema 0004, more of them than are folded at once, in any script."""
    old = database_of(empty_url, "0004")
    at = sa.bindparam("at", type_=sa.DateTime(timezone=True))
    adding = sa.text(
        "INSERT INTO uploads (id, role, storage_key, filename, bytes, etag, created_at, trace_id) "
        "VALUES (:id, 'source', :id, :name, 1, :id, :at, 't')"
    ).bindparams(at)
    names = {f"u{number:04}": f"CLIP {number}.MP4" for number in range(ROWS)} | {"u9999": "\u00dcbung.MOV"}
    with old.write() as connection:
        connection.execute(adding, [{"id": each, "name": name, "at": NOON} for each, name in names.items()])
    old.close()
    with History.open(empty_url) as history:
        for text, found in (("clip 7", "u0007"), (f"Clip {ROWS - 1}.mp4", f"u{ROWS - 1}"), ("\u00fcBUNG", "u9999")):
            assert [each.id for each in history.naming.uploads(text, limit=5)] == [found]


def test_jobs_of_before_are_counted(empty_url: str) -> None:
    """Those of schema 0005: how many there are, how they ended, and how long that took. Later ones are added."""
    old = database_of(empty_url, "0005")
    rows = [("queued", None, 0), ("completed", None, 40), ("completed", None, 60_001), ("dead", "DISK_FULL", -5)]
    insert = sa.text(
        "INSERT INTO jobs (id, job_type, subject_id, subject_day, priority, trace_id, force, status, attempts, "
        "max_attempts, allowance, not_before, idempotency_key, created_at, updated_at, params, error_code) VALUES "
        "(:id, :type, 's', '2026-03-04', 0, 't', false, :status, 1, 3, 3, :at, :id, :at, :end, '{}', :code)"
    ).bindparams(*(sa.bindparam(name, type_=sa.DateTime(timezone=True)) for name in ("at", "end")))
    with old.write() as connection:
        for number, (status, code, ms) in enumerate(rows):
            of = {"id": f"j{number}", "type": THUMB, "status": status, "code": code, "at": NOON}
            connection.execute(insert, of | {"end": NOON + timedelta(milliseconds=ms)})
    old.close()
    with History.open(empty_url) as history:
        history.jobs.enqueue([a_new_job()])
        found = {(each.name, each.labels, each.duration_class): each[3:] for each in history.series.all()}
    bounds = (-1, BOUNDS_MS.index(5), BOUNDS_MS.index(50), BOUNDS_MS.index(120_000))
    assert found == {
        ("jobs.created_total", "", bounds[0]): (5, 0),
        ("jobs.ended_total", f"job_type={THUMB},status=completed,code=none", bounds[0]): (2, 0),
        ("jobs.ended_total", f"job_type={THUMB},status=dead,code=DISK_FULL", bounds[0]): (1, 0),
        ("jobs.total_latency_ms", "", bounds[1]): (1, 0),
        ("jobs.total_latency_ms", "", bounds[2]): (1, 40),
        ("jobs.total_latency_ms", "", bounds[3]): (1, 60_001),
    }


def test_jobs_of_before_are_traced(empty_url: str) -> None:
    """Those of schema 0007: nothing is known of what caused them, or of when a run was given one that is at work."""
    old = database_of(empty_url, "0007")
    [_, waiting] = add_jobs(old, 2)
    old.close()
    with History.open(empty_url, is_traced=True) as history:
        dispatch = history.leases.assign(THUMB, limit=1, lease_s=60)
        assert dispatch
        claim = history.leases.claim(dispatch.id, run_id=None, host="worker-1", lease_s=60)
        assert claim
        history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
        history.jobs.cancel(waiting)
        first, second = history.trace_outbox.claim(9, hold_s=60)
        assert (first.attempt_id, first.job_status) == (claim.attempt.id, JobStatus.COMPLETED)
        assert (second.attempt_id, second.job_status) == (None, JobStatus.CANCELLED)
        traced = history.trace_outbox.job_of(first)
        assert traced
        assert (traced.job.id, traced.caused_by_span) == (claim.job.id, None)
        assert [each.id for each in traced.attempts] == [claim.attempt.id]


def test_jobs_of_before_are_found_by_their_changes(empty_url: str) -> None:
    """Those of schema 0005, in the order in which they changed; and requests can carry keys."""
    old = database_of(empty_url, "0005")
    add_jobs(old, 3)
    old.close()
    with History.open(empty_url) as history:
        jobs = history.jobs.list(JobFilter())
        assert len(jobs) == 3
        assert history.jobs.changed(NOON - timedelta(seconds=1), limit=9) == sorted(jobs, key=lambda job: job.id)
        assert isinstance(history.requests.begin("k", "a"), Claim)


def test_nothing_follows_jobs_of_before(empty_url: str) -> None:
    """Those of schema 0010 stand alone, and new ones can be followed."""
    old = database_of(empty_url, "0010")
    add_jobs(old, 2)
    old.close()
    with History.open(empty_url) as history:
        assert [job.follow_up for job in history.jobs.list(JobFilter())] == [(), ()]
        asked = a_new_job().model_copy(update={"follow_up": (FollowUp(job_type="next", params={"a": 1}),)})
        (enqueued,) = history.jobs.enqueue([asked])
        assert history.jobs.get(enqueued.job.id).follow_up == asked.follow_up
