"""From what attempts took to machines and money. Pure: figures in, figures out.

The model, in few words:

- An attempt takes its duration, divided by how many attempts at its job type the worker makes side by side, of one
  machine (`history/cohorts.py`): machine time.
- The lanes of a machine work side by side. So in an hour machines are needed for the lane that takes the most.
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
from functools import partial
from typing import Any

from pydantic import Field

from mediajobs_dagster.history.cohorts import LARGER, CohortSums, MachineTime, added
from mediajobs_dagster.models import Value

UNKNOWN = "unknown"
"""In prices: a machine whose type is not on record."""
_HOUR = timedelta(hours=1)
_MS = 3_600_000
"""Milliseconds of an hour."""
_HEAVY = "heavy"
"""The lane of a job type that is not installed any more."""


class EnoughFor(StrEnum):
    """What a fleet keeps up with."""

    AVERAGE = "average"
    """Work waits in busy hours, and is done in quiet ones."""
    MOST_HOURS = "mostHours"
    """95 of 100 hours."""
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
    """Machines of one type."""

    instance_type: str | None
    price_per_hour: float | None
    machine_hours: float = Field(description="In the period, of its busiest lane.")
    machine_hours_by_lane: dict[str, float]
    sizes: tuple[FleetSize, ...] = Field(description="For the time ahead.")


class CapacityReport(Value):
    """What media took, and what the time ahead asks for."""

    since: datetime = Field(description="The full hour in which the first attempt of the period began.")
    until: datetime
    hours: float = Field(description="How long that is.")
    uploaded_hours: float = Field(description="Hours of media that came in, and are still there.")
    machine_hours: float = Field(description="Of all fleets.")
    machine_hours_per_uploaded_hour: float | None = Field(description="Null: nothing came in.")
    cost: float | None = Field(description="Of these machine hours; null: a price is missing.")
    cost_per_uploaded_hour: float | None
    days_ahead: float
    growth: float = Field(description="How much more comes in, in the time ahead; 1: as much as in the period.")
    load: float = Field(description="Share of the time that a machine is planned to be busy.")
    uploaded_hours_ahead: float
    machine_hours_ahead: float
    job_types: tuple[JobTypeCost, ...] = Field(description="The most machine hours first.")
    cohorts: tuple[CohortCost, ...] = Field(description="The most machine hours first.")
    fleets: tuple[Fleet, ...]
    without_price: tuple[str, ...] = Field(
        description=f"Types of machines without a price; `{UNKNOWN}`: not on record."
    )


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
    """What was measured in a period of whole hours, but for the last."""

    since: datetime
    until: datetime
    sums: Sequence[CohortSums]
    by_hour: Sequence[MachineTime]
    uploaded_seconds: float
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
    machines = sorted({each.instance_type for each in measured.sums}, key=lambda name: name or "")
    fleets = tuple(_fleet(measured, assumptions, machine) for machine in machines)
    figures_of = partial(_figures_of, measured, assumptions)
    uploaded = measured.uploaded_seconds / 3600
    total = sum(each.machine_hours for each in fleets)
    costs = [_times(each.machine_hours, each.price_per_hour) for each in fleets]
    cost = sum(each for each in costs if each is not None) if None not in costs else None
    ahead = assumptions.growth * assumptions.days_ahead * 24 / measured.hours if measured.hours else 0.0
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
        job_types=tuple(JobTypeCost(**figures_of(each)) for each in _costliest(_by_job_type(measured.sums))),
        cohorts=tuple(
            CohortCost(**figures_of(each), picture=_name_of(each.picture)) for each in _costliest(measured.sums)
        ),
        fleets=fleets,
        without_price=tuple(each or UNKNOWN for each in machines if assumptions.price_of(each) is None),
    )


def _by_job_type(sums: Iterable[CohortSums]) -> Iterable[CohortSums]:
    found: dict[tuple[str, str | None], CohortSums] = {}
    for each in sums:
        key = each.job_name, each.instance_type
        found[key] = added(found[key], each) if key in found else each
    return found.values()


def _costliest(sums: Iterable[CohortSums]) -> list[CohortSums]:
    return sorted(sums, key=lambda each: -each.machine_ms)


def _figures_of(measured: Measured, assumptions: Assumptions, sums: CohortSums) -> dict[str, Any]:
    media_hours, machine_hours = sums.media_seconds / 3600, sums.machine_ms / _MS
    cost = _times(machine_hours, assumptions.price_of(sums.instance_type))
    return {
        "job_type": sums.job_name,
        "lane": measured.lane_of(sums.job_name),
        "instance_type": sums.instance_type,
        "attempts": sums.attempts,
        "wasted_attempts": sums.wasted,
        "media_hours": media_hours,
        "machine_hours": machine_hours,
        "wasted_machine_hours": sums.wasted_ms / _MS,
        "machine_hours_per_media_hour": _per(machine_hours, media_hours),
        "cpu_hours": sums.cpu_seconds / 3600,
        "peak_memory_mb": sums.max_rss_mb,
        "cost": cost,
        "cost_per_media_hour": _per(cost, media_hours),
    }


def _fleet(measured: Measured, assumptions: Assumptions, instance_type: str | None) -> Fleet:
    own = [each for each in measured.by_hour if each.instance_type == instance_type]
    lanes = sorted({measured.lane_of(each.job_name) for each in own})
    by_lane = {lane: sum(each.machine_ms for each in own if measured.lane_of(each.job_name) == lane) for lane in lanes}
    price, busiest_lane = assumptions.price_of(instance_type), max(by_lane.values(), default=0.0)
    needed = {
        EnoughFor.AVERAGE: busiest_lane / _MS / measured.hours if measured.hours else 0.0,
        **_needed(_spread(own, measured), measured),
    }
    return Fleet(
        instance_type=instance_type,
        price_per_hour=price,
        machine_hours=busiest_lane / _MS,
        machine_hours_by_lane={lane: total / _MS for lane, total in by_lane.items()},
        sizes=tuple(_size(enough_for, each, assumptions, price) for enough_for, each in needed.items()),
    )


def _needed(by_hour: Mapping[datetime, float], measured: Measured) -> dict[EnoughFor, float]:
    # Hours without any work count too.
    total = max(1, math.ceil(measured.hours))
    hours = [*[0.0] * max(0, total - len(by_hour)), *sorted(by_hour.values())]
    return {EnoughFor.MOST_HOURS: hours[math.ceil(0.95 * len(hours)) - 1], EnoughFor.BUSIEST: hours[-1]}


def _spread(own: Iterable[MachineTime], measured: Measured) -> dict[datetime, float]:
    """Machines that were busy in each hour, in the lane that took the most of them."""
    found: defaultdict[datetime, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for each in own:
        lane, share = measured.lane_of(each.job_name), each.machine_ms / _MS
        # One that took several hours is spread over them, from the hour in which it began.
        parts = max(1, math.ceil(each.duration_ms / _MS))
        for part in range(parts):
            found[each.hour + part * _HOUR][lane] += share / parts
    return {hour: max(by_lane.values()) for hour, by_lane in found.items() if hour < measured.until}


def _size(enough_for: EnoughFor, needed: float, assumptions: Assumptions, price: float | None) -> FleetSize:
    # What is needed is a sum of many parts: a whole number of machines must not become one more by its last digit.
    machines = max(1, math.ceil(round(needed * assumptions.growth / assumptions.load, 9)))
    cost = _times(machines * assumptions.days_ahead * 24, price)
    return FleetSize(enough_for=enough_for, machines=machines, cost=cost)


def _name_of(picture: int | None) -> str | None:
    if picture is None:
        return None
    return "larger" if picture == LARGER else f"{picture}p"


def _times(amount: float, price: float | None) -> float | None:
    return None if price is None else amount * price


def _per(amount: float | None, hours: float) -> float | None:
    return amount / hours if amount is not None and hours else None
