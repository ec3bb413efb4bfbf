"""`mediajobs doctor`: check the installation, and say how to fix what is wrong."""

from __future__ import annotations

import click

from mediajobs_dagster.attempts.checkup import Caution, Finding
from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.running import database_fault
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.errors import DagsterVersionError, DatabaseUnavailableError, MediaJobsError, SettingsError
from mediajobs_dagster.gate.names import Names
from mediajobs_dagster.orchestration.internals.warm_runs import RUN_MODULES, missing_run_modules, slow_start
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.supervisor.exclusive import is_used
from mediajobs_dagster.system import MediaJobs


@click.command(short_help="Check ffmpeg, database, clock, storage and disk.")
@display.json_option
@click.pass_obj
def doctor(media: MediaJobs, as_json: bool) -> None:
    """Check ffmpeg, database, clock, storage, disk and versions, and say how to fix what is wrong."""
    try:
        settings = media.settings
        checks = {"settings": lambda: _settings(settings), "start of runs": _start_of_runs}
        if is_used(settings.home):
            checks["mediajobs up"] = lambda: _up(media)
        findings = media.doctor(checks)
    except SettingsError as error:  # without settings there is nothing else to check
        findings = (Finding("settings", False, f"{error.code}: {error.message}"),)
    if as_json:
        display.print_json(findings)
    else:
        rows = [(each.check, _word(each), each.detail) for each in findings]
        display.console().print(display.table(("Check", "", Column("Finding", "text")), rows))
    if not all(each.fine for each in findings):
        raise click.exceptions.Exit(1)


def _word(finding: Finding) -> str:
    if not finding.fine:
        return "failed"
    return "warning" if finding.warning else "ok"


def _settings(settings: Settings) -> str:
    Names.of("127.0.0.1", settings.web_names)
    return Caution(" ".join(doubts)) if (doubts := settings.doubts()) else "every variable is one of a setting"


def _up(media: MediaJobs) -> str:
    try:
        fault = database_fault(media)
    except MediaJobsError:  # a check of its own tells it
        return Caution("it is running; whether it works with this database is not known without the database")
    if fault:
        raise DatabaseUnavailableError(fault)
    return "it is running, and works with this database"


def _start_of_runs() -> str:
    if missing := missing_run_modules():
        raise DagsterVersionError(slow_start(missing))
    return f"all {len(RUN_MODULES)} Dagster modules that runs need can be loaded beforehand"
