"""Scheduled jobs from the command line: when they run, and started by hand."""

from __future__ import annotations

import pytest

from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.system import MediaJobs
from tests.cli.conftest import Call
from tests.platform import Platform
from tests.seam.nightly import Nightly

pytestmark = pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition:DeprecationWarning")


@pytest.fixture(autouse=True)
def nightly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduled job type beside the standard ones."""
    registry = Registry.standard().with_types(Nightly())
    monkeypatch.setattr(MediaJobs, "registry", property(lambda _: registry))


def test_schedules_are_listed(mediajobs: Call, platform: Platform) -> None:
    """With settings that move one and switch it off, for people and for programs."""
    changes = {"schedules": "nightly_v1=off 5 4 * * *", "timezone": "America/Los_Angeles"}
    (found,) = [each for each in mediajobs("schedules", "list", "--json").json if each["name"] == "nightly_v1"]
    assert (found["cron"], found["timezone"], found["isOn"]) == ("30 2 * * *", "Europe/Berlin", True)
    assert found["nextMoment"] is not None
    assert (found["lastMoment"], found["missedInAll"]) == (None, 0)
    listed = mediajobs("schedules", "list", "--json", **changes).json
    (found,) = [each for each in listed if each["name"] == "nightly_v1"]
    assert (found["cron"], found["timezone"]) == ("5 4 * * *", "America/Los_Angeles")
    assert (found["isOn"], found["nextMoment"]) == (False, None)
    shown = mediajobs("schedules", "list", **changes).out
    assert "nightly_v1" in shown
    assert "5 4 * * *" in shown


def test_a_schedule_that_does_not_exist_is_refused(mediajobs: Call, platform: Platform) -> None:
    """A slip in the settings is told, with the names that there are."""
    answer = mediajobs("schedules", "list", schedules="nightly=off")
    assert answer.code == 2
    assert "nightly_v1" in answer.err


WRONG = [
    ("schedule_sync", {"calendars": "team=nonsense"}, "what team is given is no address"),
    ("schedule_sync", {"calendars": "https://a.example/x"}, "entry 1 is not name=address"),
    ("schedule_sync", {"event_sources": "/nope.toml"}, "MEDIAJOBS_EVENT_SOURCES"),
    ("video_discovery", {"youtube_channels": "@name"}, "MEDIAJOBS_YOUTUBE_API_KEY"),
]


@pytest.mark.parametrize(("job", "settings", "said"), WRONG)
def test_wrong_settings_of_a_job_are_told_before_it_is_queued(
    mediajobs: Call, platform: Platform, job: str, settings: dict[str, str], said: str
) -> None:
    """By `run`, and by `doctor`, as a finding of its own."""
    answer = mediajobs("run", job, "--wait", **settings)
    assert (answer.code, platform.media.jobs()) == (2, [])
    assert answer.err.startswith("JOB_SETTINGS_INVALID: ")
    assert said in answer.err
    checked = mediajobs("doctor", "--json", **settings)
    (finding,) = [each for each in checked.json if not each["fine"]]
    assert (checked.code, finding["check"], said in finding["detail"]) == (1, job, True)


def test_a_retention_of_what_does_not_exist_is_refused(mediajobs: Call, platform: Platform) -> None:
    """A slip would keep things, or remove them, for ever unnoticed."""
    answer = mediajobs("cleanup", "--dry-run", retention="foo=3")
    assert (answer.code, "names foo" in answer.err) == (2, True)
    checked = mediajobs("doctor", "--json", retention="foo=3")
    assert [each["check"] for each in checked.json if not each["fine"]] == ["MEDIAJOBS_RETENTION"]
    assert mediajobs("cleanup", "--dry-run", retention="nightly_v1=3,runs=2").code == 0


def test_a_job_is_started_by_hand(mediajobs: Call, platform: Platform) -> None:
    """It is queued; with --wait and nothing up, it is carried out here, and its figures are shown."""
    queued = mediajobs("run", "nightly_v1", "--json").json["job"]
    assert (queued["status"], queued["jobType"]) == ("queued", "nightly_v1")
    answer = mediajobs("run", "nightly", "--wait")
    assert answer.code == 0
    assert "completed" in answer.out
    assert "files: 0" in answer.out
    assert platform.history.jobs.get(queued["id"]).status is JobStatus.COMPLETED
    assert mediajobs("run", "upload_thumb_v1").code == 2
