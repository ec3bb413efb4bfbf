"""From figures to machines and money, by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mediajobs_dagster.capacity.planning import Assumptions, CapacityReport, EnoughFor, FleetSize, Measured, plan
from mediajobs_dagster.history.cohorts import LARGER, CohortSums, MachineTime, Measurements

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
H = 3_600_000.0
"""The milliseconds of an hour."""
LARGE = "c7i.large"
LANES = {"proxy": "heavy", "thumb": "light", "fetch": "network"}


def sums(job_name: str = "proxy", machine: str | None = LARGE, **changed: Any) -> CohortSums:
    whole = CohortSums(job_name, machine, 1080, 10, 1, 36_000.0, 4 * H, 0.5 * H, 7200.0, 300.0)
    return whole._replace(**changed)


def hours(*machine_hours: float, job_name: str = "proxy", machine: str | None = LARGE) -> list[MachineTime]:
    """The machine time in the first hour, the second, and so on."""
    return [
        MachineTime(job_name, machine, SINCE + number * HOUR, each * H)
        for number, each in enumerate(machine_hours)
        if each
    ]


def measured(
    found: list[CohortSums],
    by_hour: list[MachineTime],
    *,
    begins_h: float = 0,
    ends_h: float = 100,
    uploaded_h: float = 20,
) -> Measured:
    figures = Measurements(SINCE, found, by_hour, uploaded_h * 3600)
    return Measured(SINCE + begins_h * HOUR, SINCE + ends_h * HOUR, figures, LANES)


def machines(sizes: tuple[FleetSize, ...]) -> list[int]:
    """For the average, 95 of 100 hours, and the busiest."""
    assert [each.enough_for for each in sizes] == list(EnoughFor)
    return [each.machines for each in sizes]


def needed(by_hour: list[MachineTime], **of: Any) -> list[int]:
    """The machines of a fleet that may be busy all the time."""
    (fleet,) = plan(measured([sums()], by_hour, **of), Assumptions(load=1.0)).fleets
    return machines(fleet.sizes)


def test_an_hour_of_media_is_told_in_machine_time_and_money() -> None:
    report = plan(measured([sums()], hours(1, 2, 1)), Assumptions({LARGE: 0.5}))
    (cohort,) = report.cohorts
    assert (cohort.job_type, cohort.lane, cohort.instance_type, cohort.picture) == ("proxy", "heavy", LARGE, "1080p")
    assert (cohort.attempts, cohort.wasted_attempts, cohort.wasted_machine_hours) == (10, 1, 0.5)
    assert (cohort.media_hours, cohort.machine_hours, cohort.machine_hours_per_media_hour) == (10, 4, 0.4)
    assert (cohort.cost, cohort.cost_per_media_hour, cohort.cpu_hours, cohort.peak_memory_mb) == (2, 0.2, 2, 300)
    assert (report.machine_hours, report.machine_hours_per_uploaded_hour) == (4, 0.2)
    assert (report.cost, report.cost_per_uploaded_hour) == (2, 0.1)


def test_the_costliest_come_first_and_unknown_things_have_names() -> None:
    """A job type that is not installed any more counts as heavy."""
    small, none = sums("gone", None, machine_ms=H, picture=None), sums("thumb", machine_ms=2 * H, picture=LARGER)
    report = plan(measured([small, sums(), none], []), Assumptions())
    told = [(each.job_type, each.lane, each.picture) for each in report.cohorts]
    assert told == [("proxy", "heavy", "1080p"), ("thumb", "light", "larger"), ("gone", "heavy", None)]
    assert [(each.job_type, each.lane) for each in report.job_types] == [each[:2] for each in told]


def test_pictures_of_all_sizes_are_added_up_for_a_job_type_and_a_machine() -> None:
    found = [sums(), sums(picture=480, max_rss_mb=None), sums(picture=LARGER, max_rss_mb=400.0), sums(machine="other")]
    large, other = plan(measured(found, []), Assumptions({LARGE: 0.5})).job_types
    assert (large.instance_type, large.attempts, large.wasted_attempts, large.media_hours) == (LARGE, 30, 3, 30)
    assert (large.machine_hours, large.wasted_machine_hours, large.cpu_hours) == (12, 1.5, 6)
    assert (large.cost, large.cost_per_media_hour, large.peak_memory_mb) == (6, 0.2, 400)
    assert (other.instance_type, other.machine_hours, other.cost) == ("other", 4, None)


def test_without_media_or_price_there_is_no_figure_by_hour_or_money() -> None:
    """And what lacks a price is named."""
    found = [sums(media_seconds=0.0), sums(machine=None)]
    report = plan(measured(found, hours(4), uploaded_h=0), Assumptions({LARGE: 1.0}))
    assert report.cohorts[0].machine_hours_per_media_hour is report.cohorts[0].cost_per_media_hour is None
    assert report.machine_hours_per_uploaded_hour is report.cost_per_uploaded_hour is report.cost is None
    assert report.without_price == ("unknown",)
    assert {fleet.instance_type: fleet.price_per_hour for fleet in report.fleets} == {None: None, LARGE: 1.0}
    assert {each.cost for each in report.sizes} == {None}
    assert plan(measured([sums(machine=None)], hours(4, machine=None)), Assumptions({"unknown": 2.0})).cost == 8


def test_a_fleet_keeps_up_with_the_average_most_hours_or_the_busiest() -> None:
    """100 hours: in four of them five machines were busy, in six of them three, in the others none."""
    report = plan(measured([sums()], hours(*[5] * 4, *[3] * 6)), Assumptions({LARGE: 0.1}, load=1.0, days_ahead=10))
    (fleet,) = report.fleets
    assert machines(fleet.sizes) == [1, 3, 5]
    assert [each.cost for each in fleet.sizes] == pytest.approx([24.0, 72.0, 120.0])
    assert report.sizes == fleet.sizes


def test_fleets_do_the_work_together() -> None:
    """Each its part of it."""
    by_hour = [*hours(3), *hours(0, 2, machine="other")]
    prices = {LARGE: 1.0, "other": 2.0}
    report = plan(measured([sums(), sums(machine="other")], by_hour), Assumptions(prices, load=1.0, days_ahead=1))
    assert [machines(each.sizes) for each in report.fleets] == [[1, 1, 3], [1, 1, 2]]
    assert machines(report.sizes) == [2, 2, 5]
    assert [each.cost for each in report.sizes] == pytest.approx([72.0, 72.0, 72.0 + 96.0])


@pytest.mark.parametrize(
    ("load", "growth", "busiest"), [(1.0, 1.0, 4), (0.8, 1.0, 5), (0.8, 2.0, 10), (0.5, 0.1, 1), (0.1, 1.0, 40)]
)
def test_machines_follow_load_and_growth(load: float, growth: float, busiest: int) -> None:
    report = plan(measured([sums()], hours(4)), Assumptions(growth=growth, load=load))
    assert machines(report.sizes)[-1] == busiest


def test_there_is_a_machine_wherever_there_is_work() -> None:
    assert needed([]) == [1, 1, 1]


def test_a_sum_of_many_parts_takes_no_machine_more_by_its_last_digit() -> None:
    assert needed([MachineTime(f"type {number}", LARGE, SINCE, 0.1 * H) for number in range(30)]) == [1, 1, 3]


def test_lanes_share_a_machine() -> None:
    """Machines are needed for the lane that takes the most, hour by hour and in all; and none for what only waits."""
    by_hour = [*hours(3, 1), *hours(1, 2, job_name="thumb"), *hours(90, 90, job_name="fetch")]
    found = [sums(), sums("thumb", machine_ms=3 * H), sums("fetch", machine_ms=180 * H)]
    report = plan(measured(found, by_hour, ends_h=2), Assumptions(load=1.0))
    (fleet,) = report.fleets
    assert fleet.machine_hours_by_lane == {"heavy": 4, "light": 3, "network": 180}
    assert (fleet.machine_hours, report.machine_hours) == (4, 4)
    assert machines(fleet.sizes) == [2, 3, 3]


def test_a_part_of_an_hour_counts_as_what_it_is() -> None:
    """Ten minutes in which a machine was busy all the time take a whole machine, not a sixth of one."""
    assert needed(hours(0, 0.5), begins_h=0, ends_h=1.25) == [1, 2, 2]
    assert needed(hours(0.5, 0), begins_h=0.75, ends_h=2) == [1, 2, 2]
    assert needed(hours(0, 0.25), begins_h=1.25, ends_h=1.5) == [1, 1, 1]


def test_the_busiest_hour_takes_no_fewer_than_the_average() -> None:
    """The average is told for one lane, over all hours; most of them may be idle."""
    assert needed(hours(*[300], *[0] * 99)) == [3, 3, 300]


def test_what_is_ahead_is_what_was_times_growth() -> None:
    report = plan(measured([sums()], hours(4), ends_h=48), Assumptions(growth=1.5, days_ahead=30))
    assert report.uploaded_hours_ahead == pytest.approx(20 * 15 * 1.5)
    assert report.machine_hours_ahead == pytest.approx(4 * 15 * 1.5)
    assert (report.days_ahead, report.growth, report.load) == (30, 1.5, 0.8)


def test_an_empty_period_gives_an_empty_report() -> None:
    report = plan(measured([], [], uploaded_h=0), Assumptions())
    assert (report.cohorts, report.fleets, report.sizes, report.without_price) == ((), (), (), ())
    assert report.machine_hours == 0
    assert CapacityReport.model_validate(report.to_json()) == report
