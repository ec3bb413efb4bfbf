"""Taking files in: from a path, from our own bucket, from a bucket of somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mediajobs_dagster.errors import RequestError, StorageMissingError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import open_storage
from tests.clips import Clips
from tests.platform import Platform
from tests.servers.s3 import S3Server

THUMB = Thumbnail.name


@pytest.fixture
def on_s3(open_platform: Callable[..., Platform], s3_settings: Settings) -> Platform:
    """A platform whose objects lie on S3."""
    return open_platform(**s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"}))


def test_a_changed_file_is_another_upload(platform: Platform, clips: Clips, tmp_path: Path) -> None:
    """The same path with other content is registered anew; unchanged it is the same upload."""
    path = tmp_path / "video.mp4"
    path.write_bytes(clips.landscape().read_bytes())
    first, same = platform.add(path, THUMB), platform.add(path, THUMB)
    path.write_bytes(clips.no_audio().read_bytes())
    other = platform.add(path, THUMB)
    assert same.id == first.id
    assert other.id != first.id
    assert len(platform.history.jobs.list(JobFilter())) == 2


def test_an_object_of_our_own_stays_where_it_is(on_s3: Platform, clips: Clips) -> None:
    """An s3:// address inside our storage is registered in place, once."""
    on_s3.storage.put(clips.landscape(), "incoming/talk.mp4", content_type="video/mp4")
    url = f"{on_s3.storage.url.rstrip('/')}/incoming/talk.mp4"
    upload = on_s3.add(url, THUMB)
    assert (upload.storage_key, upload.filename) == ("incoming/talk.mp4", "talk.mp4")
    assert on_s3.add(url, THUMB) == upload
    (outcome,) = on_s3.work()
    assert outcome.status is AttemptStatus.SUCCESS


def test_an_object_of_another_bucket_is_copied_once(
    on_s3: Platform, s3_server: S3Server, clips: Clips, tmp_path: Path
) -> None:
    """An s3:// address elsewhere is copied into our storage; asked for again, no second copy stays."""
    bucket = s3_server.make_bucket()
    foreign = open_storage(s3_server.settings(bucket, tmp_path / "foreign"))
    foreign.put(clips.landscape(), "talk.mp4", content_type="video/mp4")
    upload = on_s3.add(f"{foreign.url.rstrip('/')}/talk.mp4", THUMB)
    assert upload.storage_key == f"uploads/{upload.id}/source"
    assert on_s3.add(f"{foreign.url.rstrip('/')}/talk.mp4", THUMB) == upload
    assert [stat.key for stat in on_s3.storage.list("")] == [upload.storage_key]


def test_what_is_not_there_is_refused(platform: Platform, on_s3: Platform, tmp_path: Path) -> None:
    """A path without a file, a folder, an object that does not exist: a clear error, and nothing is registered."""
    with pytest.raises(RequestError, match="does not exist"):
        platform.add(tmp_path / "nothing.mp4")
    with pytest.raises(RequestError, match="is not a file"):
        platform.add(tmp_path)
    with pytest.raises(RequestError):
        platform.add("s3://bucket/key.mp4")  # the storage is a local folder
    with pytest.raises(StorageMissingError):
        on_s3.add(f"{on_s3.storage.url.rstrip('/')}/nothing.mp4")
    assert on_s3.history.jobs.list(JobFilter()) == []
