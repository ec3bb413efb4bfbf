"""Scheduled jobs from the command line: when they run, and started by hand."""

from __future__ import annotations

from datetime import UTC, datetime

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


def test_a_job_that_fails_is_told_with_its_notes_and_what_to_do(mediajobs: Call, platform: Platform) -> None:
    """Figures in words, the notes below them, the error, and the next command."""
    calendars = {"calendars": "team=http://127.0.0.1:9/a.ics", "service_tries": 1}
    answer = mediajobs("run", "schedule_sync", "--wait", **calendars)
    (job,) = platform.media.jobs()
    assert answer.code == 1
    assert f"Job {job.id} is dead. See `mediajobs why {job.id}`" in answer.out
    assert "  team failed (ADDRESS_REFUSED): " in answer.out
    shown = mediajobs("run", "storage_report", "--wait").out
    assert "cost month: –" in shown
    assert "None" not in shown


def test_a_job_that_waits_is_not_queued_twice(mediajobs: Call, platform: Platform) -> None:
    """Asked for again, the one that waits is the answer."""
    first = mediajobs("run", "nightly_v1", "--json").json["job"]
    assert mediajobs("run", "nightly_v1", "--json").json["job"]["id"] == first["id"]


def test_what_holds_a_job_is_told_while_it_is_waited_for(
    mediajobs: Call, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and once; here it is cancelled then, where another process would start it."""
    platform.media.breakers.open("nightly_v1", reason="the disk is changed")
    looks = [0]

    def pause(_seconds: float) -> None:
        looks[0] += 1
        if looks[0] == 2:
            (job,) = platform.media.jobs()
            platform.media.cancel(job.id)

    monkeypatch.setattr("mediajobs_dagster.cli.run_job.time.sleep", pause)
    monkeypatch.setattr("mediajobs_dagster.cli.run_job.user_of", lambda _: "mediajobs up")
    answer = mediajobs("run", "nightly_v1", "--wait")
    assert answer.out.count("It waits: ") == 1
    assert "the disk is changed; `mediajobs breaker close nightly_v1`" in answer.out


def test_a_schedule_that_was_begun_has_no_last_moment(mediajobs: Call, platform: Platform) -> None:
    """It begins between two moments; the first one that comes is its last one then."""
    times = "30 2 * * * Europe/Berlin"
    began, came = datetime(2026, 3, 4, 12, 0, 7, tzinfo=UTC), datetime(2026, 3, 5, 1, 30, tzinfo=UTC)
    for moment, told in ((began, None), (came, came.isoformat().replace("+00:00", "Z"))):
        platform.history.schedules.begin("nightly_v1", times, moment)
        (found,) = [each for each in mediajobs("schedules", "list", "--json").json if each["name"] == "nightly_v1"]
        assert found["lastMoment"] == told


def test_a_scheduled_job_is_named_by_its_type(mediajobs: Call, platform: Platform) -> None:
    """Or by what it makes: the latest is meant. Lists show its moment."""
    assert "mediajobs run nightly_v1" in mediajobs("why", "nightly_v1").err
    mediajobs("run", "nightly_v1", "--wait")
    latest = mediajobs("run", "nightly_v1", "--json").json["job"]
    assert mediajobs("why", "nightly_v1", "--json").json["jobId"] == latest["id"]
    named = mediajobs("jobs", "list", "--json").json[0]["subjectName"]
    assert named.endswith(" UTC")
    assert named in mediajobs("jobs", "list").out
    assert mediajobs("why", "").code == 2


def test_a_narrow_list_keeps_what_was_missed(
    mediajobs: Call, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below its schedule, where there is no room beside it."""
    platform.history.schedules.begin("nightly_v1", "30 2 * * * Europe/Berlin", datetime(2026, 3, 4, tzinfo=UTC))
    row = platform.history.schedules.get("nightly_v1")
    assert row
    came = datetime(2026, 3, 5, 1, 30, tzinfo=UTC)
    platform.history.schedules.advance(row, came, missed=3, at=came)
    monkeypatch.setenv("COLUMNS", "80")
    shown = mediajobs("schedules", "list").out
    assert "3, the last 2026-03-05" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
