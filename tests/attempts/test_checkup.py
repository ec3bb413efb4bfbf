"""What the checkup of a machine finds, to the boundary; `mediajobs doctor` has tests of its own."""

from __future__ import annotations

import platform as python
import shutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mediajobs_dagster import __version__
from mediajobs_dagster.attempts import checkup
from mediajobs_dagster.attempts.checkup import Caution, Finding, check_up
from mediajobs_dagster.errors import DatabaseUnavailableError, StorageDeniedError
from mediajobs_dagster.models import HostFacts, utc_now
from tests.platform import Platform

MIB = 1024 * 1024


def found(platform: Platform, what: str, *, held: Callable[[], Sequence[str]] = list, **also: Any) -> Finding:
    """One finding of a checkup."""
    findings = check_up(platform.settings, lambda: platform.history, lambda: platform.storage, held, also)
    return next(finding for finding in findings if finding.check == what)


@pytest.mark.parametrize(
    ("off_s", "said"),
    [(0.0, "within "), (1.9, "within 1.9 s"), (-1.9, "within 1.9 s"), (2.5, "2.5 s ahead of"), (-2.5, "2.5 s behind")],
)
def test_clocks_may_be_two_seconds_apart(
    open_platform: Callable[..., Platform],
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    off_s: float,
    said: str,
) -> None:
    """The database's is that of leases; how long it took to ask is not held against the machine."""
    platform = open_platform(database_url=postgres_url)
    theirs = utc_now()
    monkeypatch.setattr(type(platform.history), "now", lambda _: theirs)
    monkeypatch.setattr(checkup, "utc_now", lambda: theirs + timedelta(seconds=off_s))
    finding = found(platform, "clock")
    assert (finding.fine, finding.warning) == (True, abs(off_s) > 2)
    assert said in finding.detail


def test_the_time_that_the_question_took_is_not_held_against_the_machine(
    open_platform: Callable[..., Platform], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is taken for the middle of it."""
    platform = open_platform(database_url=postgres_url)
    theirs = utc_now()
    monkeypatch.setattr(type(platform.history), "now", lambda _: theirs)
    ours = iter([timedelta(seconds=1), timedelta(seconds=5)])
    monkeypatch.setattr(checkup, "utc_now", lambda: theirs + next(ours))
    assert found(platform, "clock").detail == "within 5.0 s of the database's"


@pytest.mark.parametrize(("free", "fine"), [(2 * MIB, True), (2 * MIB - 1, False)])
def test_a_disk_needs_twice_what_is_kept_free(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, free: int, fine: bool
) -> None:
    """The reserve here is one MiB."""
    usage = shutil.disk_usage(platform.settings.home)._replace(free=free)
    monkeypatch.setattr(checkup, "shutil", SimpleNamespace(disk_usage=lambda _: usage))
    finding = found(platform, "scratch disk")
    assert finding.fine is fine
    assert (f"0.0 GiB free at {platform.settings.scratch}" in finding.detail) is fine
    assert ("less than 1 MiB is left" in finding.detail) is not fine


def test_free_space_is_told_in_gib(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1024 MiB."""
    usage = shutil.disk_usage(platform.settings.home)._replace(free=3 * 512 * MIB)
    monkeypatch.setattr(checkup, "shutil", SimpleNamespace(disk_usage=lambda _: usage))
    assert found(platform, "scratch disk").detail == f"1.5 GiB free at {platform.settings.scratch}"


def test_an_ffmpeg_that_lacks_an_encoder(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which, and what to do."""
    tools = SimpleNamespace(ffmpeg="/opt/ffmpeg", version="8.1", encoders={"aac"})
    monkeypatch.setattr(checkup, "find_tools", lambda *_: tools)
    finding = found(platform, "ffmpeg")
    assert not finding.fine
    assert finding.detail.startswith("FFMPEG_MISSING: /opt/ffmpeg lacks the encoders libx264, mjpeg. ")
    tools.encoders = {"aac", "libx264", "mjpeg", "opus"}
    assert found(platform, "ffmpeg") == Finding("ffmpeg", True, "8.1 at /opt/ffmpeg")


def test_machine_and_versions_are_named(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a bug report needs them."""
    facts = HostFacts(hostname="worker-7", cpu_cores=4.0, mem_gb=15.25, instance_type="c7i.xlarge")
    monkeypatch.setattr(checkup, "host_facts", lambda *_, **__: facts)
    assert found(platform, "machine").detail == "worker-7: 4 cores, 15.2 GiB (c7i.xlarge)"
    facts = HostFacts(hostname="worker-7", cpu_cores=0.5, mem_gb=1.0)
    assert found(platform, "machine").detail == (
        "worker-7: 0.5 cores, 1.0 GiB (instance type not known; set MEDIAJOBS_INSTANCE_TYPE to record it)"
    )
    assert found(platform, "versions").detail == (
        f"mediajobs {__version__}, Dagster {version('dagster')}, Python {python.python_version()}"
    )


def test_a_home_is_made_with_the_folders_above_it(open_platform: Callable[..., Platform], tmp_path: Path) -> None:
    """And may be there already."""
    platform = open_platform()
    settings = platform.settings.model_copy(update={"home": tmp_path / "some" / "where"})
    for _ in range(2):
        home = check_up(settings, lambda: platform.history, lambda: platform.storage, list, {})[3]
        assert home == Finding("home", True, f"{tmp_path}/some/where can be written to")
        assert list((tmp_path / "some" / "where").iterdir()) == []


def test_what_is_held_back_is_a_warning(platform: Platform) -> None:
    """All of it, in sentences; nothing of it: no warning. Without the database it is not known."""
    assert found(platform, "queue") == Finding("queue", True, "nothing is held back")
    held = found(platform, "queue", held=lambda: ["One waits.", "Two waits."])
    assert held == Finding("queue", True, "One waits. Two waits.", warning=True)

    def unknown() -> list[str]:
        raise DatabaseUnavailableError

    assert found(platform, "queue", held=unknown) == Finding("queue", True, "not known without the database")


def test_checks_of_others_are_made_too(platform: Platform) -> None:
    """A check that raises has failed, with its code; no secret is shown."""

    def denied() -> str:
        raise StorageDeniedError("s3://AKIAMEDIAJOBSTESTXYZ:topsecret@host/x is closed.")

    findings = check_up(
        platform.settings,
        lambda: platform.history,
        lambda: platform.storage,
        list,
        {"fan": lambda: Caution("it is loud"), "door": denied},
    )
    assert [each.check for each in findings[:3]] == ["versions", "fan", "door"]
    assert findings[1].to_json() == {"check": "fan", "fine": True, "detail": "it is loud", "warning": True}
    assert not findings[2].fine
    assert findings[2].detail.startswith("STORAGE_DENIED: ")
    assert "topsecret" not in findings[2].detail
