"""The job log from end to end, without a video and without a network.

    python examples/job_logging.py [FOLDER]

It keeps the log of some study guides in FOLDER (default: a new temporary one), one of which failed, and of the job of
another program. Then it shows what the log tells. With mediajobs itself nothing of the first half is needed: set
MEDIAJOBS_JOB_LOG, or export the log of all that is done with `mediajobs history export --format job-log`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mediajobs_dagster import JobLogEntry, JobLogger, create_default_logger

TRANSCRIPT = "A machine learns from examples. Nobody tells it the rule."


def a_guide(video_id: str, title: str, seconds: float) -> JobLogEntry:
    """The entry of a study guide that was made."""
    name, folder, began = title.replace(" ", "_"), "notes/AI", time.time()
    notes, assessment = f"{folder}/{name}.md", f"{folder}/Assessment_{name}.md"
    notes_pdf, assessment_pdf = f"{folder}/pdfs/{name}.pdf", f"{folder}/pdfs/Assessment_{name}.pdf"
    return JobLogEntry.model_validate(
        {
            "job_type": "study_guide_v1",
            "video_id": video_id,
            "url": f"https://youtu.be/{video_id}",
            "subject": "AI",
            "worker_id": "worker-1",
            "video_title": title,
            "transcript": TRANSCRIPT,
            "transcript_metadata": {"duration": "15:30", "length": len(TRANSCRIPT), "method": "subtitles"},
            "has_notes": True,
            "has_assessment": True,
            "notes_length": 5200,
            "assessment_length": 3400,
            "output_dir": folder,
            "notes_filepath": notes,
            "assessment_filepath": assessment,
            "notes_file_exists": True,
            "assessment_file_exists": True,
            "pdf_subdir": f"{folder}/pdfs",
            "notes_pdf_path": notes_pdf,
            "assessment_pdf_path": assessment_pdf,
            "notes_pdf_exists": True,
            "assessment_pdf_exists": True,
            "stage": "completed",
            "success": True,
            "start_time": began - seconds,
            "end_time": began,
            "processing_duration": seconds,
            "timings": {"fetch_transcript": 5.2, "generate_notes": 25.0, "generate_assessment": seconds - 30.2},
            "files_created": [notes, assessment, notes_pdf, assessment_pdf],
        }
    )


def a_failure(video_id: str, title: str, error: str) -> JobLogEntry:
    """The entry of a study guide whose notes could not be written."""
    return JobLogEntry(
        job_type="study_guide_v1",
        video_id=video_id,
        url=f"https://youtu.be/{video_id}",
        subject="AI",
        worker_id="worker-2",
        video_title=title,
        stage="generating_notes",
        success=False,
        error=error,
        error_code=error.partition(":")[0],
        start_time=time.time() - 12.3,
        processing_duration=12.3,
        timings={"fetch_transcript": 8.3, "generate_notes": 4.0},
    )


def basic(logger: JobLogger) -> None:
    """One entry after the other."""
    logger.log_job(a_guide("abc123", "Introduction to Machine Learning", 45.2))
    logger.log_job(a_failure("xyz789", "A Failed Video", "SERVICE_LIMITED: 429 Too Many Requests"))
    print(f"Two jobs are in {logger.path.name}.")


def batch(logger: JobLogger) -> None:
    """Several with one write; and several threads, each with its own."""
    logger.log_jobs_batch([a_guide(f"batch{number}", f"Lecture {number}", 40.0 + number) for number in range(3)])
    failures = [a_failure(f"late{number}", f"Talk {number}", "SERVICE_TIMEOUT: no answer") for number in range(2)]
    with ThreadPoolExecutor(max_workers=3) as executor:
        list(executor.map(logger.log_job, failures))
    print(f"Now there are {len(logger.get_all_jobs())}.")


def statistics(logger: JobLogger) -> None:
    """Totals over the log."""
    stats = logger.get_statistics()
    print(f"Total: {stats['total_jobs']}, successful: {stats['successful']}, failed: {stats['failed']}")
    print(f"Success rate: {stats['success_rate'] * 100:.1f}%")
    print(f"Average duration: {stats['average_duration']:.1f}s")
    print(f"Files created: {stats['total_files_created']}")
    for stage, count in stats["stages"].items():
        print(f"  {stage}: {count}")


def errors(logger: JobLogger) -> None:
    """What failed, why, and what to try again."""
    for error_type, count in logger.get_statistics()["error_types"].items():
        print(f"{error_type}: {count}")
    for job in logger.get_failed_jobs():
        print(f"  {job['video_title']} failed at {job['stage']}: {job['error']}")
    print("To try again:", *(job["url"] for job in logger.get_failed_jobs()))


def structure(logger: JobLogger) -> None:
    """An entry as it is in the file, and the whole log as a table."""
    print(json.dumps(logger.get_successful_jobs()[0], indent=2))
    table = logger.path.with_name("jobs_export.csv")
    print(f"{logger.export_csv(table)} jobs are in {table.name} too.")


def main() -> None:
    """Show it all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="job-log-")) / "notes"
    logger = create_default_logger(folder)
    for show in (basic, batch, statistics, errors, structure):
        print(f"\n--- {show.__name__}: {show.__doc__}")
        show(logger)
    print(f"\nAsk it yourself: jq '.[] | select(.success == false) | .url' {logger.path}")


if __name__ == "__main__":
    main()
