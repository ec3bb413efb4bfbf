"""The history of attempts, and its export."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest

from mediajobs_dagster.errors import Blame, NotFoundError
from mediajobs_dagster.history import AttemptFilter, ExportFormat, FailedJob, History, export
from mediajobs_dagster.models import Attempt, AttemptStatus, JobStatus, new_id
from tests.history.factories import NOON, THUMB, an_attempt, claimed, ended


def test_an_attempt_comes_back_as_it_was_recorded(history: History) -> None:
    attempt = an_attempt(
        completed_at=NOON + timedelta(seconds=2),
        queue_ms=5,
        rtf=1.75,
        ffmpeg_ms=80,
        bytes_in=5_000_000_000,
        bytes_out=7,
        cpu_seconds=0.123456,
        max_rss_mb=88.5,
        width=3840,
        height=2160,
        fps=59.94,
        video_codec="hevc",
        media_seconds=61.25,
        input_bytes=6_000_000_000,
        instance_type="c7i.large",
        threads=4,
        side_by_side=3,
        error_code="DISK_FULL",
        blame=Blame.SYSTEM,
        error="full",
        result={"outputs": []},
        manifest={"schemaVersion": 1, "inputSummary": {"name": "ä\u2028\x00"}},
    )
    assert history.attempts.record(attempt)
    assert history.attempts.get(attempt.id) == attempt


def test_recording_again_changes_nothing(history: History) -> None:
    attempt = an_attempt()
    assert history.attempts.record(attempt)
    assert not history.attempts.record(attempt.model_copy(update={"duration_ms": 1}))
    assert history.attempts.get(attempt.id) == attempt


def test_an_attempt_number_of_a_job_is_recorded_once(history: History) -> None:
    claim = claimed(history)
    assert not history.attempts.record(an_attempt(job_id=claim.job.id, attempt=1))
    assert history.attempts.of_job(claim.job.id) == [claim.attempt]


def test_text_that_no_database_takes_is_mended(history: History) -> None:
    """NUL characters and halves of surrogate pairs come from hostile file names and ffmpeg's last words."""
    attempt = an_attempt(error="a\x00b\udc80c")
    history.attempts.record(attempt)
    assert history.attempts.get(attempt.id).error == "a\N{REPLACEMENT CHARACTER}b?c"


def test_an_unknown_attempt_is_not_found(history: History) -> None:
    with pytest.raises(NotFoundError):
        history.attempts.get(new_id())


def test_lists_leave_the_manifest_out_unless_asked(history: History) -> None:
    attempt = an_attempt(manifest={"stages": []}, result={"outputs": []})
    history.attempts.record(attempt)
    assert history.attempts.list(AttemptFilter()) == [attempt.model_copy(update={"manifest": None})]
    assert history.attempts.list(AttemptFilter(), with_manifest=True) == [attempt]
    assert list(history.attempts.iterate(AttemptFilter(), with_manifest=True)) == [attempt]


def test_lists_page_by_key_newest_first(history: History) -> None:
    """Of one query and of several that are put together, as there are for a filter by statuses."""
    statuses = [AttemptStatus.SUCCESS, AttemptStatus.FAILURE, AttemptStatus.SUCCESS, AttemptStatus.SKIPPED]
    attempts = [
        an_attempt(created_at=NOON + timedelta(seconds=number // 3), status=statuses[number % 4])
        for number in range(10)
    ]
    for attempt in attempts:
        history.attempts.record(attempt)
    expected = [a.id for a in sorted(attempts, key=lambda a: (a.created_at, a.id), reverse=True)]
    for filter in (AttemptFilter(), AttemptFilter(statuses=tuple(AttemptStatus))):
        assert paged(history, filter) == expected


def paged(history: History, filter: AttemptFilter) -> list[str]:
    """The ids of three pages of four."""
    first = history.attempts.list(filter, limit=4)
    second = history.attempts.list(filter, limit=4, after=first[-1].id)
    third = history.attempts.list(filter, limit=4, after=second[-1].id)
    assert (len(first), len(second)) == (4, 4)
    return [attempt.id for attempt in first + second + third]


def test_iterating_reaches_every_page(history: History) -> None:
    """More rows than one page holds."""
    for _ in range(1003):
        history.attempts.record(an_attempt())
    assert len({attempt.id for attempt in history.attempts.iterate(AttemptFilter())}) == 1003


def test_each_filter_selects_its_attempts(history: History) -> None:
    plain = an_attempt()
    other = an_attempt(
        job_name="other",
        status=AttemptStatus.FAILURE,
        trace_id="b" * 32,
        run_id="run-2",
        error_code="STALLED",
        created_at=NOON + timedelta(hours=1),
    )
    history.attempts.record(plain)
    history.attempts.record(other)
    claim = claimed(history, now=NOON + timedelta(hours=2))

    def found(filter: AttemptFilter) -> list[str]:
        return [attempt.id for attempt in history.attempts.list(filter)]

    assert found(AttemptFilter(job_name="other")) == [other.id]
    assert found(AttemptFilter(statuses=(AttemptStatus.FAILURE, AttemptStatus.RUNNING))) == [claim.attempt.id, other.id]
    assert found(AttemptFilter(trace_id="b" * 32)) == [other.id]
    assert found(AttemptFilter(run_id="run-2")) == [other.id]
    assert found(AttemptFilter(error_code="STALLED")) == [other.id]
    assert found(AttemptFilter(job_id=claim.job.id)) == [claim.attempt.id]
    assert found(AttemptFilter(since=NOON + timedelta(hours=1))) == [claim.attempt.id, other.id]
    assert found(AttemptFilter(until=NOON + timedelta(hours=1))) == [plain.id]
    assert found(AttemptFilter(job_name="other", run_id="run-1")) == []


def test_failures_of_ours_count_jobs_and_leave_out_bad_input(history: History) -> None:
    job_id = claimed(history).job.id

    def fail(minutes: int, **overrides: object) -> Attempt:
        values = {"status": AttemptStatus.FAILURE, "blame": Blame.SYSTEM, "error_code": "DISK_FULL", "job_name": THUMB}
        values["completed_at"] = NOON + timedelta(minutes=minutes)
        attempt = an_attempt(**values | overrides)
        assert history.attempts.record(attempt)
        return attempt

    first = fail(1, job_id=job_id, attempt=2)
    again = fail(3, job_id=job_id, attempt=3, error_code="STALLED", blame=Blame.EXTERNAL)
    lost = fail(2, status=AttemptStatus.LOST)
    fail(4, blame=Blame.INPUT)
    fail(4, status=AttemptStatus.CANCELLED, blame=Blame.CANCELLED)
    fail(4, job_name="other")
    fail(-1)
    assert history.attempts.operator_failures(THUMB, since=NOON) == [
        FailedJob(job_id, again.completed_at, "STALLED", first.completed_at, again.host),
        FailedJob(None, lost.completed_at, "DISK_FULL", lost.completed_at, lost.host),
    ]


def test_a_failure_that_turns_out_to_be_the_inputs_does_not_count(history: History) -> None:
    """The first attempt was blamed on us; the second one found out what the cause is."""
    claim = claimed(history)
    failure = ended(claim, AttemptStatus.FAILURE, completed_at=NOON)
    history.leases.finish(failure, job_status=JobStatus.FAILED)
    assert [failed.job_id for failed in history.attempts.operator_failures(THUMB, since=NOON)] == [claim.job.id]
    values = {"blame": Blame.INPUT, "error_code": "INPUT_UNPROCESSABLE", "status": AttemptStatus.FAILURE}
    history.attempts.record(an_attempt(job_id=claim.job.id, job_name=THUMB, attempt=2, **values))
    assert history.attempts.operator_failures(THUMB, since=NOON) == []


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"host": "worker-2"}, False),
        ({"job_name": "other"}, False),
        ({"status": AttemptStatus.SKIPPED}, False),
        ({"completed_at": NOON - timedelta(seconds=1)}, False),
        ({"job_id": "own"}, False),
    ],
)
def test_a_success_meanwhile_is_one_of_another_job_of_the_type_on_the_machine(
    history: History, change: dict[str, Any], counts: bool
) -> None:
    own, other = claimed(history, now=NOON), claimed(history, now=NOON, subject_id="other")
    assert not history.attempts.others_succeeded(own.attempt)
    values = {"job_id": other.job.id, "job_name": THUMB, "attempt": 7, "host": "worker-1"} | change
    values["job_id"] = own.job.id if values["job_id"] == "own" else values["job_id"]
    history.attempts.record(an_attempt(**values))
    assert history.attempts.others_succeeded(own.attempt) is counts


def test_the_last_success_is_the_one_that_ended_last(history: History) -> None:
    assert history.attempts.last_success_at("schedule_sync") is None
    history.attempts.record(an_attempt(completed_at=NOON + timedelta(hours=1)))
    history.attempts.record(an_attempt(completed_at=NOON))
    history.attempts.record(an_attempt(completed_at=NOON + timedelta(hours=2), status=AttemptStatus.FAILURE))
    assert history.attempts.last_success_at("schedule_sync") == NOON + timedelta(hours=1)


def exported(attempts: list[Attempt], format: ExportFormat) -> str:
    out = io.StringIO(newline="")
    assert export(iter(attempts), format, out, lambda _: {}) == len(attempts)
    return out.getvalue()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_exports_hold_every_attempt(count: int) -> None:
    """JSON is one array and JSON Lines one object a line, valid also when empty; all formats agree."""
    attempts = [an_attempt(manifest={"a": "ä"}, error='a "b",\nc') for _ in range(count)]
    expected = [{**attempt.to_json(), "subjectName": None} for attempt in attempts]
    assert json.loads(exported(attempts, "json")) == expected
    assert [json.loads(line) for line in exported(attempts, "jsonl").splitlines()] == expected
    rows = list(csv.DictReader(io.StringIO(exported(attempts, "csv"), newline="")))
    assert [row["id"] for row in rows] == [attempt.id for attempt in attempts]
    assert all(row["error"] == 'a "b",\nc' for row in rows)


def test_csv_has_the_same_columns_when_empty() -> None:
    header = exported([], "csv").splitlines()[0].split(",")
    assert header == exported([an_attempt()], "csv").splitlines()[0].split(",")
    assert header[:4] == ["id", "jobId", "jobName", "attempt"]
    assert "manifest" not in header


def test_csv_cells_are_no_formulas() -> None:
    """A spreadsheet must not run what a stranger wrote into an error; numbers stay numbers."""
    attempt = an_attempt(error='=HYPERLINK("http://x")', result={"n": -1}, rtf=-1.5)
    [row] = csv.DictReader(io.StringIO(exported([attempt], "csv"), newline=""))
    assert row["error"] == '\'=HYPERLINK("http://x")'
    assert row["rtf"] == "-1.5"
    assert json.loads(row["result"]) == {"n": -1}
