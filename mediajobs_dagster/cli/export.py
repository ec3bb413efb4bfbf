"""`mediajobs export`: enqueue the rendering of a timeline, or show first what it would take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text
from typing_extensions import override

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.callbacks import callback_of, callback_options
from mediajobs_dagster.cli.choices import PRIORITY
from mediajobs_dagster.cli.jobs import job_table
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.job_types.video_export.encoding import Codec, ExportParams, Hardware, Profile
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.timelines.times import exact

if TYPE_CHECKING:
    from mediajobs_dagster.attempts.forecast import Forecast
    from mediajobs_dagster.intake.export_requests import Requested
    from mediajobs_dagster.models import Upload
    from mediajobs_dagster.use_cases.answers import ExportPlan, WrittenTimeline


class Rate(click.ParamType[Fraction]):
    """Frames a second, such as 25 or 30000/1001."""

    name = "fps"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        try:
            rate = exact(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if rate <= 0:
            self.fail("a frame rate must be above 0", param, ctx)
        return rate


class Named(click.ParamType[tuple[str, str]]):
    """What media is called in a timeline of another program, and the upload it is, such as A012=talk.mp4."""

    name = "name=upload"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, _, reference = str(value).rpartition("=")
        if not name or not reference:
            self.fail(f"{value!r} is not like A012=talk.mp4: a name in the timeline, and an upload.", param, ctx)
        return name, reference


def _one_of(kind: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([each.value for each in kind])


_ADDRESS = re.compile(r"(https?|s3|ftp):/", re.IGNORECASE)
_PROFILE = "draft is fast, high looks best."
_CODEC = "Video codec; every player supports h264."
_HARDWARE = "Encode on this graphics hardware; where it does not work, in software, with a note in the manifest."

_MEDIA = "In a timeline of another program, the reel, clip or file NAME is UPLOAD (id or file name); can be repeated."


@click.command()
@click.argument("timeline", type=click.Path(path_type=Path))
@click.option("--profile", type=_one_of(Profile), default=Profile.STANDARD.value, show_default=True, help=_PROFILE)
@click.option("--codec", type=_one_of(Codec), default=Codec.H264.value, show_default=True, help=_CODEC)
@click.option("--hardware", type=_one_of(Hardware), help=_HARDWARE)
@click.option("--allow-untonemapped", is_flag=True, help="Render HDR sources even where they cannot be tone-mapped.")
@click.option(
    "--plan", "only_plan", is_flag=True, help="Only show the commands, and a forecast of time, size and memory."
)
@click.option("--to-otio", type=click.Path(path_type=Path), help="Only write the timeline to this .otio file.")
@click.option("--rate", type=Rate(), help="Frame rate of an edit decision list (.edl), frames per second.")
@click.option("--media", "named", type=Named(), multiple=True, help=_MEDIA)
@click.option("--priority", type=PRIORITY, default=0, show_default=True, help="Higher goes first.")
@click.option("--trace", "trace_id", type=display.TraceId(), help="Put the job into this trace; default: a new one.")
@click.option("--force", is_flag=True, help="Render it again even if an export is up to date.")
@callback_options
@display.json_option
@click.pass_obj
def export(
    media: MediaJobs,
    timeline: Path,
    profile: str,
    codec: str,
    hardware: str | None,
    allow_untonemapped: bool,
    only_plan: bool,
    to_otio: Path | None,
    rate: Fraction | None,
    named: tuple[tuple[str, str], ...],
    priority: int,
    trace_id: str | None,
    force: bool,
    callback_url: str | None,
    callback_events: tuple[str, ...],
    as_json: bool,
) -> None:
    """Enqueue the rendering of TIMELINE into one video.

    TIMELINE is a .json file (format create_video_v1, see docs/timeline.md), an .otio file, or any other that an
    installed OpenTimelineIO adapter reads. It refers to uploads by id, by file name or by where they came from; add
    them first with `mediajobs add`. If the timeline has faults, all of them are listed and nothing is enqueued.

    The same edit of the same content is rendered once; a second request shows the earlier export.
    """
    params = ExportParams(
        profile=Profile(profile),
        codec=Codec(codec),
        hardware=Hardware(hardware) if hardware else None,
        allow_untonemapped=allow_untonemapped,
    )
    if scheme := _ADDRESS.match(str(timeline)):
        raise RequestError(
            f"{scheme[1]} addresses are not supported here. Download the timeline, and give the path of the file."
        )
    prepared = media.prepare_export(timeline, rate=rate, named=dict(named))
    if to_otio is not None:
        written = media.write_otio(prepared, to_otio)
        display.print_json(written) if as_json else _print_written(written)
    elif only_plan:
        plan = media.plan_export(prepared, params)
        display.print_json(plan) if as_json else _print_plan(plan, params, prepared.uploads)
    else:
        callback = callback_of(callback_url, callback_events)
        requested = media.export(
            prepared, params=params, priority=priority, trace_id=trace_id, force=force, callback=callback
        )
        display.print_json(requested) if as_json else _print_requested(media, requested)


def _print_written(written: WrittenTimeline) -> None:
    console = display.console()
    console.print(f"Written: {in_one_line(str(written.path))}", markup=False, soft_wrap=True)
    _print_notes(console, written.notes)


def _print_requested(media: MediaJobs, requested: Requested) -> None:
    console = display.console()
    _print_notes(console, requested.notes)
    if requested.export:
        console.print(f"up_to_date: upload {requested.export.id} is this edit of the same content.")
        console.print(in_one_line(media.place_of(requested.export.storage_key)), markup=False, soft_wrap=True)
        console.print("Render it again with --force.")
        return
    console.print(job_table(media, media.named([requested.job]), title=f"Trace {requested.job.trace_id}"))
    if not requested.created:
        console.print("This export was requested before; this is its job.")
    console.print("Render it: mediajobs work (or wait, if mediajobs is up)")


def _print_plan(plan: ExportPlan, params: ExportParams, uploads: Mapping[str, Upload]) -> None:
    console, layout = display.console(), plan.preview.layout
    _print_notes(console, plan.notes)
    length = f"{float(layout.seconds):.3f} s, {display.counted(layout.frames, 'frame')} at {layout.fps} a second"
    console.print(f"{layout.width}x{layout.height}, {length}; {params.codec}, profile {params.profile}")
    inputs = [
        (name, use.upload_id, uploads[use.upload_id].filename, use.access) for name, use in plan.preview.inputs.items()
    ]
    console.print(display.table(("Input", "Upload", Column("File", "name"), "Read"), inputs, title="Inputs"))
    console.print(_forecast_line(plan.forecast, plan.preview.memory_bytes))
    for command in plan.commands:
        console.print()
        display.print_command(console, command)


def _forecast_line(expected: Forecast | None, memory_bytes: int) -> str:
    if expected is None:
        memory = f"Memory: at most {memory_bytes >> 20} MiB, estimated from the inputs"
        return f"No forecast yet: there is no earlier export with these options. {memory}."
    return (
        f"Forecast, from {display.counted(expected.attempts, 'earlier export')}: {expected.seconds:.1f} s, "
        f"{display.size(expected.bytes)}, {expected.memory_mb:.0f} MiB of memory."
    )


def _print_notes(console: Console, notes: tuple[str, ...]) -> None:
    for note in notes:
        console.print(Text(f"Note: {in_one_line(note)}", style="yellow"), soft_wrap=True)
