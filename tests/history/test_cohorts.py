"""What attempts took of the machines, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mediajobs_dagster.history import History
from mediajobs_dagster.history.cohorts import LARGER, CohortSums, MachineTime
from mediajobs_dagster.models import AttemptStatus, JobStatus, UploadRole
from tests.history.factories import NOON, a_media_info, a_new_job, an_attempt, an_upload, claimed, ended

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
AT_TWELVE = NOON.replace(minute=0, second=0, microsecond=0)
PERIOD = AT_TWELVE - HOUR, AT_TWELVE + 24 * HOUR
PROXY = {"job_name": "proxy", "instance_type": "c7i.large", "width": 1920, "height": 1080}
MINUTE_MS = 60_000


def record(history: History, **changed: Any) -> None:
    history.attempts.record(an_attempt(**{**PROXY, **changed}))


def test_attempts_that_cost_alike_are_added_up(history: History) -> None:
    """Their machine time is their duration, shared by as many as the machine makes side by side."""
    good = {"media_seconds": 60.0, "cpu_seconds": 1.5}
    record(history, **good, duration_ms=4000, side_by_side=1, max_rss_mb=100.0)
    record(history, **good, duration_ms=4000, side_by_side=4, max_rss_mb=250.5)
    record(history, **good, duration_ms=3000, side_by_side=2, status=AttemptStatus.FAILURE, error_code="STALLED")
    record(history, **good, duration_ms=10, side_by_side=None, status=AttemptStatus.SKIPPED)
    record(history, **good, duration_ms=20, side_by_side=0, status=AttemptStatus.SKIPPED)
    (found,) = history.cohorts.measure(*PERIOD).sums
    assert found == CohortSums(
        job_name="proxy",
        instance_type="c7i.large",
        picture=1080,
        attempts=5,
        wasted=1,
        media_seconds=120.0,
        machine_ms=4000 + 1000 + 1500 + 10 + 20,
        wasted_ms=1500,
        cpu_seconds=7.5,
        max_rss_mb=250.5,
    )


def test_sums_are_added_up_with_the_larger_peak() -> None:
    one = CohortSums("proxy", None, 480, 2, 1, 10.0, 20.0, 5.0, 1.0, None)
    other = CohortSums("proxy", None, 1080, 3, 0, 1.0, 2.0, 0.5, 0.25, 7.0)
    assert one.plus(other) == CohortSums("proxy", None, 480, 5, 1, 11.0, 22.0, 5.5, 1.25, 7.0)
    assert one.plus(one).max_rss_mb is None


def test_each_kind_of_job_machine_and_picture_is_by_itself(history: History) -> None:
    """A picture counts by its short edge, whichever way it is turned."""
    sizes = [(1920, 1080), (1080, 1920), (1920, 800), (640, 360), (3840, 2160), (7680, 4320), (2561, 1441), (480, 480)]
    for width, height in sizes:
        record(history, width=width, height=height)
    for changed in ({"job_name": "thumb"}, {"width": None, "height": None}, {"width": None}, {"height": None}):
        record(history, **changed)
    for none in (None, ""):
        record(history, instance_type=none)
    sums = history.cohorts.measure(*PERIOD).sums
    assert {(each.job_name, each.instance_type, each.picture): each.attempts for each in sums} == {
        ("proxy", "c7i.large", 480): 2,
        ("proxy", "c7i.large", 1080): 3,
        ("proxy", "c7i.large", 2160): 2,
        ("proxy", "c7i.large", LARGER): 1,
        ("proxy", "c7i.large", None): 3,
        ("proxy", None, 1080): 2,
        ("thumb", "c7i.large", 1080): 1,
    }


def test_only_what_has_ended_and_began_in_the_period_counts(history: History) -> None:
    """The begin belongs to it, the end does not. Of an attempt that never ran there is no duration."""
    claimed(history, now=NOON)
    record(history, status=AttemptStatus.SKIPPED, duration_ms=None)
    record(history, duration_ms=-5)
    nothing = history.cohorts.measure(*PERIOD)
    assert (nothing.first_at, list(nothing.sums), list(nothing.by_hour)) == (None, [], [])
    for moment in (PERIOD[0], NOON, PERIOD[1], PERIOD[0] - timedelta(microseconds=1)):
        record(history, created_at=moment)
    found = history.cohorts.measure(*PERIOD)
    assert found.first_at == PERIOD[0]
    assert sum(each.attempts for each in found.sums) == 2
    assert sum(each.machine_ms for each in found.by_hour) == 200


def hours(history: History) -> dict[float, float]:
    """In which hour after twelve, how many minutes of one machine."""
    found = history.cohorts.measure(*PERIOD).by_hour
    assert {each[:2] for each in found} <= {("proxy", "c7i.large")}
    return {(each.hour - AT_TWELVE) / HOUR: each.machine_ms / MINUTE_MS for each in found}


@pytest.mark.parametrize(
    ("begins", "minutes", "found"),
    [
        (0, 10, {0: 10}),
        (50, 10, {0: 10}),
        (50, 11, {0: 10, 1: 1}),
        (0, 60, {0: 60}),
        (30, 60, {0: 30, 1: 30}),
        (30, 61, {0: 30, 1: 31}),
        (0, 61, {0: 60, 1: 1}),
        (45, 135, {0: 15, 1: 60, 2: 60}),
        (23 * 60 + 50, 30, {23: 10}),
        (22 * 60 + 30, 600, {22: 30, 23: 60}),
        (30, 10**9, {0: 30, **dict.fromkeys(range(1, 24), 60)}),
    ],
)
def test_an_attempt_counts_in_each_hour_in_which_it_was_under_way(
    history: History, begins: int, minutes: int, found: dict[int, int]
) -> None:
    """For the part of it; until the end of the period."""
    record(history, created_at=AT_TWELVE + begins * MINUTE, duration_ms=minutes * MINUTE_MS)
    assert hours(history) == pytest.approx(found)


def test_attempts_of_an_hour_are_added_up(history: History) -> None:
    for side_by_side in (1, 2, 4):
        record(history, created_at=AT_TWELVE + 50 * MINUTE, duration_ms=20 * MINUTE_MS, side_by_side=side_by_side)
        record(history, created_at=AT_TWELVE + 50 * MINUTE, duration_ms=70 * MINUTE_MS, side_by_side=side_by_side)
    assert hours(history) == pytest.approx({0: 20 * 1.75, 1: 70 * 1.75})


def test_the_last_moment_of_an_hour_belongs_to_it(history: History) -> None:
    """No database may round it into the next."""
    record(history, created_at=AT_TWELVE + HOUR - timedelta(milliseconds=300), duration_ms=100)
    assert list(hours(history)) == [0]


def test_what_came_in_is_counted_without_what_was_made(history: History) -> None:
    """And the first of it is where something began."""
    assert history.cohorts.measure(*PERIOD).uploaded_seconds == 0
    came = [(UploadRole.SOURCE, NOON), (UploadRole.SOURCE, PERIOD[1]), (UploadRole.EXPORT, PERIOD[0])]
    for number, (role, moment) in enumerate([*came, (UploadRole.SOURCE, NOON + MINUTE)]):
        upload = history.uploads.add(an_upload(role=role, created_at=moment, origin=f"file:///{number}"))
        history.uploads.set_media_info(upload.id, a_media_info(10.5))
    history.uploads.add(an_upload(origin="file:///never-probed", created_at=NOON))
    record(history, created_at=NOON + MINUTE)
    found = history.cohorts.measure(*PERIOD)
    assert (found.uploaded_seconds, found.first_at) == (21.0, NOON)


def test_of_a_lost_attempt_the_machine_is_on_record(history: History) -> None:
    """Its worker can tell nothing any more; the claim has told it."""
    (enqueued,) = history.jobs.enqueue([a_new_job()], dispatch_id="run", lease_s=60)
    claim = history.leases.claim("run", run_id=None, host="here", lease_s=60, instance_type="c7i.large", side_by_side=4)
    assert claim is not None
    assert claim.job.id == enqueued.job.id
    history.leases.finish(ended(claim, AttemptStatus.LOST, duration_ms=4000), job_status=JobStatus.DEAD)
    now = history.now()
    found = history.cohorts.measure(now - HOUR, now + HOUR)
    assert [(each.instance_type, each.machine_ms, each.wasted) for each in found.sums] == [("c7i.large", 1000, 1)]
    assert isinstance(found.by_hour[0], MachineTime)
