"""What is alerted of: dead jobs that concern operators, breakers that change, disks that are full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from mediajobs_dagster.history import History
from mediajobs_dagster.models import Alert, AlertKind, AttemptStatus, JobStatus, utc_now
from mediajobs_dagster.orchestration.moments import schedules_of
from mediajobs_dagster.records import BreakerChanged, HostBreakerChanged, LeaseLost, ScheduleMissed
from mediajobs_dagster.resilience.breaker import BreakerState
from mediajobs_dagster.resilience.quota import YOUTUBE_SEARCH, Quota
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.telemetry.alerting import Alerting
from mediajobs_dagster.telemetry.messages import message_of
from mediajobs_dagster.telemetry.watching import AlertWatch
from tests.clips import Clips
from tests.history.factories import NOON
from tests.platform import Platform

THUMB = "upload_thumb_v1"


def alerts_of(platform: Platform) -> list[Alert]:
    return platform.media.alerts.list()


def test_a_job_that_is_dead_by_a_fault_of_the_system_is_alerted_of(
    open_platform: Callable[..., Platform], clips: Clips
) -> None:
    """By the listener that every process has; with job, trace, error code and host."""
    platform = open_platform(max_attempts=1, alert_disk_percent=0, hostname="worker-7")
    upload = platform.add(clips.landscape(), THUMB)
    platform.storage.delete(upload.storage_key)
    platform.work(platform.media.listeners.tell)
    job, (alert,) = platform.job(upload, THUMB), alerts_of(platform)
    assert alert.kind is AlertKind.JOB_DEAD
    assert alert.title == f"{THUMB} is dead: {job.error_code}"
    assert {name: alert.details[name] for name in ("jobId", "traceId", "errorCode", "host")} == {
        "jobId": job.id,
        "traceId": job.trace_id,
        "errorCode": job.error_code,
        "host": "worker-7",
    }


def test_a_bad_file_wakes_nobody_unless_that_is_wanted(
    open_platform: Callable[..., Platform], clips: Clips, tmp_path: Path
) -> None:
    """Operators can do nothing about it. A setting has it told all the same."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    for is_wanted in (False, True):
        platform = open_platform(home=tmp_path / str(is_wanted), alert_input_faults=is_wanted, alert_disk_percent=0)
        platform.add(broken, THUMB)
        (ended,) = platform.work(platform.media.listeners.tell)
        assert ended.verdict.status == "dead"
        assert len(alerts_of(platform)) == is_wanted


def test_a_job_whose_worker_died_too_often_is_alerted_of(platform: Platform, clips: Clips) -> None:
    """No attempt tells of that end: recovery does. One that will be tried again, or is gone, wakes nobody."""
    upload = platform.add(clips.landscape(), THUMB)
    job, history = platform.job(upload, THUMB), platform.history
    platform.media.dispatcher.next(THUMB, batch_size=1)
    dispatch_id = history.jobs.get(job.id).dispatch_id
    assert dispatch_id is not None
    claim = history.leases.claim(dispatch_id, run_id="run", host="worker-7", lease_s=60)
    assert claim is not None
    lost = LeaseLost(job=claim.job, attempt_id=claim.attempt.id, host="worker-7")
    platform.media.alert_watch(lost)
    platform.media.alert_watch(replace(lost, job=claim.job.model_copy(update={"id": "gone"})))
    assert platform.media.alerts.list(kinds=[AlertKind.JOB_DEAD]) == []
    row = claim.attempt.model_copy(update={"status": AttemptStatus.LOST, "completed_at": utc_now(), "duration_ms": 1})
    assert history.leases.finish(row, job_status=JobStatus.DEAD)
    platform.media.alert_watch(lost)
    (alert,) = platform.media.alerts.list(kinds=[AlertKind.JOB_DEAD])
    assert (alert.details["errorCode"], alert.details["host"]) == ("WORKER_LOST", "worker-7")


def a_change(before: BreakerState, after: BreakerState, *, hours: int = 0) -> BreakerChanged:
    since = NOON + timedelta(hours=hours) if after is BreakerState.OPEN else None
    return BreakerChanged(
        job_type=THUMB, before=before, after=after, reason="Three failed.", since=since, error_codes=("STALLED",)
    )


def test_a_breaker_is_told_once_however_many_see_it(history: History, tmp_path: Path) -> None:
    """Opened, seen by two processes and by one that starts later, tried in vain, closed; and opened another time."""
    settings = Settings.load(_env_file=None, home=tmp_path)
    watches = [AlertWatch(settings, lambda: history, Alerting(settings, lambda: history)) for _ in range(2)]
    closed, opened, half = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
    for change in (
        a_change(closed, opened),
        a_change(opened, half),
        a_change(half, opened),
        a_change(opened, closed),
        a_change(closed, opened, hours=1),
    ):
        for watch in watches:
            watch(change)
    found = {each.kind: each for each in history.alerts.list()}
    assert found.keys() == {AlertKind.BREAKER_OPENED, AlertKind.BREAKER_CLOSED}
    assert (found[AlertKind.BREAKER_OPENED].count, found[AlertKind.BREAKER_CLOSED].count) == (2, 1)
    assert found[AlertKind.BREAKER_OPENED].details["errorCode"] == "STALLED"


def test_the_dispatcher_tells_of_its_breaker(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """From jobs that fail to the alert: with the jobs, a trace and what they failed by."""
    platform = open_platform(max_attempts=1, breaker_failures=2, alert_disk_percent=0)
    uploads = [platform.add(clips.landscape(), THUMB, force=True) for _ in range(2)]
    platform.storage.delete(uploads[0].storage_key)
    platform.work()
    platform.media.dispatcher.next(THUMB, batch_size=1)
    (alert,) = platform.media.alerts.list(kinds=[AlertKind.BREAKER_OPENED])
    assert alert.details["traceId"] in {job.trace_id for job in platform.media.jobs()}
    assert alert.details["errorCode"]


def test_a_breaker_that_a_person_opened_says_how_to_close_it(platform: Platform) -> None:
    """Nothing is tried meanwhile. Its closing tells who closed it, and why."""
    platform.media.breakers.open(THUMB, reason="the disk is changed")
    platform.media.breakers.close(THUMB, reason="it is changed")
    closed, opened = platform.media.alerts.list()
    assert f"until `mediajobs breaker close {THUMB}`" in message_of(opened).body
    assert "one is tried from time to time" not in message_of(opened).body
    assert "the disk is changed" in opened.body
    assert closed.body.endswith("closed it: it is changed.")


def test_a_full_disk_is_told(open_platform: Callable[..., Platform]) -> None:
    """Above the limit, by host; looked at once a minute at most."""
    platform = open_platform(alert_disk_percent=0.001, hostname="worker-7")
    for _ in range(2):
        platform.media.alert_watch.look_at_disks()
    found = alerts_of(platform)
    assert {(each.kind, each.count, each.details["host"]) for each in found} == {(AlertKind.DISK_FULL, 1, "worker-7")}
    assert "% full" in found[0].body


def test_a_quarantined_host_is_told_once(history: History, tmp_path: Path) -> None:
    """Seen by two processes, tried in vain, free again, and quarantined another time."""
    settings = Settings.load(_env_file=None, home=tmp_path)
    watches = [AlertWatch(settings, lambda: history, Alerting(settings, lambda: history)) for _ in range(2)]
    closed, opened, half = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
    for before, after, hours in (
        (closed, opened, 0),
        (opened, half, 0),
        (half, opened, 0),
        (opened, closed, 0),
        (closed, opened, 1),
    ):
        change = HostBreakerChanged(
            host="worker-7",
            before=before,
            after=after,
            reason="worker-7 is quarantined.",
            since=NOON + timedelta(hours=hours) if after is not closed else None,
            error_codes=("FFMPEG_MISSING",),
        )
        for watch in watches:
            watch(change)
    (alert,) = history.alerts.list()
    assert (alert.kind, alert.count, alert.details["host"]) == (AlertKind.HOST_QUARANTINED, 2, "worker-7")
    assert alert.details["errorCode"] == "FFMPEG_MISSING"


def test_a_missed_schedule_is_told_with_the_job_that_makes_up_for_it(platform: Platform) -> None:
    """Each time that moments were missed is one occurrence."""
    job = schedules_of(platform.media).run(platform.registry["storage_report"], now=utc_now())
    missed = ScheduleMissed(
        job_type=job.job_type, missed=3, first=NOON, last=NOON + timedelta(days=2), job=job, reason="Three were missed."
    )
    platform.media.alert_watch(missed)
    (alert,) = platform.media.alerts.list(kinds=[AlertKind.SCHEDULE_MISSED])
    assert alert.title == "storage_report missed 3 moments"
    assert (alert.details["jobId"], alert.details["traceId"]) == (job.id, job.trace_id)


def test_a_quota_that_is_nearly_used_is_told_once_until_its_reset(history: History, tmp_path: Path) -> None:
    """By whichever process looks first; below the limit nobody is told."""
    settings = Settings.load(_env_file=None, home=tmp_path, youtube_search_limit=10)
    quota = Quota.of(history, settings)

    def look() -> list[Alert]:
        AlertWatch(settings, lambda: history, Alerting(settings, lambda: history)).look_at_quotas()
        return history.alerts.list()

    quota.charge(YOUTUBE_SEARCH, 8)
    assert look() == []
    quota.charge(YOUTUBE_SEARCH, 1)
    look()
    (alert,) = look()
    assert (alert.kind, alert.count, alert.details["bucket"]) == (AlertKind.QUOTA_LOW, 1, YOUTUBE_SEARCH)
    assert "1 of 10 calls of youtube.search are left" in alert.body


def test_a_storage_over_its_limit_is_told_by_its_report(
    open_platform: Callable[..., Platform], clips: Clips, tmp_path: Path
) -> None:
    """The nightly report knows how much there is; without a limit nobody is told."""
    for limit in (0, 1e-6):
        platform = open_platform(home=tmp_path / str(limit), alert_storage_gib=limit, alert_disk_percent=0)
        platform.add(clips.landscape())
        schedules_of(platform.media).run(platform.registry["storage_report"], now=utc_now())
        platform.work(platform.media.listeners.tell)
        found = platform.media.alerts.list(kinds=[AlertKind.STORAGE_FULL])
        assert len(found) == bool(limit)
        assert all("MEDIAJOBS_ALERT_STORAGE_GIB is 1e-06" in each.body for each in found)
