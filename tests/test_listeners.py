"""One place tells listeners what happens, and none of them can break the work or the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.listeners import Listener, Listeners
from mediajobs_dagster.records import (
    AttemptProgressed,
    AttemptStarted,
    BreakerChanged,
    CommandEnded,
    JobQueued,
    JobsDispatched,
    JobsHeld,
    Record,
    StageStarted,
    StorageOpEnded,
)
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
from tests.platform import Platform

TOLD: list[Record] = []


def collects(settings: Settings) -> Listener:
    """Makes the listener that a setting names in these tests."""
    del settings
    return TOLD.append


class Fails:
    """A listener that raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, record: Record) -> None:
        raise self.error


@pytest.mark.parametrize("error", [ValueError("no"), BrokenPipeError(), SystemExit(1)])
def test_what_a_listener_raises_is_logged_once(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """And the listeners behind it are told every record."""
    told: list[Record] = []
    listeners = Listeners([Fails(error), told.append])
    records = [Record(), Record(), Record()]
    with caplog.at_level(logging.ERROR):
        listeners.tell_all(records)
    assert told == records
    assert len(caplog.records) == 1
    assert type(error).__name__ in caplog.text


def test_an_interrupt_goes_through() -> None:
    """Ctrl-C while a listener prints is meant for the work, too."""
    with pytest.raises(KeyboardInterrupt):
        Listeners([Fails(KeyboardInterrupt())]).tell(Record())


def test_a_setting_names_listeners() -> None:
    """As module and function, which is given the settings."""
    TOLD.clear()
    settings = Settings.load(_env_file=None, listeners=f"{__name__}:collects")
    record = Record()
    Listeners.of(settings).tell(record)
    assert record in TOLD


@pytest.mark.parametrize("name", ["nowhere_at_all:make", f"{__name__}:missing", "nothing"])
def test_a_listener_that_cannot_be_loaded_is_refused(name: str) -> None:
    """By its name, with what to write instead."""
    with pytest.raises(SettingsError, match="module:function"):
        Listeners.of(Settings.load(_env_file=None, listeners=name))


def raises(settings: Settings) -> Listener:
    """Cannot make its listener."""
    raise RuntimeError("no connection")


def test_a_listener_that_cannot_be_made_is_refused() -> None:
    """Whatever its package raises, with its name."""
    with pytest.raises(SettingsError, match=r"raises.*RuntimeError: no connection"):
        Listeners.of(Settings.load(_env_file=None, listeners=f"{__name__}:raises"))


def test_an_attempt_tells_its_story(platform: Platform, clips: Clips) -> None:
    """From the queue to its end, with every command and storage operation."""
    told: list[Record] = []
    platform.media.listen(told.append)
    added = platform.media.add(clips.landscape(), types=["upload_thumb_v1"])
    (batch,) = [platform.media.dispatcher.next("upload_thumb_v1", batch_size=1)]
    assert batch is not None
    platform.history.leases.release(batch.id)
    platform.work(told.append)
    kinds = [type(record) for record in told]
    assert kinds[:2] == [JobQueued, JobsDispatched]
    assert kinds.count(AttemptStarted) == kinds.count(AttemptEnded) == 1
    assert {StageStarted, CommandEnded, StorageOpEnded, AttemptProgressed} <= set(kinds)
    assert kinds[-1] is AttemptEnded
    queued = next(record for record in told if isinstance(record, JobQueued))
    assert queued.job.trace_id == added.trace_id


def test_a_breaker_tells_that_it_opens_and_what_it_holds(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """Once an opening, however often it is asked."""
    missing: dict[str, Any] = {"ffmpeg_path": Path("/nowhere"), "breaker_failures": 1, "max_attempts": 1}
    platform = open_platform(**missing)
    told: list[Record] = []
    platform.media.listen(told.append)
    platform.add(clips.landscape(), "upload_thumb_v1")
    platform.work()
    platform.add(clips.detailed(), "upload_thumb_v1")
    for _ in range(3):
        platform.media.dispatcher.next("upload_thumb_v1", batch_size=1)
    changes = [(record.before, record.after) for record in told if isinstance(record, BreakerChanged)]
    assert changes == [("closed", "open")]
    assert [record.job_type for record in told if isinstance(record, JobsHeld)] == ["upload_thumb_v1"]
