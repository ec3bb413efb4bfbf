"""`mediajobs doctor`: what is fine, what is not, and how to mend it."""

from __future__ import annotations

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.errors import DagsterVersionError
from mediajobs_dagster.orchestration.internals.warm_runs import RUN_MODULES, missing_run_modules, slow_start
from mediajobs_dagster.system import MediaJobs


@click.command()
@display.json_option
@click.pass_obj
def doctor(media: MediaJobs, as_json: bool) -> None:
    """Check ffmpeg, database, storage, disk and versions, and say how to mend what is not fine."""
    findings = media.doctor({"start of runs": _start_of_runs})
    if as_json:
        display.print_json(findings)
    else:
        rows = [(each.check, "ok" if each.fine else "failed", each.detail) for each in findings]
        display.console().print(display.table(("Check", "", "Finding"), rows))
    if not all(each.fine for each in findings):
        raise click.exceptions.Exit(1)


def _start_of_runs() -> str:
    if missing := missing_run_modules():
        raise DagsterVersionError(slow_start(missing))
    return f"run processes find all {len(RUN_MODULES)} modules of Dagster that they need loaded"
