"""`mediajobs demo`: the whole way of one video, in one command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.add import CommandLineIntake, order_of
from mediajobs_dagster.cli.session import Session
from mediajobs_dagster.cli.work import work_off
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.intake.exports import Exports
from mediajobs_dagster.intake.intake import Order
from mediajobs_dagster.media.demo_clip import make_demo_clip, make_demo_music
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import Job, JobStatus, JsonObject, SubjectKind, Upload
from mediajobs_dagster.timelines.layout import picture_length


@click.command()
@click.argument("video", required=False)
@display.json_option
@click.pass_obj
def demo(session: Session, video: str | None, as_json: bool) -> None:
    """Make a thumbnail, an edit proxy and an audio envelope of VIDEO, render an edit of it, and show what was done.

    Without VIDEO, a ten-second clip with moving picture and sound is made first. The edit has a title, a dissolve, a
    picture in picture and music that makes way for the clip's sound; what is made of it is on the same trace.
    """
    location = video or _made(session, "demo.mp4", make_demo_clip)
    order = order_of(session, (), force=True)
    counts = CommandLineIntake(session, [location], order, quiet=as_json).take()
    if not counts.uploads:
        raise RequestError(
            counts.skips[0].reason if counts.skips else f"{location} holds nothing that can be taken in."
        )
    trace_id = order.trace_id
    for registered, _ in counts.kept[:1]:
        _ask_for_edit(session, registered.upload, order, quiet=as_json)
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


def _made(session: Session, name: str, make: Callable[[Runner, Path], None]) -> str:
    """A file that is made the first time it is needed."""
    path = session.settings.home / "demo" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"unfinished-{name}")
        make(Runner.from_settings(session.settings), unfinished)
        unfinished.rename(path)
    return str(path)


def _ask_for_edit(session: Session, video: Upload, order: Order, *, quiet: bool) -> None:
    info = video.media_info
    if info is None or info.main_video is None or picture_length(info) < 1:
        return  # nothing to edit
    music = _made(session, "music.m4a", make_demo_music)
    taken = CommandLineIntake(session, [music], replace(order, job_types=()), quiet=quiet).take()
    exports = Exports(session.history, session.storage)
    prepared = exports.prepare(demo_timeline(video, taken.kept[0][0].upload, float(picture_length(info))))
    exports.request(prepared, trace_id=order.trace_id, max_attempts=order.max_attempts, force=True)


def demo_timeline(video: Upload, music: Upload, seconds: float) -> JsonObject:
    """An edit of a video that lasts so many seconds: its two halves swapped."""
    half = round(seconds / 2, 3)
    title = {"font": "Noto Sans", "weight": 700, "size": 0.1, "outline": {"width": 0.06}}
    small = {"width": 0.005, "color": "#FFFFFF"}
    return {
        "version": "create_video_v1",
        "title": "A first edit",
        "track": [
            {"kind": "clip", "source": video.id, "in": half, "out": round(seconds - 0.1, 3)},
            {
                "kind": "clip",
                "source": video.id,
                "in": 0,
                "out": half,
                "transition": {"kind": "dissolve", "duration": round(min(1.0, half / 3), 3)},
            },
        ],
        "layers": [
            {
                "kind": "video",
                "source": video.id,
                "in": 0,
                "out": round(half / 2, 3),
                "start": round(half / 4, 3),
                "mute": True,
                "radius": 0.1,
                "border": small,
                "enter": {"kind": "slide", "side": "right", "duration": round(min(0.5, half / 8), 3)},
            },
            {
                "kind": "title",
                "text": "Rendered in one pass",
                "duration": half,
                "style": title,
                "place": "top",
                "exit": {"kind": "fade", "duration": round(min(0.5, half / 4), 3)},
            },
        ],
        "music": [{"source": music.id, "mode": "duck", "duckDb": 12, "gainDb": 0}],
    }


def _row(session: Session, job: Job) -> JsonObject:
    latest = session.history.attempts.of_job(job.id)[-1:]
    outputs = [output for attempt in latest for output in (attempt.result or {}).get("outputs", [])]
    return {
        "jobId": job.id,
        "jobType": job.job_type,
        "of": _subject(session, job),
        "status": job.status,
        "durationMs": latest[0].duration_ms if latest else None,
        "rtf": latest[0].rtf if latest else None,
        "error": latest[0].error if latest else None,
        "outputs": [_place(session, output["key"]) for output in outputs],
    }


def _subject(session: Session, job: Job) -> str:
    """The video or the edit that a job is about, by its name."""
    if session.registry[job.job_type].subject is SubjectKind.TIMELINE:
        return session.history.timelines.get(job.subject_id).document["title"]
    return session.history.uploads.get(job.subject_id).filename


def _place(session: Session, key: str) -> str:
    local = session.storage.local_path(key)
    return str(local) if local else f"{session.storage.url.rstrip('/')}/{key}"


def _print(trace_id: str, rows: list[JsonObject]) -> None:
    console = display.console()
    columns = ("Job type", "Of", "Status", "Duration", "RTF", "Output")
    cells = [
        (
            row["jobType"],
            row["of"],
            row["status"],
            display.seconds(row["durationMs"]),
            display.rtf(row["rtf"]),
            "\n".join(row["outputs"]) or row["error"],
        )
        for row in rows
    ]
    console.print(display.table(columns, cells, title=f"Trace {trace_id}"))
    console.print(f"Look closer:  mediajobs jobs list --trace {trace_id}")
    console.print("In Dagster:   mediajobs up, then filter the runs by the tag traceId")
