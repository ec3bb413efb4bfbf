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
