"""Which period is measured, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.system import MediaJobs
from tests.history.factories import a_media_info, an_attempt, an_upload
from tests.platform import Platform

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def media(platform: Platform) -> MediaJobs:
    return platform.media


def work(media: MediaJobs, at: datetime, **changed: Any) -> None:
    values = {"job_name": EditProxy.name, "instance_type": "c7i.large", "duration_ms": 3_600_000, "created_at": at}
    media.history.attempts.record(an_attempt(**{**values, **changed}))


def upload(media: MediaJobs, at: datetime) -> None:
    found = media.history.uploads.add(an_upload(created_at=at, origin=f"file:///{at}"))
    media.history.uploads.set_media_info(found.id, a_media_info(3600))


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def test_the_period_is_the_last_month_from_where_something_began(media: MediaJobs) -> None:
    now = media.history.now()
    empty = media.capacity()
    assert empty.since == empty.until - 30 * DAY
    assert now <= empty.until <= now + HOUR
    work(media, now - 10 * DAY)
    assert media.capacity().since == hour_of(now - 10 * DAY)
    work(media, now - 31 * DAY)
    assert media.capacity().since == hour_of(now - 10 * DAY)
    work(media, now - 29 * DAY - 23 * HOUR)
    assert media.capacity().since == max(hour_of(now - 29 * DAY - 23 * HOUR), now - 30 * DAY)


def test_media_that_came_in_before_its_first_attempt_counts(media: MediaJobs) -> None:
    """It may have been added in the hour before."""
    now = media.history.now()
    upload(media, now - 5 * HOUR)
    work(media, now - 3 * HOUR)
    report = media.capacity()
    assert report.since == hour_of(now - 5 * HOUR)
    assert report.uploaded_hours == 1
    assert report.machine_hours_per_uploaded_hour == 1


def test_a_period_that_was_asked_for_is_taken(media: MediaJobs) -> None:
    """As far as it lies in the past."""
    now = media.history.now()
    for days in (1, 3, 5):
        work(media, now - days * DAY)
    report = media.capacity(now - 4 * DAY, now - 2 * DAY)
    assert (report.since, report.until, report.machine_hours) == (hour_of(now - 3 * DAY), now - 2 * DAY, 1)
    assert media.capacity(until=now + 100 * DAY).until <= media.history.now()
    assert media.capacity(until=datetime(1980, 1, 1, tzinfo=UTC)).cohorts == ()
    assert len(media.capacity(since=datetime(1, 1, 1, tzinfo=UTC)).cohorts) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"load": 0.0}, "load"),
        ({"load": 1e-320}, "load"),
        ({"load": 1.01}, "load"),
        ({"load": float("nan")}, "load"),
        ({"growth": 0.0}, "growth"),
        ({"growth": float("inf")}, "growth"),
        ({"days_ahead": 0.5}, "days ahead"),
        ({"days_ahead": float("nan")}, "days ahead"),
        ({"prices": {"c7i.large": -1.0}}, "price"),
        ({"prices": {"c7i.large": float("inf")}}, "price"),
        ({"since": datetime(2999, 1, 1, tzinfo=UTC)}, "period is empty"),
        ({"until": datetime(1, 1, 20, tzinfo=UTC)}, "period is empty"),
        ({"since": datetime(2026, 1, 1, tzinfo=UTC), "until": datetime(2026, 1, 1, tzinfo=UTC)}, "period is empty"),
        ({"since": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001
    ],
)
def test_what_makes_no_sense_is_refused(media: MediaJobs, given: Mapping[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        media.capacity(**given)


def test_prices_of_the_call_count_more_than_those_of_the_settings(media: MediaJobs) -> None:
    """And those of other machines stay."""
    settings = media.settings.model_copy(update={"machine_prices": ("c7i.large=1", "other=2")})
    now = media.history.now()
    work(media, now - 2 * HOUR)
    work(media, now - 2 * HOUR, instance_type="other")
    with MediaJobs(settings) as priced:
        assert priced.capacity().cost == pytest.approx(3)
        assert priced.capacity(prices={"c7i.large": 5.0}).cost == pytest.approx(7)
