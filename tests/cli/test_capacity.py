"""What an hour of video takes and costs, for people and for scripts, of real attempts."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import utc_now
from tests.cli.conftest import Call
from tests.clips import Clips
from tests.history.factories import a_media_info, an_attempt, an_upload
from tests.platform import Platform

THUMB = Thumbnail.name


@pytest.fixture
def worked(platform: Platform, clips: Clips, tmp_path: Path) -> Platform:
    """Two thumbnails were made: of three seconds at 640 by 360, and of what is no media."""
    platform.add(clips.landscape(), THUMB)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"This is no video.")
    platform.add(broken, THUMB)
    platform.work()
    return platform


def test_real_attempts_are_reckoned_up(mediajobs: Call, worked: Platform) -> None:
    """As data: what was measured, what it costs, and machines for the time ahead."""
    (missing,) = mediajobs("capacity", "--json").json["withoutPrice"]
    report = mediajobs("capacity", "--json", "--price", f"{missing}=0.5").json
    attempts = list(worked.media.attempts())
    machine_hours = sum((each.duration_ms or 0) / (each.side_by_side or 1) for each in attempts) / 3_600_000
    assert sum(each["attempts"] for each in report["cohorts"]) == 2
    assert sum(each["machineHours"] for each in report["cohorts"]) == pytest.approx(machine_hours)
    good = next(each for each in report["cohorts"] if not each["wastedAttempts"])
    assert (good["jobType"], good["lane"], good["picture"]) == (THUMB, "light", "480p")
    assert good["mediaHours"] == pytest.approx(3 / 3600, rel=0.05)
    assert report["uploadedHours"] == pytest.approx(3 / 3600, rel=0.05)
    assert report["cost"] == pytest.approx(machine_hours * 0.5)
    (fleet,) = report["fleets"]
    assert [(each["machines"], each["cost"]) for each in fleet["sizes"]] == [(1, 360.0)] * 3


def test_prices_are_settings_or_options(mediajobs: Call, platform: Platform) -> None:
    """The option counts more."""
    moment = utc_now() - timedelta(hours=2)
    platform.history.attempts.record(
        an_attempt(job_name=THUMB, instance_type="c7i.large", duration_ms=3_600_000, created_at=moment)
    )

    def cost(*options: str, **settings: object) -> float | None:
        return mediajobs("capacity", "--json", *options, **settings).json["cost"]

    assert cost() is None
    assert cost(machine_prices="c7i.large=0.25, unknown=9") == pytest.approx(0.25)
    assert cost("--price", "c7i.large=2", machine_prices="c7i.large=0.25") == pytest.approx(2)


def proxies(platform: Platform, *machines: str | None) -> None:
    """Of each, one that took half an hour for an hour of media, more than a day ago; the media is on record too."""
    for number, machine in enumerate(machines):
        moment = utc_now() - timedelta(hours=30 + number)
        platform.history.attempts.record(
            an_attempt(
                job_name="upload_edit_proxy_v1",
                instance_type=machine,
                width=1920,
                height=1080,
                media_seconds=3600.0,
                duration_ms=1_800_000,
                side_by_side=1,
                created_at=moment,
            )
        )
        upload = platform.history.uploads.add(an_upload(created_at=moment, origin=f"file:///{number}"))
        platform.history.uploads.set_media_info(upload.id, a_media_info(3600))


def test_people_read_an_hour_the_fleets_and_what_is_missing(mediajobs: Call, platform: Platform) -> None:
    proxies(platform, *["c7i.large"] * 3)
    shown = mediajobs("capacity").out
    assert "less than a day" not in shown
    assert "Media that came in: 3 h 00 min. An hour of it takes 30 min 00 s of a machine." in shown
    assert "No price is set for: c7i.large. `--price c7i.large=0.10` sets one." in shown
    told = mediajobs("capacity", "--price", "c7i.large=0.1", "--price", "c7i.lrage=0.1", "--growth", "100").out
    head = next(line for line in told.splitlines() if line.startswith("Job type"))
    assert re.split(" {2,}", head)[-3:] == ["An hour takes", "and costs", "Memory"]
    assert "takes 30 min 00 s of a machine, and costs 0.05 where machines are on only while they work." in told
    assert "No price" not in told
    assert "No machine of that type is on record in this period: c7i.lrage." in told
    assert "100 times as much comes in" in told
    assert "1080p" not in told
    assert "1080p" in mediajobs("capacity", "--pictures").out
    for aim in ("the average hour", "95 of 100 hours", "the busiest hour"):
        assert told.count(aim) == 1
    assert "all together" not in told


def test_fleets_of_several_machines_are_added_up(mediajobs: Call, platform: Platform) -> None:
    """Of very many without a price, some are named."""
    proxies(platform, *(f"type {number}" for number in range(7)))
    shown = mediajobs("capacity").out
    assert re.search(r"all together +the busiest hour +7 ", shown)
    assert "No price is set for: type 0, type 1, type 2, type 3, type 4 and 2 more." in shown
    assert "`--price 'type 0=0.10'` sets one." in shown


def test_little_time_is_marked(mediajobs: Call, worked: Platform) -> None:
    """And small amounts are no zeros."""
    (missing,) = mediajobs("capacity", "--json").json["withoutPrice"]
    told = mediajobs("capacity", "--price", f"{missing}=0.00001").out
    assert "That is less than a day: what is ahead is a rough guess." in told
    assert "< 0.0001" in told
    assert "Wasted" in told


def test_where_nothing_was_done_that_is_said(mediajobs: Call) -> None:
    answer = mediajobs("capacity")
    assert answer.code == 0
    assert "No attempt that began in this period has ended." in answer.out
    assert mediajobs("capacity", "--json").json["cohorts"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--load", "0"), "The load is a share"),
        (("--load", "1.1"), "The load is a share"),
        (("--load", "nan"), "The load is a share"),
        (("--growth", "0"), "The growth is a number"),
        (("--growth", "inf"), "The growth is a number"),
        (("--days", "-1"), "The days ahead"),
        (("--days", "nan"), "The days ahead"),
        (("--since", "2999-01-01"), "The period is empty"),
        (("--since", "2026-01-02", "--until", "2026-01-01"), "The period is empty"),
        (("--price", "c7i.large"), "is no price such as c7i.large=0.0892"),
        (("--price", "c7i.large=-1"), "is no price such as c7i.large=0.0892"),
        (("--price", "c7i.large=nan"), "is no price such as c7i.large=0.0892"),
        (("--price", "c7i.large=inf"), "is no price such as c7i.large=0.0892"),
        (("--price", "=1"), "is no price such as c7i.large=0.0892"),
    ],
)
def test_what_makes_no_sense_is_refused(mediajobs: Call, options: tuple[str, str], said: str) -> None:
    answer = mediajobs("capacity", *options)
    assert answer.code == 2
    assert said in answer.err.replace("\n", " ")


def test_a_bad_price_in_the_settings_is_named(mediajobs: Call) -> None:
    answer = mediajobs("capacity", machine_prices="c7i.large")
    assert answer.code == 2
    assert "MEDIAJOBS_MACHINE_PRICES" in answer.err
