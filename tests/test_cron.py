"""Schedules by settings: what is understood, what is refused, and that Dagster understands the rest as well."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest

from mediajobs_dagster.cron import ScheduleChange, change_of, checked_cron, checked_zone
from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.job_types.base import Schedule
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.orchestration.internals.schedules import schedule_execution_time_iterator
from mediajobs_dagster.settings import Settings
from tests.seam.nightly import Nightly


@pytest.mark.parametrize(
    ("entry", "change"),
    [
        ("nightly_v1=off", ScheduleChange("nightly_v1", is_on=False)),
        ("nightly_v1 = ON", ScheduleChange("nightly_v1", is_on=True)),
        ("nightly_v1=0  4 * * *", ScheduleChange("nightly_v1", cron="0 4 * * *")),
        ("nightly_v1=on 5 4 * * 1-5 UTC", ScheduleChange("nightly_v1", is_on=True, cron="5 4 * * 1-5", timezone="UTC")),
    ],
)
def test_an_entry_is_understood(entry: str, change: ScheduleChange) -> None:
    """On or off, times, and a zone, each of which may be left out."""
    assert change_of(entry) == change


@pytest.mark.parametrize(
    "entry",
    [
        *("nightly_v1", "=off", "nightly_v1=", "nightly_v1=daily", "nightly_v1=0 4 * *", "nightly_v1=0 4 * * * * *"),
        *("nightly_v1=60 4 * * *", "nightly_v1=0 4 31 2 1", "nightly_v1=*/0 4 * * *", "nightly_v1=0 5-4 * * *"),
        *("nightly_v1=0 4 * * * Mars/Base", "nightly_v1=0 4 * * * ../etc/passwd", "nightly_v1=0 4 * * * Europe"),
        *("nightly_v1=0 4 * * x", "nightly_v1=², 4 * * *", "nightly_v1=0 4 * * ,", "nightly_v1=off; nightly_v1=on"),
    ],
)
def test_a_bad_entry_is_refused(entry: str) -> None:
    """When the settings are read, and by the name of the variable: not in the night."""
    with pytest.raises(SettingsError, match="MEDIAJOBS_SCHEDULES: "):
        Settings.load(_env_file=None, schedules=entry)


def test_a_zone_that_does_not_exist_is_refused() -> None:
    """The one of all schedules too."""
    with pytest.raises(SettingsError, match=r"MEDIAJOBS_TIMEZONE: .*no time zone"):
        Settings.load(_env_file=None, timezone="Berlin")
    assert checked_zone("America/Los_Angeles") == "America/Los_Angeles"


@pytest.mark.parametrize(
    "cron",
    [
        *("* * * * *", "*/5 * * * *", "0 4 * * sun", "0 4 1,15 jan-mar *", "30 2 29 2 *", "5/10 3 * * 7"),
        *("0-30/15 8-18 * * MON-FRI", "0 4 * * 0,6"),
    ],
)
def test_dagster_understands_what_is_accepted(cron: str) -> None:
    """So that no setting keeps the code location from loading."""
    start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    moments = list(islice(schedule_execution_time_iterator(start, checked_cron(cron), "Europe/Berlin"), 3))
    assert moments == sorted(set(moments))


def test_settings_change_the_schedule_of_a_job_type() -> None:
    """What they leave out stays as the job type says; a type without its sources is off unless it is switched on."""

    class Unset(Nightly):
        """One whose sources no setting names."""

        def is_configured(self, settings: Settings) -> bool:
            return False

    def found(**settings: str) -> Schedule | None:
        return Unset().schedule_in(Settings.load(_env_file=None, **settings))

    assert found() == Schedule("30 2 * * *", "Europe/Berlin", is_on=False)
    assert found(schedules="nightly_v1=on") == Schedule("30 2 * * *", "Europe/Berlin", is_on=True)
    assert found(schedules="nightly_v1=1 2 * * *", timezone="UTC") == Schedule("1 2 * * *", "UTC", is_on=False)
    assert Nightly().schedule_in(Settings.load(_env_file=None, schedules="nightly_v1=off")) == Schedule(
        "30 2 * * *", "Europe/Berlin", is_on=False
    )


def test_a_schedule_that_does_not_exist_is_named() -> None:
    """A slip in a name must not leave a job at its old time."""
    settings = Settings.load(_env_file=None, schedules="nightly=off")
    with pytest.raises(SettingsError, match=r"names nightly, but only .*nightly_v1"):
        Registry.standard().with_types(Nightly()).schedules(settings)
