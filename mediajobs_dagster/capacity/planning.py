"""From what attempts took to machines and money. Pure: figures in, figures out.

The model, in few words:

- An attempt takes its duration, divided by how many attempts at its job type the worker makes side by side, of one
  machine (`history/cohorts.py`): machine time.
- The lanes of a machine work side by side. So in an hour machines are needed for the lane that takes the most. Jobs of
  the lane `network` wait, and hardly use a machine: for them alone none is needed.
- A fleet is as large as the hours ask for that it shall keep up with: the average, 95 of 100, or the busiest one. A
  machine is planned to be busy only a part of the time (`load`), because work does not come evenly.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from pydantic import Field

from mediajobs_dagster.history.cohorts import LARGER, CohortSums, MachineTime, Measurements
from mediajobs_dagster.history.spans import SPANS_S, start_of
from mediajobs_dagster.models import Value

UNKNOWN = "unknown"
"""In prices: a machine whose type is not on record."""
_HOUR = timedelta(hours=1)
_HOUR_MS = 3_600_000
Row = TypeVar("Row", CohortSums, MachineTime)
_HEAVY, _NETWORK = "heavy", "network"
"""Lanes. A job type that is not installed any more counts as heavy."""


class EnoughFor(StrEnum):
    """What a fleet keeps up with."""

    AVERAGE = "average"
    """Work waits in busy hours, and is done in quiet ones."""
    MOST_HOURS = "mostHours"
    """95 of 100 hours, and the average."""
    BUSIEST = "busiest"
    """The busiest hour that there was."""

    @property
    def words(self) -> str:
        """What it keeps up with, for people."""
        return _HOURS[self]


_HOURS = {
    EnoughFor.AVERAGE: "the average hour",
    EnoughFor.MOST_HOURS: "95 of 100 hours",
    EnoughFor.BUSIEST: "the busiest hour",
}


class JobTypeCost(Value):
    """What attempts of one job type took on one type of machine."""

    job_type: str
    lane: str
    instance_type: str | None = Field(description="The type of the machine; null: not on record.")
    attempts: int
    wasted_attempts: int = Field(description="Those that failed, were lost or cancelled.")
    media_hours: float = Field(description="Hours of media of the successful ones.")
    machine_hours: float = Field(description="Of all of them: duration / attempts side by side.")
    wasted_machine_hours: float = Field(description="Of those that were wasted.")
    machine_hours_per_media_hour: float | None = Field(description="Null: there was no media.")
    cpu_hours: float = Field(description="CPU time of their commands.")
    peak_memory_mb: float | None = Field(description="The most memory that one command took, MiB.")
    cost: float | None = Field(description="Machine hours × price; null: no price is set.")
    cost_per_media_hour: float | None


class CohortCost(JobTypeCost):
    """The same of those that cost alike, because their pictures are of one size."""

    picture: str | None = Field(
        description="By the short edge of the input: `480p` for up to 480 pixels, and so on; `larger`; null: none."
    )


class FleetSize(Value):
    """How many machines keep up, and with what."""

    enough_for: EnoughFor
    machines: int
    cost: float | None = Field(description="Of that many machines, on all the time ahead; null: no price is set.")


class Fleet(Value):
    """Machines of one type, for the part of the work that such machines did."""

    instance_type: str | None
    price_per_hour: float | None
    machine_hours: float = Field(description="In the period, of its busiest lane; `network` is left out.")
    machine_hours_by_lane: dict[str, float]
    sizes: tuple[FleetSize, ...] = Field(description="For the time ahead.")


class CapacityReport(Value):
    """What media took, and what the time ahead asks for."""

    since: datetime = Field(description="As asked; or the full hour of the first upload or attempt, if that is later.")
    until: datetime
    hours: float = Field(description="How long that is.")
    uploaded_hours: float = Field(description="Hours of media that came in, and are still there.")
    machine_hours: float = Field(description="Of all fleets.")
    machine_hours_per_uploaded_hour: float | None = Field(description="Null: nothing came in.")
    cost: float | None = Field(description="Of these machine hours, as if machines were on only while they work.")
    cost_per_uploaded_hour: float | None = Field(description="The same for an hour of media.")
    days_ahead: float
    growth: float = Field(description="How much more comes in, in the time ahead; 1: as much as in the period.")
    load: float = Field(description="Share of the time that a machine is planned to be busy.")
    uploaded_hours_ahead: float
    machine_hours_ahead: float
    job_types: tuple[JobTypeCost, ...] = Field(description="The most machine hours first.")
    cohorts: tuple[CohortCost, ...] = Field(description="The most machine hours first.")
    fleets: tuple[Fleet, ...] = Field(description="All of them together do the work.")
    sizes: tuple[FleetSize, ...] = Field(description="Of all fleets together.")
    without_price: tuple[str, ...] = Field(description=f"Machines without a price; `{UNKNOWN}`: of no type on record.")


@dataclass(frozen=True)
class Assumptions:
    """What a plan is made with."""

    prices: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of a machine an hour, by its type or `UNKNOWN`."""
    growth: float = 1.0
    load: float = 0.8
    days_ahead: float = 30.0

    def price_of(self, instance_type: str | None) -> float | None:
        """Of an hour of such a machine; None: it is not set."""
        return self.prices.get(instance_type or UNKNOWN)


@dataclass(frozen=True)
class Measured:
    """What was measured in a period, which is not empty."""

    since: datetime
    until: datetime
    found: Measurements
    lanes: Mapping[str, str]
    """Of job types, by their names."""

    @property
    def hours(self) -> float:
        """How long the period is."""
        return (self.until - self.since) / _HOUR

    def lane_of(self, job_name: str) -> str:
        """The lane of a job type."""
        return self.lanes.get(job_name, _HEAVY)


def plan(measured: Measured, assumptions: Assumptions) -> CapacityReport:
    """The report on a period."""
    found = measured.found
    by_hour = _by_machine(found.by_hour)
    fleets = tuple(
        _fleet(measured, assumptions, machine, sums, by_hour.get(machine, ()))
        for machine, sums in _by_machine(found.sums).items()
    )
    uploaded, total = found.uploaded_seconds / 3600, sum(each.machine_hours for each in fleets)
    cost = _sum(_times(each.machine_hours, each.price_per_hour) for each in fleets)
    ahead = assumptions.growth * assumptions.days_ahead * 24 / measured.hours
    return CapacityReport(
        since=measured.since,
        until=measured.until,
        hours=measured.hours,
        uploaded_hours=uploaded,
        machine_hours=total,
        machine_hours_per_uploaded_hour=_per(total, uploaded),
        cost=cost,
        cost_per_uploaded_hour=_per(cost, uploaded),
        days_ahead=assumptions.days_ahead,
        growth=assumptions.growth,
        load=assumptions.load,
        uploaded_hours_ahead=uploaded * ahead,
        machine_hours_ahead=total * ahead,
        job_types=tuple(_job_type(measured, assumptions, each) for each in _costliest(_by_job_type(found.sums))),
        cohorts=tuple(_cohort(measured, assumptions, each) for each in _costliest(found.sums)),
        fleets=fleets,
        sizes=_together(fleets),
        without_price=tuple(each.instance_type or UNKNOWN for each in fleets if each.price_per_hour is None),
    )


# --- what it took ----------------------------------------------------------------------------------------------------


def _by_job_type(sums: Iterable[CohortSums]) -> Iterable[CohortSums]:
    found: dict[tuple[str, str | None], CohortSums] = {}
    for each in sums:
        key = each.job_name, each.instance_type
        found[key] = found[key].plus(each) if key in found else each
    return found.values()


def _costliest(sums: Iterable[CohortSums]) -> list[CohortSums]:
    return sorted(sums, key=lambda each: -each.machine_ms)


def _job_type(measured: Measured, assumptions: Assumptions, sums: CohortSums) -> JobTypeCost:
    media_hours, machine_hours = sums.media_seconds / 3600, sums.machine_ms / _HOUR_MS
    cost = _times(machine_hours, assumptions.price_of(sums.instance_type))
    return JobTypeCost(
        job_type=sums.job_name,
        lane=measured.lane_of(sums.job_name),
        instance_type=sums.instance_type,
        attempts=sums.attempts,
        wasted_attempts=sums.wasted,
        media_hours=media_hours,
        machine_hours=machine_hours,
        wasted_machine_hours=sums.wasted_ms / _HOUR_MS,
        machine_hours_per_media_hour=_per(machine_hours, media_hours),
        cpu_hours=sums.cpu_seconds / 3600,
        peak_memory_mb=sums.max_rss_mb,
        cost=cost,
        cost_per_media_hour=_per(cost, media_hours),
    )


def _cohort(measured: Measured, assumptions: Assumptions, sums: CohortSums) -> CohortCost:
    picture = "larger" if sums.picture == LARGER else f"{sums.picture}p" if sums.picture else None
    return CohortCost(**dict(_job_type(measured, assumptions, sums)), picture=picture)


# --- machines --------------------------------------------------------------------------------------------------------


def _by_machine(rows: Iterable[Row]) -> dict[str | None, list[Row]]:
    found: dict[str | None, list[Row]] = {}
    for each in sorted(rows, key=lambda each: each.instance_type or ""):
        found.setdefault(each.instance_type, []).append(each)
    return found


def _fleet(
    measured: Measured,
    assumptions: Assumptions,
    instance_type: str | None,
    sums: Sequence[CohortSums],
    by_hour: Sequence[MachineTime],
) -> Fleet:
    by_lane: defaultdict[str, float] = defaultdict(float)
    for each in sums:
        by_lane[measured.lane_of(each.job_name)] += each.machine_ms / _HOUR_MS
    price = assumptions.price_of(instance_type)
    needed = _needed(measured, by_hour)
    return Fleet(
        instance_type=instance_type,
        price_per_hour=price,
        machine_hours=max((total for lane, total in by_lane.items() if lane != _NETWORK), default=0.0),
        machine_hours_by_lane=dict(sorted(by_lane.items())),
        sizes=tuple(_size(enough_for, each, assumptions, price) for enough_for, each in needed.items()),
    )


def _needed(measured: Measured, by_hour: Iterable[MachineTime]) -> dict[EnoughFor, float]:
    """How many machines were busy in the average hour, in 95 of 100, and in the busiest."""
    hours: defaultdict[datetime, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    total: defaultdict[str, float] = defaultdict(float)
    for each in by_hour:
        if (lane := measured.lane_of(each.job_name)) != _NETWORK:
            hours[each.hour][lane] += each.machine_ms
            total[lane] += each.machine_ms
    first = start_of(measured.since, SPANS_S[0])
    busy: list[float] = []
    for number in range(math.ceil((measured.until - first) / _HOUR)):
        hour = first + number * _HOUR
        lasts = min(hour + _HOUR, measured.until) - max(hour, measured.since)  # the first and the last may be cut
        busy.append(max(hours[hour].values(), default=0.0) / (lasts / _HOUR) / _HOUR_MS)
    average = max(total.values(), default=0.0) / _HOUR_MS / measured.hours
    most = sorted(busy)[math.ceil(0.95 * len(busy)) - 1]
    return {
        EnoughFor.AVERAGE: average,
        EnoughFor.MOST_HOURS: max(average, most),
        EnoughFor.BUSIEST: max(average, *busy),
    }


def _size(enough_for: EnoughFor, needed: float, assumptions: Assumptions, price: float | None) -> FleetSize:
    # What is needed is a sum of many parts: a whole number of machines must not become one more by its last digit.
    machines = max(1, math.ceil(round(needed * assumptions.growth / assumptions.load, 9)))
    cost = _times(machines * assumptions.days_ahead * 24, price)
    return FleetSize(enough_for=enough_for, machines=machines, cost=cost)


def _together(fleets: Sequence[Fleet]) -> tuple[FleetSize, ...]:
    return tuple(
        FleetSize(
            enough_for=sizes[0].enough_for,
            machines=sum(each.machines for each in sizes),
            cost=_sum(each.cost for each in sizes),
        )
        for sizes in zip(*(fleet.sizes for fleet in fleets), strict=True)
    )


def _sum(amounts: Iterable[float | None]) -> float | None:
    """The sum; None if one of them is not known."""
    known = list(amounts)
    return None if None in known else sum(each for each in known if each is not None)


def _times(amount: float, price: float | None) -> float | None:
    return None if price is None else amount * price


def _per(amount: float | None, hours: float) -> float | None:
    return amount / hours if amount is not None and hours else None
