"""`mediajobs study`: study guides of talks, from addresses, files or uploads, in one command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.add import IntakeBars
from mediajobs_dagster.cli.callbacks import callback_of, callback_options
from mediajobs_dagster.cli.choices import PRIORITY
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.cli.waiting import is_worked_on, wait_for_trace
from mediajobs_dagster.cli.work import work_off
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.intake.candidates import Skipped
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.studies import Guide, Studied
from mediajobs_dagster.use_cases.study_plans import StudyPlan

_LISTED = 20
_DIFFICULTIES = click.Choice(["easy", "medium", "hard"])


@click.command(short_help="Make study guides of talks.")
@click.argument("talks", nargs=-1, required=True, metavar="TALK...")
@click.option("--subject", metavar="NAME", help="What the talks are about, such as AI; names the folder of the files.")
@click.option("--difficulty", type=_DIFFICULTIES, help="How hard the questions are.")
@click.option("--questions", type=click.IntRange(1, 60), help="How many questions are asked, at most.")
@click.option("--writer", metavar="NAME", help="Who writes: extractive, openai, or one of another package.")
@click.option("--language", metavar="TAG", help="The language that is spoken, such as en; default: it is found out.")
@click.option("--limit", type=click.IntRange(1), help="Take this many videos of a playlist or channel.")
@click.option("--priority", type=PRIORITY, default=0, show_default=True, help="Higher goes first.")
@click.option("--force", is_flag=True, help="Make everything again even if it is up to date.")
@click.option("--trace", "trace_id", type=display.TraceId(), help="Put the jobs into this trace; default: a new one.")
@callback_options
@click.option("--dry-run", is_flag=True, help="Only say what would be made; nothing is changed.")
@click.option("--wait", is_flag=True, help="Wait until the guides are made, and show them.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Copy the files here; implies --wait.")
@display.json_option
@click.pass_obj
def study(
    media: MediaJobs,
    talks: tuple[str, ...],
    subject: str | None,
    difficulty: str | None,
    questions: int | None,
    writer: str | None,
    language: str | None,
    limit: int | None,
    priority: int,
    force: bool,
    trace_id: str | None,
    callback_url: str | None,
    callback_events: tuple[str, ...],
    dry_run: bool,
    wait: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Make a study guide of each TALK: its transcript, notes to learn from, questions, and both as PDF.

    TALK is the address of a video, a playlist or a channel, a file, a folder, an s3:// address, or an upload by its id
    or name. All jobs are in one trace, one after the other for each talk. What was made before and is up to date is
    not made again, so repeat the command after an interruption.

    The jobs go through the queue: `mediajobs up` works on them. Where nothing is up, --wait works them off in this
    process. A job that can be tried again is: of a site that is away, --wait waits for hours; interrupt it at any
    time. Exit code 1: with --wait, a guide was not made.
    """
    wanted = {"subject": subject, "difficulty": difficulty, "questions": questions, "writer": writer}
    params = {name: value for name, value in wanted.items() if value is not None}
    transcript = {} if language is None else {"language": language}
    bars = IntakeBars(quiet=as_json)
    if dry_run:
        with bars:
            plan = media.studies.plan(
                *talks, params=params, transcript=transcript, limit=limit, force=force, listener=bars
            )
        _print_plan(plan, as_json=as_json)
        return
    with bars:
        asked = media.studies.ask(
            *talks,
            params=params,
            transcript=transcript,
            limit=limit,
            priority=priority,
            force=force,
            trace_id=trace_id,
            callback=callback_of(callback_url, callback_events),
            listener=bars,
        )
    if not asked.jobs:
        reasons = [f"{each.location}: {each.reason}" for each in asked.skipped]
        raise RequestError(reasons[0] if reasons else "Nothing was named that could be studied.")
    if not (wait or out):
        _print_asked(media, asked, as_json=as_json)
        return
    if not wait_for_trace(media, asked.trace_id, quiet=as_json):
        work_off(media, quiet=as_json, trace_id=asked.trace_id)
    guides = media.studies.guides(asked.trace_id)
    copied = _copied(media, guides, out) if out else []
    if as_json:
        display.print_json({**asked.to_json(), "guides": [each.to_json() for each in guides]})
    else:
        _print(media, asked, guides, copied)
    if not all(guide.is_there for guide in guides):
        raise click.exceptions.Exit(1)


def _copied(media: MediaJobs, guides: Sequence[Guide], out: Path) -> list[Path]:
    """Copy the files of the guides into a folder, each where its key says, without `notes/` and the attempt's id.

    Where two talks have the same title, files of the later one get the end of the attempt's id.
    """
    copied: dict[Path, str] = {}
    for key in (key for guide in guides for key in guide.keys):
        _, *folders, attempt, name = PurePosixPath(key).parts
        path = out.joinpath(*folders, name)
        if path in copied:
            path = path.with_stem(f"{path.stem}_{attempt[-8:]}")
        path.parent.mkdir(parents=True, exist_ok=True)
        media.storage.get(key, path)
        copied[path] = key
    return list(copied)


def _print_plan(plan: StudyPlan, *, as_json: bool) -> None:
    if as_json:
        display.print_json(plan)
        return
    console = display.console()
    _print_skipped(plan.skipped)
    rows = [(talk.title, ", ".join(talk.makes) or "nothing: it is up to date") for talk in plan.talks[:_LISTED]]
    if rows:
        console.print(display.table((Column("Talk", "name"), Column("To be made", "text")), rows))
    if len(plan.talks) > _LISTED:
        console.print(f"and {len(plan.talks) - _LISTED:,} more; --json lists all.")
    due = sum(bool(talk.makes) for talk in plan.talks)
    console.print(f"Study guides to be made: {due:,}, up to date: {len(plan.talks) - due:,}. Nothing was changed.")


def _print_skipped(skipped: Sequence[Skipped]) -> None:
    for each in skipped:
        display.console().print(display.line(f"Skipped {each.location}: {each.reason}", "yellow"), soft_wrap=True)


def _print_asked(media: MediaJobs, asked: Studied, *, as_json: bool) -> None:
    if as_json:
        display.print_json(asked)
        return
    console = display.console()
    _print_skipped(asked.skipped)
    new = sum(each.created for each in asked.jobs)
    console.print(f"Study guides asked for: {new:,} of {display.counted(len(asked.jobs), 'talk')}.")
    console.print(f"Follow them: mediajobs jobs watch --trace {asked.trace_id}")
    if not is_worked_on(media):
        console.print("Nothing is up here: [bold]mediajobs up[/] or [bold]mediajobs work[/] will make them.")


def _print(media: MediaJobs, asked: Studied, guides: Sequence[Guide], copied: Sequence[Path]) -> None:
    console = display.console()
    _print_skipped(asked.skipped)
    rows = [(guide.title, _standing(media, guide), guide.error_code) for guide in guides]
    console.print(display.table((Column("Talk", "name"), "Study guide", "Error"), rows))
    places = list(map(str, copied)) or [media.place_of(key) for guide in guides for key in guide.keys]
    for place in places[:_LISTED]:
        console.print(display.line(place), soft_wrap=True)
    if len(places) > _LISTED:
        console.print(f"and {display.counted(len(places) - _LISTED, 'more file')}.")
    if failed := next((guide for guide in guides if not guide.is_there), None):
        console.print(f"Why one was not made: mediajobs why {failed.job.id}")


def _standing(media: MediaJobs, guide: Guide) -> str:
    if guide.is_there:
        return "up to date" if guide.job.status is JobStatus.SKIPPED else "made"
    return f"{media.registry.noun(guide.job.job_type)} is {guide.job.status}"
