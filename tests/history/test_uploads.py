"""The uploads that the system knows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history import DaySummary, History
from mediajobs_dagster.models import new_id
from tests.history.factories import DAY, a_media_info, an_upload


def test_an_upload_comes_back_as_it_was_added(history: History) -> None:
    upload = an_upload(origin="s3://bucket/one.mp4", media_info=a_media_info(), bytes=9_000_000_000)
    assert history.uploads.add(upload) == upload
    assert history.uploads.get(upload.id) == upload
    assert history.uploads.find_by_origin("s3://bucket/one.mp4") == upload
    assert history.uploads.find_by_origin("s3://bucket/two.mp4") is None


def test_a_known_origin_is_answered_with_its_upload(history: History) -> None:
    first = history.uploads.add(an_upload(origin="o"))
    assert history.uploads.add(an_upload(origin="o", filename="other.mp4")) == first
    assert history.uploads.add(first) == first


def test_uploads_without_an_origin_are_all_different(history: History) -> None:
    first, second = an_upload(), an_upload()
    assert history.uploads.add(first) == first
    assert history.uploads.add(second) == second


def test_racing_additions_of_one_origin_make_one_upload(history: History) -> None:
    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(history.uploads.add, [an_upload(origin="o") for _ in range(12)]))
    assert len({upload.id for upload in added}) == 1


def test_media_info_can_be_added_later(history: History) -> None:
    upload = history.uploads.add(an_upload())
    history.uploads.set_media_info(upload.id, a_media_info())
    assert history.uploads.get(upload.id).media_info == a_media_info()


def test_an_unknown_upload_is_not_found(history: History) -> None:
    with pytest.raises(NotFoundError):
        history.uploads.get(new_id())
    with pytest.raises(NotFoundError):
        history.uploads.set_media_info(new_id(), a_media_info())


def test_a_day_is_a_utc_day_and_is_read_whole(history: History) -> None:
    """Its first moment belongs to it, the next day's first does not; a day may have many pages."""
    midnight = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    before = an_upload(created_at=midnight - timedelta(microseconds=1))
    after = an_upload(created_at=midnight + timedelta(days=1))
    during = [an_upload(created_at=midnight + timedelta(minutes=number // 2)) for number in range(501)]
    for upload in (before, after, *during):
        history.uploads.add(upload)
    assert list(history.uploads.of_day(DAY)) == sorted(during, key=lambda upload: (upload.created_at, upload.id))


def test_a_day_is_summed_up(history: History) -> None:
    """An upload that was never probed counts, but brings no seconds."""
    assert history.uploads.day_summary(DAY) == DaySummary(count=0, bytes=0, seconds=0.0)
    history.uploads.add(an_upload(bytes=5_000_000_000, media_info=a_media_info(10.5)))
    history.uploads.add(an_upload(bytes=1, media_info=a_media_info(2.25)))
    history.uploads.add(an_upload(bytes=2))
    assert history.uploads.day_summary(DAY) == DaySummary(count=3, bytes=5_000_000_003, seconds=12.75)
    assert history.uploads.day_summary(DAY + timedelta(days=1)).count == 0
