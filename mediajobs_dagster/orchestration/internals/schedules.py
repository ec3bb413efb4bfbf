"""The moments of a cron as Dagster works them out, across daylight saving."""

from __future__ import annotations

from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)
from dagster._utils.schedules import schedule_execution_time_iterator

__all__ = [
    "InstigatorState",  # a schedule as it was switched
    "InstigatorStatus",  # whether that is on
    "InstigatorType",  # to ask for the states of schedules, and not of sensors
    "ScheduleInstigatorData",  # since when a schedule is on
    "schedule_execution_time_iterator",  # the moments of a cron from some moment on, or backwards
]
