"""What media takes of the machines, and how many of them the time ahead asks for, from what is on record."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from mediajobs_dagster.capacity.planning import Assumptions, CapacityReport, Measured, plan
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.spans import SPANS_S, start_of
from mediajobs_dagster.job_types.registry import Registry

LEAST_LOAD, MOST_GROWTH, MOST_DAYS = 0.01, 1000.0, 3660.0
_LOOKED_BACK = timedelta(days=30)
_FIRST = datetime(1971, 1, 1, tzinfo=UTC)


def capacity_of(
    history: History, registry: Registry, period: tuple[datetime | None, datetime | None], assumptions: Assumptions
) -> CapacityReport:
    """The report on a period, by default the last 30 days. Raises RequestError for what makes no sense."""
    _check(assumptions)
    if any(each is not None and each.tzinfo is None for each in period):
        raise RequestError("A moment needs a time zone, such as datetime(2026, 11, 1, tzinfo=UTC).")
    until = min(period[1] or history.now(), history.now())
    since = max(_FIRST, period[0] or max(until, _FIRST) - _LOOKED_BACK)
    if since >= until:
        raise RequestError("The period is empty: it has to begin before it ends, and in the past.")
    found = history.cohorts.measure(since, until)
    # Before the first upload or attempt nothing was measured: that is no time in which nothing was to be done.
    first = found.first_at and start_of(found.first_at, SPANS_S[0])
    lanes = {each.name: each.lane.value for each in registry}
    return plan(Measured(max(since, first or since), until, found, lanes), assumptions)


def _check(assumptions: Assumptions) -> None:
    if not LEAST_LOAD <= assumptions.load <= 1:
        raise RequestError(
            f"The load is a share of the time from {LEAST_LOAD:g} to 1: at 0.8, machines are busy four hours of five."
        )
    if not 0 < assumptions.growth <= MOST_GROWTH:
        raise RequestError(f"The growth is a number above 0, {MOST_GROWTH:,.0f} at most: 1.5 is half as much again.")
    if not 1 <= assumptions.days_ahead <= MOST_DAYS:
        raise RequestError(f"The days ahead are a number from 1 to {MOST_DAYS:,.0f}.")
    for machine, price in assumptions.prices.items():
        if not (math.isfinite(price) and price >= 0):
            raise RequestError(f"{price} is no price of an hour of {machine}.")
