"""`mediajobs why`: why a job waits, or why it ended as it did."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import click
from rich.text import Text

from mediajobs_dagster.cli import display
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.supervisor.exclusive import user_of
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.why import Signs, Why


@click.command("why")
@click.argument("job", metavar="JOB")
@display.json_option
@click.pass_obj
def why(media: MediaJobs, job: str, as_json: bool) -> None:
    """Say why JOB waits: every cause, and when it is over. Of one that failed: why, and whether it is tried again.

    JOB is named as in `mediajobs jobs show`. A name that several jobs have means those that are not done, one after the
    other; with --json it has to be one only.
    """
    asked = media.references.jobs_to_explain(job)  # a mistyped name need not wait for Dagster to load
    with _signs(media) as signs:
        found = [media.why(job, signs)] if as_json else [media.why(each.id, signs) for each in asked]
    if as_json:
        display.print_json(found[0])
        return
    console = display.console()
    for position, each in enumerate(found):
        if position:
            console.print()
        head = f"{each.named.label}: {each.named.job.job_type} is {each.status}"
        console.print(Text(in_one_line(head), style="bold"))
        for line in lines_of(each):
            console.print(line, markup=False)


def lines_of(found: Why) -> list[str]:
    """The answer for people, one line a cause."""
    lines = [in_one_line(cause.text) for cause in found.causes]
    if found.again:
        lines.append(found.again)
    if found.for_uploader:
        lines.append(f"To tell the uploader: {found.for_uploader}")
    return lines


@contextmanager
def _signs(media: MediaJobs) -> Generator[Signs]:
    """Dagster takes more than a second to import, so only who needs it imports it."""
    from mediajobs_dagster.orchestration.instance import open_instance
    from mediajobs_dagster.orchestration.signs import DagsterSigns

    with open_instance(media.settings) as instance:
        yield DagsterSigns(instance, lambda: user_of(media.settings.home))
