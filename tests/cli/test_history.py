"""The attempts as data: export, statistics, and one of them in full."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

from mediajobs_dagster import JobLogger
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import Attempt
from tests.cli.conftest import Call
from tests.clips import Clips
from tests.platform import Platform

THUMB, ENVELOPE = Thumbnail.name, AudioEnvelope.name


@pytest.fixture
def worked(platform: Platform, clips: Clips) -> Platform:
    """A platform on which two attempts went well and one did not."""
    platform.add(clips.landscape(), THUMB, ENVELOPE)
    platform.add(clips.text_named_mp4(), THUMB)
    platform.work()
    return platform


# --- export ----------------------------------------------------------------------------------------------------------


def test_export_as_json_lines(mediajobs: Call, worked: Platform) -> None:
    """One attempt a line, the newest first, without the manifests unless they are asked for."""
    lines = [json.loads(line) for line in mediajobs("history", "export").out.splitlines()]
    assert len(lines) == 3
    assert [line["id"] for line in lines] == sorted((line["id"] for line in lines), reverse=True)
    assert all(line.pop("subjectName").endswith(".mp4") for line in lines)
    assert all(Attempt.model_validate(line).manifest is None for line in lines)
    full = [json.loads(line) for line in mediajobs("history", "export", "--manifests").out.splitlines()]
    assert [line["manifest"]["jobId"] for line in full] == [line["jobId"] for line in lines]


def test_export_as_json(mediajobs: Call, worked: Platform) -> None:
    """One array with the same entries."""
    array = mediajobs("history", "export", "--format", "json").json
    assert array == [json.loads(line) for line in mediajobs("history", "export").out.splitlines()]


def test_export_as_csv(mediajobs: Call, worked: Platform) -> None:
    """A header and a row each, as spreadsheets read it."""
    rows = list(csv.DictReader(io.StringIO(mediajobs("history", "export", "--format", "csv").out)))
    assert [row["status"] for row in rows].count("success") == 2
    assert {row["errorCode"] for row in rows} == {"", "INPUT_NOT_MEDIA"}
    assert "manifest" not in rows[0]


def test_export_into_a_file(mediajobs: Call, worked: Platform, tmp_path: Path) -> None:
    """The file holds what would have been printed, and nothing is printed."""
    path = tmp_path / "attempts.csv"
    answer = mediajobs("history", "export", "--format", "csv", "--output", path)
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    with path.open(newline="") as file:
        assert len(list(csv.reader(file))) == 4


def test_export_as_parquet(mediajobs: Call, worked: Platform, tmp_path: Path) -> None:
    """Typed, and into a file alone: it is no text."""
    path = tmp_path / "attempts.parquet"
    answer = mediajobs("history", "export", "--format", "parquet", "--output", path, "--type", THUMB)
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    rows = parquet.read_table(path).to_pylist()
    assert sorted(row["status"] for row in rows) == ["failure", "success"]
    assert all(isinstance(row["durationMs"], int) for row in rows)
    refused = mediajobs("history", "export", "--format", "parquet")
    assert refused.code == 2
    assert "--output" in refused.err


def test_export_as_job_log(mediajobs: Call, worked: Platform, tmp_path: Path) -> None:
    """A log of the jobs that have ended, which a logger reads and goes on with."""
    path = tmp_path / "processing_log.json"
    answer = mediajobs("history", "export", "--format", "job-log", "--out", path)
    assert (answer.code, answer.out, answer.err) == (0, "", "")
    log = JobLogger(path)
    jobs = mediajobs("jobs", "list", "--json").json
    assert {each["job_id"] for each in log.get_all_jobs()} == {each["id"] for each in jobs}
    assert log.get_statistics()["stages"] == {"completed": 2, "probe": 1}
    log.log_job(log.get_failed_jobs()[0])
    assert log.get_statistics()["error_types"] == {"INPUT_NOT_MEDIA": 2}
    (failed,) = mediajobs("history", "export", "--format", "job-log", "--status", "failure").json
    assert failed["error"].startswith("INPUT_NOT_MEDIA: ")
    refused = mediajobs("history", "export", "--format", "job-log", "--manifests")
    assert refused.code == 2
    assert "--manifests" in refused.err


def test_jobs_are_logged_as_they_end(mediajobs: Call, clips: Clips, tmp_path: Path) -> None:
    """By whatever process ends them, in the file that the setting names, wherever that process works."""
    setting = {"job_log": "notes/processing_log.json"}
    assert mediajobs("add", clips.landscape(), "--type", THUMB).code == 0
    assert mediajobs("work", **setting).code == 0
    (logged,) = JobLogger(tmp_path / "notes" / "processing_log.json").get_all_jobs()
    assert (logged["job_type"], logged["success"], logged["video_title"]) == (THUMB, True, clips.landscape().name)
    assert logged == mediajobs("history", "export", "--format", "job-log").json[0] | {"logged_at": logged["logged_at"]}


def test_an_export_that_fails_leaves_what_was_there(
    mediajobs: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says what is missing; so does one into a folder that is not there."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "attempts.parquet"
    path.write_text("of yesterday")
    answer = mediajobs("history", "export", "--format", "parquet", "--output", path)
    assert answer.code != 0
    assert "mediajobs[parquet]" in answer.err
    assert path.read_text() == "of yesterday"
    assert list(tmp_path.glob("*parquet*")) == [path]
    nowhere = mediajobs("history", "export", "--output", tmp_path / "nowhere" / "file")
    assert nowhere.code == 2
    assert "nowhere/file" in nowhere.err
    assert "Traceback" not in nowhere.err


def test_an_export_into_a_device_goes_there(mediajobs: Call) -> None:
    """No file takes its place."""
    assert mediajobs("history", "export", "--output", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


def test_export_conditions(mediajobs: Call, worked: Platform) -> None:
    """Each condition picks what it says."""

    def count(*conditions: str) -> int:
        return len(mediajobs("history", "export", "--format", "json", *conditions).json)

    attempt = mediajobs("history", "export", "--format", "json", "--type", ENVELOPE).json[0]
    assert count("--type", THUMB) == 2
    assert count("--status", "failure") == count("--error", "INPUT_NOT_MEDIA") == 1
    assert count("--status", "failure", "--status", "success") == count("--run", "run") == 3
    assert count("--job", attempt["jobId"]) == 1
    assert count("--trace", attempt["traceId"]) == 2
    assert count("--since", "2026-01-01") == 3
    assert count("--until", "2026-01-01") == 0


def test_exports_of_nothing_can_be_read(mediajobs: Call) -> None:
    """An empty array, no lines, a header alone."""
    assert mediajobs("history", "export", "--format", "json").json == []
    assert mediajobs("history", "export", "--format", "jsonl").out == ""
    assert len(mediajobs("history", "export", "--format", "csv").out.splitlines()) == 1


# --- statistics ------------------------------------------------------------------------------------------------------


def test_statistics(mediajobs: Call, worked: Platform) -> None:
    """Totals, errors and stages, as data and for people."""
    report = mediajobs("history", "stats", "--json").json
    assert report["attempts"] == 3
    assert report["byStatus"]["success"] == 2
    assert report["successRate"] == pytest.approx(2 / 3)
    assert report["errors"] == {"INPUT_NOT_MEDIA": 1}
    assert report["outputFiles"] == 2
    assert report["rtf"] > 0
    assert report["bytesOut"] > 0
    assert report["cpuSeconds"] > 0
    [failed] = mediajobs("history", "export", "--format", "json", "--status", "failure").json
    assert report["wastedMs"] == failed["durationMs"]
    assert {stage["name"] for stage in report["stages"]} >= {"fetch", "probe", "ffmpeg", "publish"}
    shown = mediajobs("history", "stats").out
    assert "66.7%" in shown
    assert "INPUT_NOT_MEDIA" in shown
    assert mediajobs("history", "stats", "--json", "--type", ENVELOPE).json["attempts"] == 1


def test_statistics_of_nothing(mediajobs: Call) -> None:
    """Nothing, not an error."""
    report = mediajobs("history", "stats", "--json").json
    assert (report["attempts"], report["successRate"], report["errors"]) == (0, 0, {})
    answer = mediajobs("history", "stats")
    assert answer.code == 0
    assert "0.0%" not in answer.out


# --- one attempt -----------------------------------------------------------------------------------------------------


def test_an_attempt_by_its_own_id_and_by_its_jobs(mediajobs: Call, worked: Platform) -> None:
    """The same manifest, which is the stored one."""
    for line in mediajobs("history", "export", "--manifests").out.splitlines():
        stored = json.loads(line)
        by_attempt = mediajobs("attempt", stored["id"], "--json").json
        assert by_attempt == mediajobs("attempt", stored["jobId"], "--json").json == stored["manifest"]


def test_an_attempt_for_people(mediajobs: Call, worked: Platform) -> None:
    """Its time, its commands as they can be typed, what it read and wrote."""
    (attempt,) = mediajobs("history", "export", "--format", "json", "--type", THUMB, "--status", "success").json
    shown = mediajobs("attempt", attempt["id"]).out
    for part in (
        "real-time factor",
        "-frames:v 1 -vf scale=640:360",
        "thumb.jpg",
        attempt["traceId"],
        "640x360",
    ):
        assert part in shown


def test_a_failed_attempt_for_people(mediajobs: Call, worked: Platform) -> None:
    """The code, the stage, whose fault it is, and what ffprobe said."""
    (attempt,) = mediajobs("history", "export", "--format", "json", "--status", "failure").json
    shown = mediajobs("attempt", attempt["id"]).out
    assert "INPUT_NOT_MEDIA in stage probe (blame: input)" in shown
    assert "ffprobe" in shown


def test_an_attempt_that_has_none_yet(mediajobs: Call, platform: Platform, clips: Clips) -> None:
    """A job that waits has no attempt; one that is at work shows how far it is."""
    upload = platform.add(clips.landscape(), THUMB)
    job = platform.job(upload, THUMB)
    assert "NOT_FOUND" in mediajobs("attempt", job.id).err
    dispatch = platform.history.leases.assign(THUMB, limit=1, lease_s=60)
    assert dispatch
    assert platform.history.leases.claim(dispatch.id, run_id="run", host="here", lease_s=60)
    answer = mediajobs("attempt", job.id)
    assert answer.code == 0
    assert "running" in answer.out.splitlines()[0]
    assert "on here; its first heartbeat has not arrived yet" in answer.out
    running = mediajobs("attempt", job.id, "--json").json
    assert (running["status"], running["manifest"], running["progress"]) == ("running", None, None)
