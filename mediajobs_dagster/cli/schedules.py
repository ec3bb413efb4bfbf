"""`mediajobs schedules`: when scheduled jobs run, and what was missed."""

from __future__ import annotations

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.schedules import ScheduleStanding


@click.group()
def schedules() -> None:
    """Show when scheduled jobs run, and what was missed."""


@schedules.command("list")
@display.verbose_option
@display.json_option
@click.pass_obj
def list_schedules(media: MediaJobs, verbose: bool, as_json: bool) -> None:
    """List the schedules: their times, whether they are on, their last and next moment, and what they missed.

    They run under `mediajobs up`. MEDIAJOBS_SCHEDULES moves them and switches them; what is switched in the Dagster UI
    counts more than that. `mediajobs run JOB` starts such a job by hand.
    """
    # Dagster takes more than a second to import, so only the commands that need it import it.
    from mediajobs_dagster.orchestration.instance import open_instance
    from mediajobs_dagster.orchestration.moments import schedules_of, switches_of

    media.check()  # before Dagster makes its own databases in the same folder
    with open_instance(media.settings) as instance:
        found = schedules_of(media).list(switches_of(instance), now=utc_now())
    if as_json:
        display.print_json(found)
        return
    columns = (
        Column("Job", "name"),
        Column("Cron", rank=4),
        Column("Zone", rank=5),
        "On",
        Column("Next (UTC)", rank=1),
        Column("Last (UTC)", rank=2),
        Column("Missed", rank=3, below=True),
    )
    display.console().print(display.table(columns, [_row(each) for each in found], whole=verbose))


def _row(each: ScheduleStanding) -> tuple[object, ...]:
    missed = f"{each.missed_in_all:,}, the last {each.missed_at:%Y-%m-%d}" if each.missed_at else None
    return (
        *(each.name, each.cron, each.timezone, "yes" if each.is_on else "no"),
        *(f"{moment:%Y-%m-%d %H:%M}" if moment else None for moment in (each.next_moment, each.last_moment)),
        missed,
    )
