"""What a run leaves in Dagster's event log: enough for every page of its UI, and nothing twice."""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.orchestration.kept_events import is_kept
from tests.clips import Clips
from tests.orchestration.conftest import DagsterPlatform

THUMB = Thumbnail.name
T = dg.DagsterEventType


def types_of(platform: DagsterPlatform, run_id: str) -> list[dg.DagsterEventType | None]:
    """The types of a run's events, in their order; None for a line of the log."""
    return [entry.dagster_event_type for entry in platform.instance.all_logs(run_id)]


def database(home: Path, name: str) -> sqlite3.Connection:
    """Dagster's own database, as it is on the disk."""
    return sqlite3.connect(home / "dagster" / name)


def test_a_run_leaves_the_events_that_its_pages_are_made_of(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """The plan, the run's and the step's beginning and end, one line a job, check and materialization: no more."""
    upload = dagster_platform.add(clips.landscape(), THUMB)
    dagster_platform.run_queue()
    (run,) = dagster_platform.runs(traceId=upload.trace_id)
    assert types_of(dagster_platform, run.run_id) == [
        T.ASSET_MATERIALIZATION_PLANNED,
        T.ASSET_CHECK_EVALUATION_PLANNED,
        T.RUN_START,
        T.LOGS_CAPTURED,
        T.STEP_START,
        None,
        T.ASSET_CHECK_EVALUATION,
        T.ASSET_MATERIALIZATION,
        T.STEP_SUCCESS,
        T.RUN_SUCCESS,
    ]
    (line,) = [each.user_message for each in dagster_platform.instance.all_logs(run.run_id) if each.user_message]
    assert "success in" in line
    assert "\nok after" in line


def test_dagster_still_knows_how_the_run_went(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """Times and states of run and step, the day's partition, the check, and the messages of its events."""
    platform, instance = dagster_platform, dagster_platform.instance
    upload = platform.add(clips.landscape(), THUMB)
    platform.run_queue()
    (run,) = platform.runs(traceId=upload.trace_id)
    stats = instance.get_run_stats(run.run_id)
    assert (stats.steps_succeeded, stats.materializations) == (1, 1)
    assert stats.start_time
    assert stats.end_time
    (step,) = instance.get_run_step_stats(run.run_id)
    assert step.start_time
    assert step.end_time
    asset, day = dg.AssetKey("thumbnail"), upload.created_at.date().isoformat()
    assert instance.get_materialized_partitions(asset) == {day}
    (check,) = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(asset, "every_subject_has_its_output"), limit=10
    )
    assert (check.run_id, check.partition, check.status.value) == (run.run_id, day, "SUCCEEDED")
    assert all(entry.message for entry in instance.all_logs(run.run_id))
    event = instance.get_latest_materialization_event(asset)
    assert event
    assert event.tags
    assert event.tags["dagster/code_version"] == str(Thumbnail.version)


def test_a_run_takes_a_few_kilobytes(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """On the disk, packed; the metadata stands there once, and in the record of the asset."""
    upload = dagster_platform.add(clips.landscape(), THUMB)
    dagster_platform.run_queue()
    home = dagster_platform.settings.home
    events = database(home, "events/event_log.db").execute("SELECT event, dagster_event_type FROM event_logs")
    sizes = Counter({kind: len(event) for event, kind in events})
    largest = sizes.pop("ASSET_MATERIALIZATION")
    assert sum(sizes.values()) < 2500
    assert largest < 6000
    (record,) = database(home, "history/runs.db").execute("SELECT run_body FROM runs")
    assert len(record[0]) < 700
    assert {run.tags["traceId"] for run in dagster_platform.instance.get_runs()} == {upload.trace_id}


def test_a_failure_keeps_its_story(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """The reason in the log, and what Dagster says of step and run."""
    upload = dagster_platform.add(clips.text_named_mp4(), THUMB)
    dagster_platform.run_queue()
    (run,) = dagster_platform.runs(traceId=upload.trace_id)
    kept = dagster_platform.instance.all_logs(run.run_id)
    (line,) = [entry.user_message for entry in kept if entry.dagster_event is None]
    assert "INPUT_NOT_MEDIA" in line
    (failure,) = [entry.dagster_event for entry in kept if entry.dagster_event_type is T.STEP_FAILURE]
    assert failure
    assert failure.step_failure_data.user_failure_data
    assert T.RUN_FAILURE in types_of(dagster_platform, run.run_id)


def test_what_the_engine_says_of_a_fault_is_kept(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """Only what it says of every run is left out."""
    platform = dagster_platform
    upload = platform.add(clips.landscape(), THUMB)
    platform.run_queue()
    (run,) = platform.runs(traceId=upload.trace_id)
    before = len(platform.instance.all_logs(run.run_id))
    for message in ("Started process for run (pid: 7).", "Run execution process unexpectedly exited"):
        platform.instance.report_engine_event(message, run)
    added = platform.instance.all_logs(run.run_id)[before:]
    assert [entry.message for entry in added] == ["Run execution process unexpectedly exited"]


def test_runs_of_other_jobs_keep_all_events(dagster_platform: DagsterPlatform) -> None:
    """A job of somebody else's in the same Dagster: its outputs may be what a later step takes."""

    @dg.op
    def one() -> int:
        return 1

    @dg.job
    def another() -> None:
        one()

    result = another.execute_in_process(instance=dagster_platform.instance)
    kept = types_of(dagster_platform, result.run_id)
    assert {T.STEP_OUTPUT, T.RESOURCE_INIT_SUCCESS, T.ENGINE_EVENT} <= set(kept)
    left_out = [entry for entry in dagster_platform.instance.all_logs(result.run_id) if not is_kept(entry)]
    assert {entry.dagster_event_type for entry in left_out} >= {T.STEP_OUTPUT, T.ENGINE_EVENT}


def test_rows_of_earlier_versions_are_read(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """They are plain text."""
    platform = dagster_platform
    upload = platform.add(clips.landscape(), THUMB)
    platform.run_queue()
    (run,) = platform.runs(traceId=upload.trace_id)
    entries = platform.instance.all_logs(run.run_id)
    home = platform.settings.home
    with database(home, "events/event_log.db") as events:
        ids = [row[0] for row in events.execute("SELECT id FROM event_logs ORDER BY id")]
        plain = [(entry.to_json(), id) for entry, id in zip(entries, ids, strict=True)]
        events.executemany("UPDATE event_logs SET event = ? WHERE id = ?", plain)
    with database(home, "history/runs.db") as runs:
        runs.execute("UPDATE runs SET run_body = ?", [dg.serialize_value(run)])
    assert platform.instance.all_logs(run.run_id) == entries
    assert platform.runs(traceId=upload.trace_id) == [run]


@pytest.mark.parametrize("printed", ["", "out", "err"])
def test_only_a_run_that_prints_leaves_files(dagster_platform: DagsterPlatform, printed: str) -> None:
    """While it goes on its files are there to be read; the UI waits for more until it has ended."""
    logs, folder = dagster_platform.instance.compute_log_manager, dagster_platform.settings.home / "dagster" / "logs"
    key = ["run", "compute_logs", "step"]
    with logs.capture_logs(key):
        assert not logs.is_capture_complete(key)
        if printed:
            stream = {"out": sys.stdout, "err": sys.stderr}[printed]
            stream.write("said")
            stream.flush()
    assert logs.is_capture_complete(key)
    left = {path.name for path in folder.rglob("*")}
    assert left == ({"run", "compute_logs", "step.complete", f"step.{printed}"} if printed else set())
    assert (logs.get_log_data(key).stdout or b"") == (b"said" if printed == "out" else b"")
    assert (logs.get_log_data(key).stderr or b"") == (b"said" if printed == "err" else b"")


def test_a_run_without_a_word_leaves_no_file(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """Nor a folder: a million of them would be what is left of a disk's inodes."""
    dagster_platform.add(clips.landscape(), THUMB)
    dagster_platform.run_queue()
    assert list((dagster_platform.settings.home / "dagster" / "logs").rglob("*")) == []
    assert not list((dagster_platform.settings.home / "dagster").rglob("storage"))
