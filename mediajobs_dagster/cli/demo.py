"""`mediajobs demo`: add one video, run all its jobs, and render an edit of it, in one command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.add import IntakeBars
from mediajobs_dagster.cli.callbacks import callback_of, callback_options
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.cli.waiting import wait_for_trace
from mediajobs_dagster.cli.work import work_off
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.media.demo_clip import make_demo_clip, make_demo_music
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import Callback, JsonObject, Upload
from mediajobs_dagster.system import MediaJobs

if TYPE_CHECKING:
    from mediajobs_dagster.intake.adding import Added
    from mediajobs_dagster.use_cases.answers import TraceResult


_STUDYING = ("espeakng_loader", "faster_whisper", "typst")
"""What a study guide of a spoken talk takes."""


@click.command(short_help="Make first results out of a test clip.")
@click.argument("video", required=False)
@callback_options
@display.json_option
@click.pass_obj
def demo(
    media: MediaJobs, video: str | None, callback_url: str | None, callback_events: tuple[str, ...], as_json: bool
) -> None:
    """Make a thumbnail, an edit proxy and an audio envelope of VIDEO, render an edit of it, and show the results.

    Without VIDEO, a ten-second clip with moving picture and sound is made first. The edit has a title, a dissolve, a
    picture in picture, and music that is ducked under the clip's sound. With the extra `demo`, a study guide of a short
    spoken talk is made too. All jobs are in one trace.
    """
    if video == "":
        raise RequestError("An empty name is no file. Leave it out to have a clip made.")
    callback = callback_of(callback_url, callback_events)
    location = video or _made(media, "demo.mp4", make_demo_clip)
    added = _add(media, location, quiet=as_json, callback=callback)
    if not added.counts.uploads:
        raise RequestError(
            added.skipped[0].reason if added.skipped else f"There is no media in {location} that can be added."
        )
    for each in added.uploads[:1]:
        _ask_for_edit(media, each.upload, added.trace_id, quiet=as_json)
    _ask_for_study_guide(media, added.trace_id, quiet=as_json)
    is_made = wait_for_trace(media, added.trace_id, quiet=as_json)
    done = None if is_made else work_off(media, quiet=as_json, trace_id=added.trace_id)[0]
    result = media.trace(added.trace_id)
    if as_json:
        display.print_json(result)
    else:
        _print(media, result)
        for held in done.held.values() if done else ():
            display.console().print(held.reason, style="yellow", markup=False)
    if not all(each.is_completed for each in result.jobs):
        raise click.exceptions.Exit(1)


def _add(
    media: MediaJobs,
    location: str,
    *,
    quiet: bool,
    types: Sequence[str] | None = None,
    trace_id: str | None = None,
    callback: Callback | None = None,
) -> Added:
    with IntakeBars(quiet=quiet) as bars:
        return media.add(location, types=types, force=True, trace_id=trace_id, callback=callback, listener=bars)


def _made(media: MediaJobs, name: str, make: Callable[[Runner, Path], None]) -> str:
    """The path of a demo file, which is made on first use."""
    path = media.settings.home / "demo" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"unfinished-{name}")
        make(Runner.from_settings(media.settings), unfinished)
        unfinished.rename(path)
    return str(path)


def _ask_for_edit(media: MediaJobs, video: Upload, trace_id: str, *, quiet: bool) -> None:
    from mediajobs_dagster.timelines.layout import source_length

    info = video.media_info
    if info is None or info.main_video is None or source_length(info) < 1:
        return  # nothing to edit
    music = _made(media, "music.m4a", make_demo_music)
    taken = _add(media, music, quiet=quiet, types=(), trace_id=trace_id)
    timeline = demo_timeline(video, taken.uploads[0].upload, float(source_length(info)))
    media.export(timeline, trace_id=trace_id, force=True)


def _ask_for_study_guide(media: MediaJobs, trace_id: str, *, quiet: bool) -> None:
    """Of a spoken talk, where what it takes is installed."""
    from mediajobs_dagster.media.demo_talk import TITLE, make_demo_talk

    if not all(map(find_spec, _STUDYING)):
        return
    talk = _made(media, f"{TITLE}.mp4", make_demo_talk)
    taken = _add(media, talk, quiet=quiet, types=(), trace_id=trace_id)
    media.studies.ask(taken.uploads[0].upload.id, params={"subject": "Video"}, trace_id=trace_id, force=True)


def demo_timeline(video: Upload, music: Upload, seconds: float) -> JsonObject:
    """An edit of a video of `seconds` length: its two halves swapped, with layers and music."""
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


def _print(media: MediaJobs, result: TraceResult) -> None:
    console = display.console()
    columns = (
        *("Makes", Column("Of", "name"), "Status", "Duration", "RTF"),
        Column("Output", rank=1, below=True),
    )
    cells = [
        (
            media.registry.noun(each.job.job_type),
            each.subject,
            each.job.status,
            display.seconds(each.latest.duration_ms) if each.latest else None,
            display.rtf(each.latest.rtf) if each.latest else None,
            ", ".join(each.outputs) or (each.latest and each.latest.error),
        )
        for each in result.jobs
    ]
    console.print(display.table(columns, cells, title=f"Trace {result.trace_id}"))
    console.print(f"Look closer:  mediajobs jobs list --trace {result.trace_id}")
    console.print("In a browser: mediajobs up, then search for the trace at http://127.0.0.1:3000")
