"""Whatever the page about the job log shows works as it stands there: `jq`, Python and the entry itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jq
import pytest

from mediajobs_dagster import JobLogEntry, JobLogger, create_default_logger
from mediajobs_dagster.history.job_log_entry import KEYS
from tests.test_readme import run

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "job-log.md"
Ask = Callable[[str], list[Any]]


def guide(video_id: str, took: float = 45.2, **more: Any) -> JobLogEntry:
    """A study guide that was made."""
    folder = "notes/AI"
    values: dict[str, Any] = {
        "job_type": "study_guide_v1",
        "video_id": video_id,
        "url": f"https://youtu.be/{video_id}",
        "subject": "AI",
        "worker_id": "worker-1",
        "video_title": f"Talk {video_id}",
        "stage": "completed",
        "success": True,
        "start_time": 1697543210.123,
        "processing_duration": took,
        "timings": {"fetch_transcript": 5.2, "generate_notes": 25.0},
        "files_created": tuple(f"{folder}/{name}{video_id}.md" for name in ("", "Assessment_")),
    }
    return JobLogEntry(**values | more)


def failure(video_id: str, error: str, **more: Any) -> JobLogEntry:
    """A study guide that was not."""
    values: dict[str, Any] = {
        "stage": "generating_notes",
        "success": False,
        "error": error,
        "error_code": error.partition(":")[0],
        "timings": {"fetch_transcript": 8.3, "generate_notes": 4.0},
        "files_created": (),
    }
    return guide(video_id, 12.3, **values | more)


LIMITED, SILENT, MISSING = "SERVICE_LIMITED: 429", "SERVICE_TIMEOUT: no answer", "INPUT_NO_AUDIO: nothing is said"
THUMB = guide(
    "upload-1",
    0.2,
    job_type="upload_thumb_v1",
    url=None,
    subject=None,
    worker_id="worker-2",
    timings={"probe": 0.05, "ffmpeg": 0.1},
    files_created=("thumbs/uploads/1/thumb.jpg",),
)
LOGGED = (
    *(guide(f"abc{number}", 40.0 + number, worker_id=f"worker-{1 + number % 2}") for number in range(4)),
    failure("xyz789", LIMITED, video_title="Failed Video"),
    failure("abc456", LIMITED),
    failure("abc457", LIMITED, subject="History"),
    failure("abc458", SILENT, worker_id="worker-2"),
    failure("abc459", MISSING, stage="fetching_transcript"),
    failure("abc460", MISSING, stage="transcript_fetched", url=None),
    THUMB,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with notes and their log."""
    logger = create_default_logger(tmp_path / "notes")
    logger.log_jobs_batch(LOGGED[:3])
    for entry in LOGGED[3:]:
        logger.log_job(entry)
    return tmp_path


# --- jq --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ask(folder: Path) -> Ask:
    """Runs a program of the page."""

    def by_library(program: str) -> list[Any]:
        assert program in PROGRAMS
        return jq.compile(program).input_text((folder / "notes" / "processing_log.json").read_text()).all()

    return by_library


PROGRAMS = set(re.findall(r"^\$ jq (?:-r )?'(.*)' \S+$", PAGE.read_text(), re.MULTILINE))
"""Those of the page."""


def test_all_jobs(ask: Ask) -> None:
    (found,) = ask(".")
    assert [each["video_id"] for each in found] == [each.video_id for each in LOGGED]
    assert all(tuple(each) == KEYS for each in found)


def test_jobs_by_status(ask: Ask) -> None:
    assert ask("[.[] | .success] | group_by(.) | map({status: .[0], count: length})") == [
        [{"status": False, "count": 6}, {"status": True, "count": 5}]
    ]


def test_failed_jobs(ask: Ask) -> None:
    (found,) = ask("[.[] | select(.success == false)]")
    assert [each["video_id"] for each in found] == ["xyz789", "abc456", "abc457", "abc458", "abc459", "abc460"]


def test_failed_jobs_with_their_errors(ask: Ask) -> None:
    first, *_ = ask(".[] | select(.success == false) | {video_id, title: .video_title, error, stage}")
    assert first == {"video_id": "xyz789", "title": "Failed Video", "error": LIMITED, "stage": "generating_notes"}


def test_the_average_of_what_succeeded(ask: Ask) -> None:
    (found,) = ask("[.[] | select(.success == true) | .processing_duration] | add / length")
    assert found == pytest.approx((40 + 41 + 42 + 43 + 0.2) / 5)


@pytest.mark.parametrize(("by", "shown"), [(".error", str), (".error_code", lambda error: error.partition(":")[0])])
def test_errors_by_type(ask: Ask, by: str, shown: Callable[[str], str]) -> None:
    """In the order of their texts."""
    program = f"[.[] | select(.success == false) | {by}] | group_by(.) | map({{error: .[0], count: length}})"
    counts = [(MISSING, 2), (LIMITED, 3), (SILENT, 1)]
    assert ask(program) == [[{"error": shown(error), "count": count} for error, count in counts]]


def test_the_longest_jobs(ask: Ask) -> None:
    found = ask(
        "sort_by(.processing_duration) | reverse | .[0:5] | .[] | {title: .video_title, duration: .processing_duration}"
    )
    assert found[:4] == [{"title": f"Talk abc{number}", "duration": 40.0 + number} for number in (3, 2, 1, 0)]
    assert [each["duration"] for each in found[4:]] == [12.3]


def test_jobs_by_worker(ask: Ask) -> None:
    assert ask(
        "group_by(.worker_id) | map({worker: .[0].worker_id, count: length, "
        "success: [.[] | select(.success == true)] | length})"
    ) == [[{"worker": "worker-1", "count": 7, "success": 2}, {"worker": "worker-2", "count": 4, "success": 3}]]


def test_addresses_to_try_again(ask: Ask) -> None:
    """As the page has it, they are lines of text."""
    program = ".[] | select(.success == false) | .url"
    addresses = [f"https://youtu.be/{each}" for each in ("xyz789", "abc456", "abc457", "abc458", "abc459")]
    assert ask(program) == [*addresses, None]
    assert f"$ jq -r '{program}' " in PAGE.read_text()


def test_jobs_of_a_subject(ask: Ask) -> None:
    assert {each["subject"] for each in ask('.[] | select(.subject == "AI")')} == {"AI"}


def test_where_the_time_went(ask: Ask) -> None:
    *guides, thumb = ask(".[] | select(.success == true) | {title: .video_title, timings}")
    assert len(guides) == 4
    assert guides[0] == {"title": "Talk abc0", "timings": {"fetch_transcript": 5.2, "generate_notes": 25.0}}
    assert thumb["timings"] == {"probe": 0.05, "ffmpeg": 0.1}


def test_there_is_no_program_that_is_not_tested() -> None:
    """Each has its test above; who adds one to the page adds a test, and counts it here."""
    assert len(PROGRAMS) == 12


# --- Python ----------------------------------------------------------------------------------------------------------


def snippets() -> Sequence[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_python_of_the_page(folder: Path) -> None:
    """A stranger runs it piece by piece, in a folder with a log in it."""
    whole, reading, totals, errors, again, clearing, logging = snippets()
    assert run(whole, folder) == ""
    assert run(reading, folder).startswith(
        "Failed: Failed Video\n  Error: SERVICE_LIMITED: 429\n  Stage: generating_notes\n"
    )
    assert run(totals, folder).splitlines() == [
        "Total: 11, successful: 5, failed: 6",
        "Success rate: 45.5%",
        "Average duration: 21.8s",
        "Files created: 9",
        *("SERVICE_LIMITED: 3", "INPUT_NO_AUDIO: 2", "SERVICE_TIMEOUT: 1"),
        *("completed: 5", "generating_notes: 4", "fetching_transcript: 1", "transcript_fetched: 1"),
    ]
    assert run(errors, folder).splitlines() == [
        *("  SERVICE_LIMITED: 3", "  INPUT_NO_AUDIO: 2", "  SERVICE_TIMEOUT: 1"),
        "fetch_transcript: 5.2s on average",
        "generate_notes: 25.0s on average",
    ]
    assert run(again, folder) == "Retrying 6 failed videos...\n"
    assert run(clearing, folder) == ""
    assert len((folder / "notes" / "jobs_export.csv").read_text().splitlines()) == 1 + len(LOGGED)
    assert JobLogger(folder / "notes" / "processing_log.json").get_all_jobs() == []
    assert run(logging, folder) == ""
    assert JobLogger(folder / "custom/location/jobs.json").get_statistics()["total_jobs"] == 30


def test_the_example_shows_it_all(tmp_path: Path) -> None:
    """Without a network, in a folder of one's choice; run again, it goes on with the log."""
    example = PAGE.parents[2] / "examples" / "job_logging.py"
    for times in (1, 2):
        done = subprocess.run(
            [sys.executable, "-W", "error", example, tmp_path], check=True, stdout=subprocess.PIPE, text=True
        )
        stats = create_default_logger(tmp_path).get_statistics()
        assert (stats["total_jobs"], stats["failed"], stats["total_files_created"]) == (
            7 * times,
            3 * times,
            16 * times,
        )
    for shown in ("--- basic", "--- batch", "Success rate: 57.1%", "SERVICE_TIMEOUT: 4", "generating_notes: 6"):
        assert shown in done.stdout
    assert "To try again: https://youtu.be/xyz789 https://youtu.be/late" in done.stdout
    assert '"video_title": "Introduction to Machine Learning",' in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"processing_log.json", "jobs_export.csv"}


SCRIPT = """
from pathlib import Path
import statistics
from mediajobs_dagster import create_default_logger

logger = create_default_logger(Path('notes'))

all_jobs = logger.get_all_jobs()
pending = logger.get_jobs_by_stage('transcript_fetched')

failed = logger.get_failed_jobs()
errors = {}
for job in failed:
    error_type = job['error'].split(':')[0]
    errors[error_type] = errors.get(error_type, 0) + 1
for error, count in sorted(errors.items(), key=lambda x: -x[1]):
    print(f"  {error}: {count}")

successful = logger.get_successful_jobs()
fetch_times = [j['timings'].get('fetch_transcript', 0) for j in successful]
print(f"Fetch transcript: {statistics.mean(fetch_times):.1f}s avg")

failed_urls = [job['url'] for job in failed]
print(f"Retrying {len(failed_urls)} failed videos...")

stats = logger.get_statistics()
report = f\"\"\"
Total Jobs: {stats['total_jobs']}
Successful: {stats['successful']} ({stats['success_rate']*100:.1f}%)
Failed: {stats['failed']}
Average Duration: {stats['average_duration']:.1f}s
Files Created: {stats['total_files_created']}
\"\"\"
for error_type, count in stats['error_types'].items():
    report += f"  - {error_type}: {count}\\n"
print(report, len(all_jobs), len(pending))
"""
"""As people have written it for logs of this form; entries of all kinds of jobs are in it."""


def test_a_script_of_before_reads_it(folder: Path) -> None:
    """It takes apart whatever it finds, without asking whether it is there."""
    assert run(SCRIPT, folder).splitlines() == [
        *("  SERVICE_LIMITED: 3", "  INPUT_NO_AUDIO: 2", "  SERVICE_TIMEOUT: 1"),
        "Fetch transcript: 4.2s avg",
        "Retrying 6 failed videos...",
        *("", "Total Jobs: 11", "Successful: 5 (45.5%)", "Failed: 6", "Average Duration: 21.8s", "Files Created: 9"),
        *("  - SERVICE_LIMITED: 3", "  - INPUT_NO_AUDIO: 2", "  - SERVICE_TIMEOUT: 1", " 11 1"),
    ]


def test_the_entry_of_the_page_is_one() -> None:
    """With all keys, in their order."""
    (shown,) = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert tuple(json.loads(shown)) == KEYS
    assert JobLogEntry.model_validate_json(shown).to_json() == json.loads(shown)
