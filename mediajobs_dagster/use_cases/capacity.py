"""What media takes of the machines, and how many of them the time ahead asks for, from what is on record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

from mediajobs_dagster.capacity.planning import Assumptions, CapacityReport, Measured, plan
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.spans import SPANS_S, start_of
from mediajobs_dagster.job_types.registry import Registry

_LOOKED_BACK = timedelta(days=30)
_MOST_GROWTH, _MOST_DAYS = 1000.0, 3660.0


def capacity_of(
    history: History, registry: Registry, period: tuple[datetime | None, datetime | None], assumptions: Assumptions
) -> CapacityReport:
    """The report on a period, by default the last 30 days. Raises RequestError for what makes no sense."""
    _check(assumptions)
    until = min(period[1] or history.now(), history.now())
    since = period[0] or until - _LOOKED_BACK
    if since >= until:
        raise RequestError("The period is empty: it has to begin before it ends, and in the past.")
    first = history.cohorts.first_at(since, until)
    # Before the first attempt nothing was measured: that is no time in which nothing was to be done.
    since = max(since, start_of(first, SPANS_S[0])) if first else since
    measured = Measured(
        since,
        until,
        history.cohorts.sums(since, until),
        history.cohorts.by_hour(since, until),
        history.cohorts.uploaded_seconds(since, until),
        {each.name: each.lane.value for each in registry},
    )
    return plan(measured, assumptions)


def _check(assumptions: Assumptions) -> None:
    if not 0 < assumptions.load <= 1:
        raise RequestError("The load is a share of the time above 0, 1 at most: 0.8 is four hours of five.")
    if not 0 < assumptions.growth <= _MOST_GROWTH:
        raise RequestError(f"The growth is a number above 0, {_MOST_GROWTH:,.0f} at most: 1.5 is half as much again.")
    if not 0 < assumptions.days_ahead <= _MOST_DAYS:
        raise RequestError(f"The days ahead are a number above 0, {_MOST_DAYS:,.0f} at most.")
    _check_prices(assumptions.prices)


def _check_prices(prices: Mapping[str, float]) -> None:
    for machine, price in prices.items():
        if not (math.isfinite(price) and price >= 0):
            raise RequestError(f"{price} is no price of an hour of {machine}.")
