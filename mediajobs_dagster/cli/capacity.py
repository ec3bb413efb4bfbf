"""`mediajobs capacity`: what an hour of video takes and costs, and how many machines are needed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import click

from mediajobs_dagster.capacity.planning import UNKNOWN, CapacityReport, CohortCost, Fleet, JobTypeCost
from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.settings import machine_price_of
from mediajobs_dagster.system import MediaJobs

_LITTLE_H = 24.0
"""A period shorter than so many hours says little about a month."""


class _Price(click.ParamType[tuple[str, float]]):
    name = "price"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        try:
            return machine_price_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(short_help="Show what an hour of video takes and costs, and how many machines are needed.")
@click.option("--since", type=display.Moment(), help="Begin of the period; default: 30 days before its end (UTC).")
@click.option("--until", type=display.Moment(), help="End of the period; default: now (UTC).")
@click.option(
    "--price",
    "prices",
    type=_Price(),
    metavar="TYPE=PRICE",
    multiple=True,
    help=f"Price of a machine an hour, such as c7i.large=0.0892; can be repeated. `{UNKNOWN}` is for machines whose "
    "type is not on record. Default: MEDIAJOBS_MACHINE_PRICES.",
)
@click.option("--days", "days_ahead", type=float, default=30.0, show_default=True, help="How far ahead is planned.")
@click.option(
    "--growth", type=float, default=1.0, show_default=True, help="How much more comes in; 1.5 is half as much again."
)
@click.option(
    "--load",
    type=float,
    default=0.8,
    show_default=True,
    help="Share of the time that a machine is planned to be busy; the rest is for what does not come evenly.",
)
@click.option("--pictures", "by_picture", is_flag=True, help="Tell apart how large the pictures were.")
@display.verbose_option
@display.json_option
@click.pass_obj
def capacity(
    media: MediaJobs,
    since: datetime | None,
    until: datetime | None,
    prices: Iterable[tuple[str, float]],
    days_ahead: float,
    growth: float,
    load: float,
    by_picture: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Show what an hour of video takes and costs, and how many machines the time ahead needs.

    It is reckoned from the attempts on record: their duration, shared by as many as a machine makes side by side,
    failed ones included. Machines are told for three aims: to keep up with the average hour (work waits in busy ones),
    with 95 of 100 hours, and with the busiest hour that there was.
    """
    report = media.capacity(since, until, prices=dict(prices), days_ahead=days_ahead, growth=growth, load=load)
    if as_json:
        display.print_json(report)
        return
    console = display.console()
    console.print(display.line(f"Measured from {report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC."))
    if not report.cohorts:
        console.print(display.line("No attempt has ended in this period. `mediajobs work` makes some."))
        return
    if report.hours < _LITTLE_H:
        console.print(display.line("That is less than a day: what is ahead is a rough guess.", "yellow"))
    console.print(display.line(_an_hour(report)))
    rows = map(_row, report.cohorts if by_picture else report.job_types)
    columns = [column for column in _COLUMNS if by_picture or column is not _PICTURE]
    console.print(display.table(columns, rows, title="What was done", whole=verbose))
    ahead = f"The next {report.days_ahead:g} days"
    console.print(display.table(_FLEET_COLUMNS, _sizes(report.fleets), title=ahead, whole=verbose))
    console.print(display.line(_ahead(report)))
    if report.without_price:
        missing = ", ".join(report.without_price)
        console.print(
            display.line(f"No price is set for: {missing}. `--price {report.without_price[0]}=0.10` sets one.")
        )


_PICTURE = Column("Picture", rank=1)
_COLUMNS = (
    Column("Job type", "name", least_width=18),
    Column("Machine", rank=2),
    _PICTURE,
    Column("Attempts", rank=5),
    Column("Wasted", rank=6),
    Column("Media", rank=4),
    Column("Machine time", rank=3),
    Column("An hour takes"),
    Column("and costs"),
    Column("Memory", rank=7),
)
_FLEET_COLUMNS = (Column("Machine"), "Enough for", "Machines", "Cost")


def _row(each: JobTypeCost) -> tuple[object, ...]:
    wasted = f"{each.wasted_machine_hours / each.machine_hours:.0%}" if each.machine_hours else None
    per_hour = each.machine_hours_per_media_hour
    return (
        *(each.job_type, each.instance_type or UNKNOWN),
        *([each.picture] if isinstance(each, CohortCost) else []),
        f"{each.attempts:,}",
        *(wasted, display.span(each.media_hours * 3600), display.span(each.machine_hours * 3600)),
        *(None if per_hour is None else display.span(per_hour * 3600), _money(each.cost_per_media_hour)),
        f"{each.peak_memory_mb:,.0f} MiB" if each.peak_memory_mb else None,
    )


def _sizes(fleets: Iterable[Fleet]) -> list[tuple[object, ...]]:
    return [
        (fleet.instance_type or UNKNOWN, size.enough_for.words, f"{size.machines:,}", _money(size.cost))
        for fleet in fleets
        for size in fleet.sizes
    ]


def _an_hour(report: CapacityReport) -> str:
    came_in = display.span(report.uploaded_hours * 3600)
    if report.machine_hours_per_uploaded_hour is None:
        return "No media came in, so there is nothing to reckon an hour of it from."
    takes = display.span(report.machine_hours_per_uploaded_hour * 3600)
    costs = _money(report.cost_per_uploaded_hour)
    and_costs = f", and costs {costs}" if costs else ""
    return f"Media that came in: {came_in}. An hour of it takes {takes} of a machine{and_costs}."


def _ahead(report: CapacityReport) -> str:
    grown = "as much comes in as before" if report.growth == 1 else f"{report.growth:g} times as much comes in"
    machine = display.span(report.machine_hours_ahead * 3600)
    media = f"{display.span(report.uploaded_hours_ahead * 3600)} of media, and " if report.uploaded_hours_ahead else ""
    busy = f"Each machine is planned to be busy {report.load:.0%} of the time."
    return f"If {grown}, that is {media}{machine} of machine time. {busy}"


def _money(amount: float | None) -> str | None:
    if amount is None:
        return None
    return f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.2g}"
