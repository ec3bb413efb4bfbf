"""The uploads that the system knows."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history import DaySummary, History, JobFilter
from mediajobs_dagster.models import NewJob, Upload, UploadRole, new_id
from tests.history.factories import DAY, a_media_info, a_new_job, an_upload


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


def two_jobs_of(upload: Upload) -> list[NewJob]:
    """Whose keys name the upload, so that the same upload has the same jobs."""
    names = ("upload_thumb_v1", "upload_edit_proxy_v1")
    return [
        a_new_job(job_type=name, subject_id=upload.id, idempotency_key=f"{name}/{upload.origin or upload.id}")
        for name in names
    ]


def test_many_are_registered_with_their_jobs(history: History) -> None:
    """Answers come in the order of asking: new ones, known ones, and one that is asked for twice; repeated, no news."""
    known = history.uploads.add(an_upload(origin="known", filename="before.mp4"))
    new = [an_upload(origin=f"new {number}", media_info=a_media_info(number)) for number in range(4)]
    nameless = an_upload()
    asked = [new[3], an_upload(origin="known"), new[1], nameless, new[0], an_upload(origin="new 3"), new[2]]
    stand_for = [new[3], known, new[1], nameless, new[0], new[3], new[2]]

    found = history.uploads.register(asked, two_jobs_of)
    assert [each.upload for each in found] == stand_for
    for each in found:
        assert [entry.job.subject_id for entry in each.jobs] == [each.upload.id] * 2
        assert [entry.job.job_type for entry in each.jobs] == ["upload_thumb_v1", "upload_edit_proxy_v1"]
    created = [[entry.created for entry in each.jobs] for each in found]
    assert created[:5] == [[True, True]] * 5
    assert len(history.jobs.list(JobFilter())) == 2 * 6

    again = history.uploads.register(asked, two_jobs_of)
    assert [each.upload for each in again] == stand_for
    assert not any(entry.created for each in again for entry in each.jobs)
    assert history.uploads.register([], two_jobs_of) == []


def test_registering_is_all_or_nothing(history: History) -> None:
    """An upload without its jobs would never be worked on."""

    def jobs_of(upload: Upload) -> list[NewJob]:
        if upload.origin == "bad":
            raise RuntimeError("no jobs for this one")
        return two_jobs_of(upload)

    with pytest.raises(RuntimeError):
        history.uploads.register([an_upload(origin="good"), an_upload(origin="bad")], jobs_of)
    assert history.uploads.known(["good", "bad"]) == {}
    assert history.jobs.list(JobFilter()) == []


@pytest.mark.parametrize("history_url", ["sqlite"], indirect=True)
def test_jobs_are_planned_before_the_transaction(history: History, history_url: str) -> None:
    """Planning takes its time, and on SQLite nobody else could write in the meantime."""
    path = history_url.removeprefix("sqlite:///")

    def jobs_of(upload: Upload) -> list[NewJob]:
        with closing(sqlite3.connect(path, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.rollback()
        return two_jobs_of(upload)

    [registered] = history.uploads.register([an_upload(origin="one")], jobs_of)
    assert len(registered.jobs) == 2


def test_jobs_are_planned_again_for_what_somebody_else_registers_meanwhile(history: History) -> None:
    """They are about the upload that was first, and of the other one nothing is left."""
    first, late = an_upload(origin="one", etag="first"), an_upload(origin="one", etag="late")
    other = an_upload(origin="two")
    asked_about: list[str] = []

    def jobs_of(upload: Upload) -> list[NewJob]:
        if not asked_about:
            history.uploads.add(first)
        asked_about.append(upload.id)
        return two_jobs_of(upload)

    found = history.uploads.register([late, other], jobs_of)
    assert asked_about == [late.id, other.id, first.id, other.id]
    assert [each.upload for each in found] == [first, other]
    assert {job.subject_id for job in history.jobs.list(JobFilter())} == {first.id, other.id}
    assert history.uploads.existing([first.id, late.id, other.id]) == {first.id, other.id}


def test_racing_registrations_of_the_same_files_make_each_upload_once(history: History) -> None:
    """In whatever order each of them comes: nobody waits for ever, and all get the same answers."""
    origins = [f"file {number}" for number in range(60)]

    def register(turn: int) -> list[tuple[str | None, str]]:
        order = origins[turn * 7 :] + origins[: turn * 7]
        found = history.uploads.register([an_upload(origin=origin) for origin in order], two_jobs_of)
        return sorted((each.upload.origin, each.upload.id) for each in found)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(register, range(6)))
    assert answers == [answers[0]] * 6
    assert len(history.jobs.list(JobFilter(), limit=1000)) == 2 * len(origins)


def test_thousands_are_looked_up_at_once(history: History) -> None:
    """More than one statement can bind."""
    new = [an_upload(origin=f"file {number}") for number in range(1200)]
    for start in range(0, 1200, 400):
        history.uploads.register(new[start : start + 400], lambda _: [])
    origins = [upload.origin or "" for upload in new]
    assert history.uploads.known(["nothing", *origins]) == dict(zip(origins, new, strict=True))
    assert history.uploads.existing([new_id(), *(upload.id for upload in new)]) == {upload.id for upload in new}
    assert history.uploads.known([]) == {}


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


def test_uploads_are_found_by_id_and_by_name(history: History) -> None:
    """Of each content of a name the newest, newest first, and no more than asked for; unknown ones are left out."""
    added = [history.uploads.add(an_upload(filename="a.mp4", etag=etag)) for etag in ("x", "y", "x", "z")]
    other = history.uploads.add(an_upload(filename="b.mp4", etag="x"))
    assert history.uploads.with_ids([added[0].id, "none", other.id]) == {added[0].id: added[0], other.id: other}
    assert history.uploads.named(["a.mp4", "none", "b.mp4"], limit=2) == {
        "a.mp4": [added[3], added[2]],
        "b.mp4": [other],
    }
    assert history.uploads.named(["a.mp4"], limit=9) == {"a.mp4": [added[3], added[2], added[1]]}
    assert history.uploads.named([], limit=9) == {}


def test_uploads_are_found_by_their_names_without_the_suffix(history: History) -> None:
    """In whatever case; the newest of each content, exports aside; nothing in a name is a pattern."""
    names = ("A012.mov", "a012.MP4", "A012_C003.mov", "Über Uns.mp4", "50%.mp4", "talk.final.mp4")
    added = {name: history.uploads.add(an_upload(filename=name, etag=name)) for name in names}
    newer = history.uploads.add(an_upload(filename="A012.mov", etag="A012.mov"))
    history.uploads.add(an_upload(filename="50%.mov", role=UploadRole.EXPORT))
    asked = ["a012", "A012.mov", "Über Uns", "50%", "talk.FINAL", "A012_C00_", "talk", "5%"]
    found = history.uploads.with_stems(asked, limit=5)
    assert found == {
        "a012": [newer, added["a012.MP4"]],
        "A012.mov": [newer],
        "Über Uns": [added["Über Uns.mp4"]],
        "50%": [added["50%.mp4"]],
        "talk.FINAL": [added["talk.final.mp4"]],
    }
    assert history.uploads.with_stems(["a012"], limit=1) == {"a012": [newer]}
    many = history.uploads.with_stems([f"reel {number}" for number in range(120)] + ["a012"], limit=5)
    assert list(many) == ["a012"]
