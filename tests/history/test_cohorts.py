"""What attempts took of the machines, on both databases."""

from __future__ import annotations

from datetime import timedelta

from mediajobs_dagster.history import History
from mediajobs_dagster.history.cohorts import LARGER, CohortSums, MachineTime
from mediajobs_dagster.models import AttemptStatus, UploadRole
from tests.history.factories import NOON, a_media_info, an_attempt, an_upload, claimed

HOUR = timedelta(hours=1)
HOURLY = NOON.replace(minute=0, second=0, microsecond=0)
PERIOD = NOON - HOUR, NOON + 24 * HOUR
PROXY = {"job_name": "proxy", "instance_type": "c7i.large", "width": 1920, "height": 1080}


def test_attempts_that_cost_alike_are_added_up(history: History) -> None:
    """Their machine time is their duration, shared by as many as the machine makes side by side."""
    good = {**PROXY, "media_seconds": 60.0, "cpu_seconds": 1.5}
    history.attempts.record(an_attempt(**good, duration_ms=4000, side_by_side=1, max_rss_mb=100.0))
    history.attempts.record(an_attempt(**good, duration_ms=4000, side_by_side=4, max_rss_mb=250.5))
    failed = {"status": AttemptStatus.FAILURE, "error_code": "STALLED"}
    history.attempts.record(an_attempt(**{**good, **failed}, duration_ms=3000, side_by_side=2))
    history.attempts.record(an_attempt(**{**good, "status": AttemptStatus.SKIPPED}, duration_ms=10, side_by_side=None))
    (found,) = history.cohorts.sums(*PERIOD)
    assert found == CohortSums(
        job_name="proxy",
        instance_type="c7i.large",
        picture=1080,
        attempts=4,
        wasted=1,
        media_seconds=120.0,
        machine_ms=4000 + 1000 + 1500 + 10,
        wasted_ms=1500,
        cpu_seconds=6.0,
        max_rss_mb=250.5,
    )


def test_each_kind_of_job_machine_and_picture_is_by_itself(history: History) -> None:
    """A picture counts by its short edge, whichever way it is turned."""
    sizes = [(1920, 1080), (1080, 1920), (1920, 800), (640, 360), (3840, 2160), (7680, 4320), (2561, 1441), (480, 480)]
    for width, height in sizes:
        history.attempts.record(an_attempt(**{**PROXY, "width": width, "height": height}))
    for changed in ({"job_name": "thumb"}, {"instance_type": None}, {"width": None, "height": None}):
        history.attempts.record(an_attempt(**{**PROXY, **changed}))
    found = {(each.job_name, each.instance_type, each.picture): each.attempts for each in history.cohorts.sums(*PERIOD)}
    assert found == {
        ("proxy", "c7i.large", 480): 2,
        ("proxy", "c7i.large", 1080): 3,
        ("proxy", "c7i.large", 2160): 2,
        ("proxy", "c7i.large", LARGER): 1,
        ("proxy", "c7i.large", None): 1,
        ("proxy", None, 1080): 1,
        ("thumb", "c7i.large", 1080): 1,
    }


def test_only_what_has_ended_in_the_period_counts(history: History) -> None:
    """The begin belongs to it, the end does not; of an attempt that never ran there is no duration."""
    claimed(history, now=NOON)
    history.attempts.record(an_attempt(status=AttemptStatus.SKIPPED, duration_ms=None))
    assert history.cohorts.first_at(*PERIOD) is None
    assert list(history.cohorts.sums(*PERIOD)) == list(history.cohorts.by_hour(*PERIOD)) == []
    for moment in (PERIOD[0], NOON, PERIOD[1], PERIOD[0] - timedelta(microseconds=1)):
        history.attempts.record(an_attempt(created_at=moment))
    assert history.cohorts.first_at(*PERIOD) == PERIOD[0]
    assert sum(each.attempts for each in history.cohorts.sums(*PERIOD)) == 2
    assert sum(each.machine_ms for each in history.cohorts.by_hour(*PERIOD)) == 200


def test_machine_time_is_told_by_the_hour(history: History) -> None:
    """One that took longer than an hour stands by itself, so that it can be spread over its hours."""
    for moment, duration_ms in ((NOON, 1000), (NOON + timedelta(minutes=59), 500), (NOON + HOUR, 3_600_000)):
        history.attempts.record(an_attempt(**PROXY, created_at=moment, duration_ms=duration_ms, side_by_side=2))
    for _ in range(2):
        history.attempts.record(an_attempt(**PROXY, created_at=NOON, duration_ms=3_600_001, side_by_side=1))
    found = sorted(history.cohorts.by_hour(*PERIOD), key=lambda each: (each.hour, each.duration_ms))
    assert found == [
        MachineTime("proxy", "c7i.large", HOURLY, 0, 750.0),
        MachineTime("proxy", "c7i.large", HOURLY, 3_600_001, 3_600_001.0),
        MachineTime("proxy", "c7i.large", HOURLY, 3_600_001, 3_600_001.0),
        MachineTime("proxy", "c7i.large", HOURLY + HOUR, 0, 1_800_000.0),
    ]


def test_what_came_in_is_counted_without_what_was_made(history: History) -> None:
    assert history.cohorts.uploaded_seconds(*PERIOD) == 0
    for number, (role, moment) in enumerate(
        [
            (UploadRole.SOURCE, NOON),
            (UploadRole.SOURCE, PERIOD[1]),
            (UploadRole.EXPORT, NOON),
            (UploadRole.SOURCE, NOON),
        ]
    ):
        upload = history.uploads.add(an_upload(role=role, created_at=moment, origin=f"file:///{number}"))
        history.uploads.set_media_info(upload.id, a_media_info(10.5))
    history.uploads.add(an_upload(origin="file:///never-probed"))
    assert history.cohorts.uploaded_seconds(*PERIOD) == 21.0
