"""`mediajobs demo`: the whole way of one video, in one command."""

from __future__ import annotations

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.jobs import add_upload
from mediajobs_dagster.cli.session import Session
from mediajobs_dagster.cli.work import work_off
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.media.demo_clip import make_demo_clip
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import Job, JobStatus, JsonObject


@click.command()
@click.argument("video", required=False)
@display.json_option
@click.pass_obj
def demo(session: Session, video: str | None, as_json: bool) -> None:
    """Make a thumbnail, an edit proxy and an audio envelope of VIDEO, and show what was done.

    Without VIDEO, a ten-second clip with moving picture and sound is made first.
    """
    location = video or _own_clip(session)
    _, enqueued = add_upload(session, location, (), priority=0, force=True, quiet=as_json)
    trace_id = enqueued[0].job.trace_id
    done, _ = work_off(session, quiet=as_json)
    found = session.history.jobs.list(JobFilter(trace_id=trace_id))
    rows = [_row(session, job) for job in sorted(found, key=lambda job: job.id)]
    if as_json:
        display.print_json({"traceId": trace_id, "jobs": rows})
    else:
        _print(trace_id, rows)
        for held in done.held.values():
            display.console().print(held.reason, style="yellow")
    if any(job.status is not JobStatus.COMPLETED for job in found):
        raise click.exceptions.Exit(1)


def _own_clip(session: Session) -> str:
    path = session.settings.home / "demo" / "demo.mp4"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part.mp4")
        make_demo_clip(Runner.from_settings(session.settings), unfinished)
        unfinished.rename(path)
    return str(path)


def _row(session: Session, job: Job) -> JsonObject:
    latest = session.history.attempts.of_job(job.id)[-1:]
    outputs = [output for attempt in latest for output in (attempt.result or {}).get("outputs", [])]
    return {
        "jobId": job.id,
        "jobType": job.job_type,
        "status": job.status,
        "durationMs": latest[0].duration_ms if latest else None,
        "rtf": latest[0].rtf if latest else None,
        "error": latest[0].error if latest else None,
        "outputs": [_place(session, output["key"]) for output in outputs],
    }


def _place(session: Session, key: str) -> str:
    local = session.storage.local_path(key)
    return str(local) if local else f"{session.storage.url.rstrip('/')}/{key}"


def _print(trace_id: str, rows: list[JsonObject]) -> None:
    console = display.console()
    columns = ("Job type", "Status", "Duration", "RTF", "Output")
    cells = [
        (
            row["jobType"],
            row["status"],
            display.seconds(row["durationMs"]),
            display.rtf(row["rtf"]),
            "\n".join(row["outputs"]) or row["error"],
        )
        for row in rows
    ]
    console.print(display.table(columns, cells, title=f"Trace {trace_id}"))
    console.print(f"Look closer:  mediajobs jobs list --trace {trace_id}")
    console.print("In Dagster:   dagster dev, then filter the runs by the tag traceId")
