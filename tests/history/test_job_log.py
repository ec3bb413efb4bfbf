"""The job log: one JSON array that survives whatever happens to its writers."""

from __future__ import annotations

import csv
import json
import logging
import multiprocessing
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster import JobLogEntry, JobLogger, create_default_logger
from mediajobs_dagster.errors import JobLogError, RequestError
from mediajobs_dagster.history.job_log_entry import KEYS

ODD = 'a "b"\n]\n{ä\u2028\x00.mp4'


def an_entry(**overrides: Any) -> JobLogEntry:
    values = {
        "job_id": "job-1",
        "job_type": "upload_thumb_v1",
        "trace_id": "a" * 32,
        "video_id": "abc123",
        "url": "https://youtu.be/abc123",
        "worker_id": "worker-1",
        "video_title": ODD,
        "stage": "completed",
        "success": True,
        "start_time": 1697543210.123,
        "end_time": 1697543211.123,
        "processing_duration": 1.0,
        "timings": {"publish": 0.003},
        "files_created": ("thumbs/1.jpg",),
    }
    return JobLogEntry(**values | overrides)


def a_failure(**overrides: Any) -> JobLogEntry:
    values: dict[str, Any] = {
        "success": False,
        "stage": "ffmpeg",
        "error": "STALLED: no progress",
        "error_code": "STALLED",
        "files_created": (),
        "processing_duration": 3.0,
    }
    return an_entry(**values | overrides)


def job_ids(path: Path) -> list[str]:
    return [entry["job_id"] for entry in json.loads(path.read_bytes())]


def plain(entry: JobLogEntry) -> dict[str, Any]:
    """An entry as it is read, but for the moment at which it was written."""
    return {key: value for key, value in entry.to_json().items() if key != "logged_at"}


def local_now() -> datetime:
    return datetime.now()  # noqa: DTZ005  # as scripts that read the log have it


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "jobs.json"


@pytest.fixture
def log(path: Path) -> JobLogger:
    return JobLogger(path)


def test_the_file_is_a_whole_array_after_every_append(log: JobLogger, path: Path) -> None:
    for number in range(5):
        log.log_job(an_entry(job_id=str(number)))
        assert job_ids(path) == [str(n) for n in range(number + 1)]
    assert path.read_bytes().count(b"\n") == 5 + 2  # one entry a line


def test_entries_come_back_as_they_were_logged(log: JobLogger) -> None:
    """As plain values, with every key in its order, and the moment at which they were written."""
    entries = [an_entry(), a_failure(), an_entry(video_title="half \udc80")]
    before = local_now()
    log.log_jobs_batch(entries)
    found = log.get_all_jobs()
    assert [tuple(each) for each in found] == [KEYS] * 3
    assert all(before <= datetime.fromisoformat(each.pop("logged_at")) <= local_now() for each in found)
    assert found == [plain(each) for each in entries]
    assert [each["stage"] for each in log.get_successful_jobs()] == ["completed"] * 2
    assert [each["error"] for each in log.get_failed_jobs()] == ["STALLED: no progress"]
    assert log.get_jobs_by_stage("ffmpeg") == log.get_failed_jobs()
    assert log.get_jobs_by_stage("probe") == []


def test_a_log_can_be_copied(log: JobLogger, tmp_path: Path) -> None:
    """What is read can be logged again, unchanged."""
    log.log_jobs_batch([an_entry(), a_failure()])
    other = JobLogger(tmp_path / "copy.json")
    other.log_job(log.get_all_jobs()[0])
    other.log_jobs_batch(log.get_all_jobs()[1:])
    assert other.path.read_bytes() == log.path.read_bytes()


def test_what_is_no_entry_is_refused(log: JobLogger, path: Path) -> None:
    """And nothing of its batch is written."""
    entry = an_entry().to_json()
    for wrong, said in (
        ({"total_files": "many"}, "total_files: has to be a whole number"),
        ({"format": "of before"}, "format: there is no such field"),
        ({"success": False}, "it: a job that failed has an error"),
        ({"timings": {"probe": float("nan")}}, "timings.probe"),
    ):
        with pytest.raises(RequestError, match=said):
            log.log_jobs_batch([an_entry(), entry | wrong])
    assert not path.exists()


def test_a_log_that_does_not_exist_is_empty(log: JobLogger, path: Path) -> None:
    assert log.get_all_jobs() == []
    assert log.get_statistics() == {
        "total_jobs": 0,
        "successful": 0,
        "failed": 0,
        "success_rate": 0.0,
        "average_duration": 0.0,
        "total_files_created": 0,
        "error_types": {},
        "stages": {},
    }
    log.clear_log()
    log.log_jobs_batch([])
    assert not path.exists()


def test_the_default_log_lies_among_the_notes(tmp_path: Path) -> None:
    log = create_default_logger(tmp_path / "notes")
    log.log_job(an_entry())
    assert job_ids(tmp_path / "notes" / "processing_log.json") == ["job-1"]


def test_statistics_are_totals(log: JobLogger) -> None:
    """Errors by their codes, or by what stands before the colon where there is no code; the most frequent first."""
    of_another = a_failure(error="Network timeout: no answer", error_code=None, stage="probe")
    log.log_jobs_batch([of_another, an_entry(files_created=("a", "b")), a_failure(), a_failure()])
    assert log.get_statistics() == {
        "total_jobs": 4,
        "successful": 1,
        "failed": 3,
        "success_rate": 0.25,
        "average_duration": 2.5,
        "total_files_created": 2,
        "error_types": {"STALLED": 2, "Network timeout": 1},
        "stages": {"ffmpeg": 2, "probe": 1, "completed": 1},
    }
    assert list(log.get_statistics()["error_types"]) == ["STALLED", "Network timeout"]


def test_csv_has_a_row_an_entry(log: JobLogger, tmp_path: Path) -> None:
    """Without transcripts, with nested values as JSON, and without formulas."""
    entries = [an_entry(video_title="=1+1", transcript="a" * 40_000), a_failure()]
    log.log_jobs_batch(entries)
    assert log.export_csv(tmp_path / "out.csv") == 2
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == tuple(key for key in KEYS if key != "transcript")
    assert [row["job_id"] for row in rows] == ["job-1", "job-1"]
    assert rows[0]["video_title"] == "'=1+1"
    assert json.loads(rows[0]["timings"]) == {"publish": 0.003}
    assert json.loads(rows[0]["files_created"]) == ["thumbs/1.jpg"]
    assert (rows[1]["success"], rows[1]["error"]) == ("False", "STALLED: no progress")


def test_clearing_leaves_an_empty_array_with_the_same_mode(log: JobLogger, path: Path) -> None:
    log.log_job(an_entry())
    path.chmod(0o640)
    log.clear_log()
    assert json.loads(path.read_bytes()) == []
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    log.log_job(an_entry())
    assert job_ids(path) == ["job-1"]


def test_clearing_through_a_link_keeps_the_link(path: Path, tmp_path: Path) -> None:
    JobLogger(path).log_job(an_entry())
    (tmp_path / "link").symlink_to(path)
    JobLogger(tmp_path / "link").clear_log()
    assert (tmp_path / "link").is_symlink()
    assert json.loads(path.read_bytes()) == []


OURS = b'[\n{"job_id":"1","job_type":"t","trace_id":null,"video_id":"v"}'
FOREIGN = {
    "another program's array": b'[\n{"a": 1}\n]\n',
    "an empty array of another shape": b"[]",
    "an object": b'{"jobs": []}',
    "text": b"hello\n",
    "binary": bytes(range(256)),
    "ours with something behind it": OURS + b"\n]\nhello\n",
    "ours with another array behind it": OURS + b"\n]\n[]\n",
    "ours with a damaged last line": OURS + b",\nnonsense\n]\n",
    "ours, reformatted": b'[\n  {\n    "job_id": "1"\n  }\n]\n',
    "ours of before": b'[\n{"format":"mediajobs.job_log/1","jobId":"1"}\n]\n',
    "one that begins alike": b'[\n{"job_id":"1","state":"done"}\n]\n',
    "one that begins alike, with a number": b'[\n{"job_id":1,"job_type":"t","trace_id":null,"video_id":"v"}\n]\n',
    "one that begins alike and was cut off": b'[\n{"job_id":"1","state":"do',
    "a bracket and nonsense": b"[\nx",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_or_damaged_file_is_refused_and_left_as_it_is(log: JobLogger, path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    for act in (lambda: log.log_job(an_entry()), log.clear_log, log.get_all_jobs, log.get_statistics):
        with pytest.raises(JobLogError, match="it was left as it is"):
            act()
        assert path.read_bytes() == content


def test_damage_in_the_middle_is_told_with_its_line(log: JobLogger, path: Path) -> None:
    log.log_jobs_batch([an_entry(job_id=str(number)) for number in range(3)])
    whole = path.read_bytes()
    for place, damage in ((b'"job_id":"1"', b'"job_id":#1#'), (b'"1",', b'"1","format":1,'), (b'"job_id":"1",', b"")):
        damaged = whole.replace(place, damage)
        path.write_bytes(damaged)
        with pytest.raises(JobLogError, match="Line 3 "):
            log.get_all_jobs()
        assert path.read_bytes() == damaged


def torn_states(before: bytes, after: bytes) -> list[bytes]:
    """What the file can hold when the append that turned `before` into `after` was cut short, at each of its bytes."""
    start = next(i for i in range(len(after)) if i >= len(before) or before[i] != after[i])
    overwritten = [after[:cut] + before[cut:] for cut in range(start, len(before))]
    cut_off = [after[:cut] for cut in range(start, len(after))]
    return overwritten + cut_off


@pytest.mark.parametrize("entries_before", [0, 1, 2])
def test_an_append_cut_short_at_any_byte_is_mended_by_the_next(
    log: JobLogger, path: Path, entries_before: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing but the torn entry is lost; readers see the whole ones even before it is mended."""
    log.log_job(an_entry())
    log.clear_log()
    for number in range(entries_before):
        log.log_job(an_entry(job_id=str(number)))
    before = path.read_bytes()
    log.log_job(an_entry(job_id="torn"))
    after = path.read_bytes()
    kept = [str(number) for number in range(entries_before)]
    for state in torn_states(before, after):
        path.write_bytes(state)
        seen = [entry["job_id"] for entry in log.get_all_jobs()]
        assert seen in (kept, [*kept, "torn"]), state
        log.log_job(an_entry(job_id="next"))
        assert job_ids(path) == [*seen, "next"], state
    assert any("cut short" in record.getMessage() for record in caplog.records)


def test_the_warning_says_what_was_cut(log: JobLogger, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log.log_jobs_batch([an_entry(job_id="whole"), an_entry(job_id="torn")])
    path.write_bytes(path.read_bytes()[:-40])
    with caplog.at_level(logging.WARNING):
        log.log_job(an_entry(job_id="next"))
    assert str(path) in caplog.text
    assert "torn" in caplog.text
    assert job_ids(path) == ["whole", "next"]


def test_a_torn_entry_larger_than_the_first_look_is_mended(log: JobLogger, path: Path) -> None:
    big = "x" * 300_000
    log.log_jobs_batch([an_entry(job_id="whole", transcript=big), an_entry(job_id="torn", transcript=big)])
    path.write_bytes(path.read_bytes()[:-100_000])
    log.log_job(an_entry(job_id="next"))
    assert job_ids(path) == ["whole", "next"]


def test_zeros_that_a_loss_of_power_left_are_cut(log: JobLogger, path: Path) -> None:
    log.log_job(an_entry(job_id="whole"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b",\n" + bytes(500))
    log.log_job(an_entry(job_id="next"))
    assert job_ids(path) == ["whole", "next"]


def log_many(path: Path, name: str, count: int) -> None:
    log = JobLogger(path)
    for number in range(count):
        log.log_job(an_entry(job_id=f"{name}-{number}"))


def test_threads_and_processes_append_without_loss(path: Path) -> None:
    """Each writer's entries are all there, in its order."""
    with (
        ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as processes,
        ThreadPoolExecutor(3) as threads,
    ):
        work = [processes.submit(log_many, path, f"p{n}", 100) for n in range(3)]
        work += [threads.submit(log_many, path, f"t{n}", 100) for n in range(3)]
        for done in work:
            done.result()
    ids = job_ids(path)
    assert len(ids) == 600
    for writer in ("p0", "p1", "p2", "t0", "t1", "t2"):
        assert [i for i in ids if i.startswith(writer)] == [f"{writer}-{number}" for number in range(100)]


def test_clearing_beside_writers_loses_nothing_that_came_later(path: Path) -> None:
    """A writer that waited for the lock of the old file finds the new one."""
    log, stop = JobLogger(path), threading.Event()

    def keep_clearing() -> None:
        while not stop.is_set():
            log.clear_log()

    with ThreadPoolExecutor(3) as pool:
        clearing = pool.submit(keep_clearing)
        writing = [pool.submit(log_many, path, name, 200) for name in ("a", "b")]
        for done in writing:
            done.result()
        stop.set()
        clearing.result()
    log.log_job(an_entry(job_id="last"))
    assert job_ids(path)[-1] == "last"


APPENDING = """
import sys
from tests.history.test_job_log import an_entry
from mediajobs_dagster.history.job_log import JobLogger
JobLogger(sys.argv[1]).log_job(an_entry(job_id="meanwhile"))
"""


def test_who_reads_at_leisure_holds_nobody_up(log: JobLogger, path: Path) -> None:
    """A script may stop in the middle; it reads what was there when it began, even if the log is cleared."""
    for number in range(3):
        log.log_job(an_entry(job_id=str(number), transcript="x" * 100_000))
    reading = log.iterate_jobs()
    first = next(reading)
    subprocess.run([sys.executable, "-c", APPENDING, str(path)], check=True, timeout=60)
    assert job_ids(path)[-1] == "meanwhile"
    log.clear_log()
    assert [each["job_id"] for each in (first, *reading)] == ["0", "1", "2"]


ENDLESS = """
import resource, sys
from pathlib import Path
from tests.history.test_job_log import an_entry
from mediajobs_dagster.history.job_log import JobLogger
log = JobLogger(sys.argv[1])
print("started", flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))  # whatever becomes of the test, it does not fill the disk
number = 0
while True:
    log.log_job(an_entry(job_id=str(number), transcript="x" * 200_000))
    number += 1
"""


def test_killed_in_the_middle_of_appending_it_loses_at_most_the_last_entry(log: JobLogger, path: Path) -> None:
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE) as writer:
            try:
                assert writer.stdout is not None
                writer.stdout.readline()
                while not path.exists() or path.stat().st_size < 2_000_000:
                    assert writer.poll() is None
                    time.sleep(0.01)  # an eager look would keep it from its work
            finally:
                writer.kill()
        log.log_job(an_entry(job_id="after"))
        *before, after = job_ids(path)
        assert after == "after"
        assert before == [str(number) for number in range(len(before))]
        assert len(before) >= 9
        log.clear_log()


LIMITED = """
import resource, sys
from tests.history.test_job_log import an_entry
from mediajobs_dagster.errors import DiskFullError
from mediajobs_dagster.history.job_log import JobLogger
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    JobLogger(sys.argv[1]).log_job(an_entry(job_id="too large"))
except DiskFullError:
    sys.exit(7)
"""


def test_a_disk_that_fills_up_leaves_the_log_as_it_was(log: JobLogger, path: Path) -> None:
    """The write stops half-way (here at a limit of the file size): the closing bracket is put back."""
    log.log_job(an_entry())
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path), str(len(before) + 50)], check=False)
    assert done.returncode == 7
    assert path.read_bytes() == before
