"""Finding, showing and deleting uploads."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import JobStatus
from tests.cli.conftest import Call
from tests.clips import Clips
from tests.platform import Platform


@pytest.fixture
def video(clips: Clips, tmp_path: Path) -> Path:
    """A video of the user's."""
    path = tmp_path / "My holiday.mp4"
    path.write_bytes(clips.landscape().read_bytes())
    return path


def test_find_and_show(mediajobs: Call, video: Path, platform: Platform) -> None:
    """By part of the name in any case; shown by name, with jobs and the places of content and outputs."""
    assert "mediajobs add" in mediajobs("uploads", "list").out
    mediajobs("add", video, "--type", Thumbnail.name)
    platform.work()
    (listed,) = mediajobs("uploads", "list", "HOLI", "--json").json
    assert (listed["filename"], mediajobs("uploads", "list", "winter", "--json").json) == (video.name, [])
    assert listed["id"] in mediajobs("uploads", "list").out
    found = mediajobs("uploads", "show", "my holiday", "--json").json
    assert found["upload"] == listed
    assert [job["status"] for job in found["jobs"]] == ["completed"]
    assert [Path(place).is_file() for place in (found["place"], *found["outputs"])] == [True, True]
    shown = mediajobs("uploads", "show", listed["id"][:13]).out
    assert found["outputs"][0] in shown
    assert "640x360 h264" in shown
    assert mediajobs("uploads", "show", "nothing").code == 2


def test_delete(mediajobs: Call, video: Path, platform: Platform) -> None:
    """Content, outputs and entry go, waiting jobs are cancelled; what happened stays; nothing without a yes."""
    mediajobs("add", video, "--type", Thumbnail.name)
    platform.work()
    mediajobs("add", video, "--type", EditProxy.name)
    before = mediajobs("uploads", "show", video.name, "--json").json
    places = [Path(place) for place in (before["place"], *before["outputs"])]
    planned = mediajobs("uploads", "delete", video.name, "--dry-run", "--json").json
    assert (len(planned["objects"]), len(planned["cancelledJobs"])) == (2, 1)
    assert mediajobs("uploads", "delete", video.name, "--json").code == 2
    assert all(place.is_file() for place in places)

    assert mediajobs("uploads", "delete", video.name, "--yes", "--json").json == planned
    assert not any(place.exists() for place in places)
    assert mediajobs("uploads", "list", "--json").json == []
    assert sorted(job.status for job in platform.media.jobs()) == [JobStatus.CANCELLED, JobStatus.COMPLETED]
    assert len(list(platform.media.attempts())) == 1

    again = mediajobs("add", video, "--type", Thumbnail.name, "--json").json
    assert again["uploads"][0]["id"] != before["upload"]["id"]
    (ended,) = platform.work()
    assert ended.succeeded


def test_an_upload_that_is_worked_on_stays(mediajobs: Call, video: Path, platform: Platform) -> None:
    """The answer names the job."""
    mediajobs("add", video, "--type", Thumbnail.name)
    dispatch = platform.history.leases.assign(Thumbnail.name, limit=1, lease_s=60)
    assert dispatch
    claim = platform.history.leases.claim(dispatch.id, run_id="run", host="here", lease_s=60)
    assert claim
    answer = mediajobs("uploads", "delete", video.name, "--yes")
    assert (answer.code, answer.err.startswith("ILLEGAL_TRANSITION: ")) == (2, True)
    assert claim.job.id in answer.err
    assert len(mediajobs("uploads", "list", "--json").json) == 1
