"""`mediajobs metrics`: what a scrape of the installation would read."""

from __future__ import annotations

import click

from mediajobs_dagster.cli import display
from mediajobs_dagster.system import MediaJobs


@click.command()
@display.json_option
@click.pass_obj
def metrics(media: MediaJobs, as_json: bool) -> None:
    """Print the metrics of the installation, as Prometheus reads them.

    Totals are those of all machines since the installation was made. What a serving process measures of itself, such as
    its memory and its HTTP requests, is only in what that process answers at /metrics. With --json, times are in
    milliseconds, and histograms have estimated quantiles (50, 90 and 99 %).
    """
    if as_json:
        display.print_json(media.metrics.snapshot())
    else:
        click.echo(media.metrics.exposition().body, nl=False)
