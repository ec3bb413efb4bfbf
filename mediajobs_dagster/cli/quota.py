"""`mediajobs quota`: what is left of the quotas of outside services."""

from __future__ import annotations

from datetime import UTC

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.resilience.quota import BucketStanding
from mediajobs_dagster.system import MediaJobs


@click.command(short_help="Show what is left of the quotas of outside services.")
@display.verbose_option
@display.json_option
@click.pass_obj
def quota(media: MediaJobs, verbose: bool, as_json: bool) -> None:
    """Show what is left of the quotas of outside services, and when they run out at this rate.

    Each call is counted before it is made, over all processes. A quota is full again at its reset; until then, no job
    is started that needs more than is left. The limits are settings, such as MEDIAJOBS_YOUTUBE_SEARCH_LIMIT.
    """
    found = media.quota.standings()
    if as_json:
        display.print_json(found)
        return
    rows = [
        (each.bucket.name, _left(each), f"{each.used.calls:,}", _at_this_rate(each), f"{each.resets_at:%m-%d %H:%M}")
        for each in found
    ]
    columns = ("Quota", "Left", Column("Calls", rank=1), Column("At this rate", "text"), Column("Resets (UTC)"))
    display.console().print(display.table(columns, rows, whole=verbose))


def _left(standing: BucketStanding) -> str:
    return f"{standing.left:,} of {standing.bucket.limit:,} {standing.bucket.unit}"


def _at_this_rate(standing: BucketStanding) -> str:
    if standing.used.exhausted_at:
        return f"used up, as the service said at {standing.used.exhausted_at.astimezone(UTC):%H:%M}"
    if not standing.left:
        return "used up"
    if not standing.used.units:
        return "not used yet"
    if standing.runs_out_at is None:
        return f"lasts ({standing.an_hour:,.1f} an hour)"
    in_s = (standing.runs_out_at - standing.at).total_seconds()
    return f"runs out in {display.span(in_s)}, at {standing.runs_out_at:%H:%M}"
