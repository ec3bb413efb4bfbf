"""`mediajobs capacity`: what an hour of video takes and costs, and how many machines are needed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from mediajobs_dagster.capacity.planning import UNKNOWN, CapacityReport, CohortCost, JobTypeCost
from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column
from mediajobs_dagster.printable import money
from mediajobs_dagster.settings import machine_price_of
from mediajobs_dagster.system import MediaJobs

_LITTLE_H = 24.0
"""A period shorter than so many hours says little about a month."""
_MANY_HOURS = 48.0
_NAMED = 5
"""Machines without a price that are named."""


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
    prices: Sequence[tuple[str, float]],
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
    console.print(display.line(f"Measured from {_moment(report.since)} to {_moment(report.until)} UTC."))
    if not report.cohorts:
        console.print(display.line("No attempt that began in this period has ended."))
        return
    if report.hours < _LITTLE_H:
        console.print(display.line("That is less than a day: what is ahead is a rough guess.", "yellow"))
    console.print(display.line(_an_hour(report)))
    console.print()
    rows = map(_row, report.cohorts if by_picture else report.job_types)
    columns = [column for column in _COLUMNS if by_picture or column is not _PICTURE]
    console.print(display.table(columns, rows, title="What was done", whole=verbose))
    ahead = f"The next {report.days_ahead:g} days"
    console.print(display.table(_FLEET_COLUMNS, _sizes(report), title=ahead, whole=verbose))
    console.print(display.line(_ahead(report)))
    if report.without_price:
        console.print(display.line(_no_price(report.without_price)))
    machines = {each.instance_type or UNKNOWN for each in report.fleets}
    if unused := [name for name, _ in prices if name not in machines]:
        told = f"No machine of that type is on record in this period: {', '.join(unused)}."
        console.print(display.line(told, "yellow"))


_PICTURE = Column("Picture", rank=1)
_COLUMNS = (
    Column("Job type", "name", least_width=18),
    Column("Machine", "name", rank=2),
    _PICTURE,
    Column("Attempts", rank=5),
    Column("Wasted", rank=6),
    Column("Media", rank=4),
    Column("Machine time", rank=3),
    Column("An hour takes"),
    Column("and costs"),
    Column("Memory", rank=7),
)
_FLEET_COLUMNS = (Column("Machine", "name"), "Enough for", "Machines", "Cost")


def _row(each: JobTypeCost) -> tuple[object, ...]:
    wasted = f"{each.wasted_machine_hours / each.machine_hours:.0%}" if each.machine_hours else None
    per_hour = each.machine_hours_per_media_hour
    return (
        *(each.job_type, each.instance_type or UNKNOWN),
        *([each.picture] if isinstance(each, CohortCost) else []),
        f"{each.attempts:,}",
        *(wasted, _time(each.media_hours), _time(each.machine_hours)),
        *(None if per_hour is None else _time(per_hour), money(each.cost_per_media_hour)),
        f"{each.peak_memory_mb:,.0f} MiB" if each.peak_memory_mb else None,
    )


def _sizes(report: CapacityReport) -> list[tuple[object, ...]]:
    fleets = [(fleet.instance_type or UNKNOWN, fleet.sizes) for fleet in report.fleets]
    if len(fleets) > 1:
        fleets.append(("all together", report.sizes))
    return [
        (name, size.enough_for.words, f"{size.machines:,}", money(size.cost))
        for name, sizes in fleets
        for size in sizes
    ]


def _an_hour(report: CapacityReport) -> str:
    if report.machine_hours_per_uploaded_hour is None:
        return "No media came in, so there is nothing to reckon an hour of it from."
    takes, costs = _time(report.machine_hours_per_uploaded_hour), money(report.cost_per_uploaded_hour)
    and_costs = f", and costs {costs} where machines are on only while they work" if costs else ""
    return f"Media that came in: {_time(report.uploaded_hours)}. An hour of it takes {takes} of a machine{and_costs}."


def _ahead(report: CapacityReport) -> str:
    grown = "as much comes in as before" if report.growth == 1 else f"{report.growth:g} times as much comes in"
    machine = _time(report.machine_hours_ahead)
    media = f"{_time(report.uploaded_hours_ahead)} of media, and " if report.uploaded_hours_ahead else ""
    busy = f"Each machine is planned to be busy {report.load:.0%} of the time."
    return f"If {grown}, that is {media}{machine} of machine time. {busy}"


def _no_price(machines: Sequence[str]) -> str:
    named = ", ".join(machines[:_NAMED]) + (f" and {len(machines) - _NAMED} more" if len(machines) > _NAMED else "")
    return f"No price is set for: {named}. `--price {shlex.quote(f'{machines[0]}=0.10')}` sets one."


def _moment(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(" ", "minutes")


def _time(hours: float) -> str:
    return f"{hours:,.0f} h" if hours >= _MANY_HOURS else display.span(hours * 3600)
