"""Which callback addresses are taken, and that whoever asks for jobs is told of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mediajobs_dagster.errors import AddressRefusedError, CallbackInvalidError, SettingsError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import Callback, WebhookEvent
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.webhooks.callbacks import checked
from tests.clips import Clips
from tests.platform import Platform
from tests.webhooks.conftest import SettingsOf
from tests.webhooks.receiver import OLDER, SECRET, Receiver, receiving

THUMB = "upload_thumb_v1"


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks", "example.com/hooks", "ftp://example.com/", "file:///etc/passwd", "http://", "https:///hooks"),
        *("http://[::1", "http://example.com:port/", "http://example.com:99999/", "http://a b/", "http://é.example/"),
        *("http://example.com/\n", "http://example.com/\x00", "http://example.com/#part"),
        "https://example.com/" + "x" * 2000,
    ],
)
def test_what_is_no_address_is_refused(settings: Settings, url: str) -> None:
    with pytest.raises(CallbackInvalidError):
        checked(url, settings)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "[::1]", "2130706433", "0x7f.1", "169.254.169.254", "[::ffff:10.0.0.1]"]
)
def test_the_number_of_a_private_address_is_refused_at_once(settings_of: SettingsOf, host: str) -> None:
    """However it is written; unless its network is allowed."""
    with pytest.raises(AddressRefusedError):
        checked(f"http://{host}/hooks", settings_of(private_addresses=""))
    checked(f"http://{host}/hooks", settings_of(private_addresses="127.0.0.0/8,10.0.0.0/8,169.254.0.0/16,::1"))


def test_addresses_of_every_kind_are_taken(settings: Settings) -> None:
    for url in ("https://example.com", "http://user:pw@example.com:8080/a?b=c%20d", "https://[2001:4860:4860::8888]/x"):
        assert checked(url, settings) == Callback(url=url)
    twice = Callback(url="https://example.com", events=(WebhookEvent.JOB_DEAD, WebhookEvent.JOB_DEAD))
    assert checked(twice, settings).events == (WebhookEvent.JOB_DEAD,)


def test_without_a_secret_none_is_taken(settings_of: SettingsOf) -> None:
    """The message says what to set."""
    with pytest.raises(CallbackInvalidError, match="MEDIAJOBS_WEBHOOK_SECRET"):
        checked("https://example.com", settings_of(webhook_secret=""))


@pytest.mark.parametrize(
    "secret", ["secret", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", SECRET + "x", f"{SECRET},{OLDER},{SECRET}"]
)
def test_what_is_no_secret_is_refused_and_not_shown(settings_of: SettingsOf, secret: str) -> None:
    with pytest.raises(SettingsError, match="MEDIAJOBS_WEBHOOK_SECRET") as caught:
        settings_of(webhook_secret=secret)
    assert SECRET not in caught.value.message
    assert "c2hvcnQ" not in caught.value.message
    assert SECRET not in repr(settings_of())


# --- whoever asks for jobs -------------------------------------------------------------------------------------------


@pytest.fixture
def installation(open_platform: Callable[..., Platform]) -> Platform:
    """One with a secret."""
    return open_platform(webhook_secret=SECRET)


def told(platform: Platform, receiver: Receiver) -> list[tuple[str, str | None]]:
    """What the receiver is told now: event and status."""
    before = len(receiver.got)
    platform.media.webhooks.deliver()
    return [(each.type, each.json["data"].get("status")) for each in receiver.got[before:]]


def test_an_upload_is_told_to_the_end_of_its_trace(installation: Platform, clips: Clips) -> None:
    """With real attempts; added again, the callback hears how its jobs stand, in the trace that they are in."""
    media = installation.media
    with receiving() as receiver, receiving() as second:
        added = media.add(clips.short(), types=[THUMB], callback=receiver.url)
        assert told(installation, receiver) == [("job.queued", "queued")]
        installation.work()
        assert told(installation, receiver) == [
            ("job.started", "processing"),
            ("job.completed", "completed"),
            ("trace.finished", None),
        ]
        again = media.add(clips.short(), types=[THUMB], callback=second.url)
        assert again.trace_id != added.trace_id
        assert told(installation, second) == [("job.completed", "completed"), ("trace.finished", None)]
        assert {each.json["data"]["traceId"] for each in second.got} == {added.trace_id}
        assert len(receiver.got) == 4


def test_jobs_on_an_upload_are_told(installation: Platform, clips: Clips) -> None:
    """Only of the events that were asked for."""
    upload = installation.register(clips.short())
    with receiving() as receiver:
        callback = Callback(url=receiver.url, events=(WebhookEvent.JOB_COMPLETED,))
        submitted = installation.media.submit(upload.id, [THUMB], callback=callback)
        installation.work()
        assert told(installation, receiver) == [("job.completed", "completed")]
        assert receiver.got[0].json["data"]["jobId"] == submitted.jobs[0].job.id


def test_a_job_that_dies_is_told_with_its_error(installation: Platform, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film" * 100)
    with receiving() as receiver:
        installation.media.add(broken, types=[THUMB], callback=receiver.url)
        installation.work()
        assert told(installation, receiver)[-2:] == [("job.dead", "dead"), ("trace.finished", None)]
        assert receiver.got[-2].json["data"]["errorCode"] == "INPUT_NOT_MEDIA"
        assert receiver.got[-1].json["data"]["jobs"] == {"dead": 1}


def test_an_export_is_told_with_the_jobs_on_its_video(installation: Platform, clips: Clips) -> None:
    """And of one that was rendered before, that it is there."""
    upload = installation.add(clips.landscape(), THUMB)
    installation.work()
    timeline = {
        "version": "create_video_v1",
        "canvas": {"width": 320, "height": 180, "fps": 30},
        "track": [{"kind": "clip", "source": upload.id, "in": 0, "out": "1/2"}],
    }
    with receiving() as receiver:
        first = installation.media.export(timeline, callback=receiver.url)
        for _ in range(3):
            installation.work()
        heard = told(installation, receiver)
        assert heard[0] == ("job.queued", "queued")
        assert heard[-1] == ("trace.finished", None)
        children = installation.history.jobs.list(JobFilter(parent_job_id=first.job.id))
        assert {each.json["data"]["jobId"] for each in receiver.got[:-1]} == {first.job.id, *(c.id for c in children)}
        assert children
    with receiving() as receiver:
        again = installation.media.export(timeline, callback=receiver.url)
        assert again.job.id == first.job.id
        assert told(installation, receiver) == [("job.completed", "completed"), ("trace.finished", None)]


def test_a_callback_that_is_refused_enqueues_nothing(installation: Platform, clips: Clips) -> None:
    with pytest.raises(CallbackInvalidError):
        installation.media.add(clips.short(), callback="nowhere")
    upload = installation.register(clips.short())
    with pytest.raises(CallbackInvalidError):
        installation.media.submit(upload.id, callback="nowhere")
    assert installation.media.jobs() == []
    assert not installation.history.webhook_events.is_wanted()
