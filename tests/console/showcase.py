"""A small installation with something of everything: made, failed, under way, hostile. Real ffmpeg has worked on it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from mediajobs_dagster.cli.demo import demo_timeline
from mediajobs_dagster.history import Claim
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import Callback, DeliveryTry, Job, JobProgress, Upload, new_trace_id, utc_now
from tests.clips import Clips
from tests.platform import Platform

HOSTILE = "<img src=x onerror=alert(document.domain)>.mp4"
FAILED_TRACE = "5b8aa5a2d2c872e8321cf37308d69df2"
_LEASE_S = 3600.0


@dataclass
class Showcase:
    """What is there to be looked at."""

    platform: Platform
    good: Upload
    broken: Upload
    hostile: Upload
    edit: Job
    running: Claim

    def progress(self, fraction: float) -> None:
        """A heartbeat of the job that is under way."""
        told = JobProgress(
            fraction=fraction,
            speed=1.7,
            eta_s=90 * (1 - fraction),
            stage="ffmpeg",
            command=("ffmpeg", "-i", "file:source", "edit_proxy.mp4"),
            at=utc_now(),
        )
        job = self.running.job
        self.platform.history.leases.renew(job.dispatch_id or "", lease_s=_LEASE_S, progress={job.id: told})


def set_up(platform: Platform, clips: Clips, folder: Path) -> Showcase:
    """Add files, run their jobs, and leave one under way."""
    folder.mkdir(parents=True, exist_ok=True)
    trace = new_trace_id()

    def add(clip: Path, name: str, *types: str, trace_id: str | None = None) -> Upload:
        shutil.copyfile(clip, folder / name)
        added = platform.media.add(folder / name, types=types or None, trace_id=trace_id)
        return added.uploads[0].upload

    platform.history.webhook_events.subscribe(Callback(url="https://shop.example/hooks"), trace)
    good = add(clips.landscape(), "Opening night.mp4", trace_id=trace)
    music = add(clips.audio_only(), "theme.m4a", AudioEnvelope.name, trace_id=trace)
    edit = platform.media.export(demo_timeline(good, music, 3.0), trace_id=trace).job
    broken = add(clips.cut_before_index(), "Interview, take 3.mp4", trace_id=FAILED_TRACE)
    hostile = add(clips.short(), HOSTILE, Thumbnail.name)
    platform.work()
    platform.work()
    add(clips.rotated_portrait(), "Backstage, upright.mp4", EditProxy.name)
    dispatch = platform.history.leases.assign(EditProxy.name, limit=1, lease_s=_LEASE_S)
    assert dispatch is not None
    claim = platform.history.leases.claim(dispatch.id, run_id="run-1", host="worker-7", lease_s=_LEASE_S)
    assert claim is not None
    add(clips.no_audio(), "Establishing shot.mp4", Thumbnail.name)
    showcase = Showcase(platform, good, broken, hostile, edit, claim)
    showcase.progress(0.42)
    _tell(platform)
    return showcase


def _tell(platform: Platform) -> None:
    """All that is to be told has arrived but for the last, which the receiver did not take."""
    outbox = platform.history.webhooks
    platform.history.webhook_events.settle()
    while delivery := outbox.claim(hold_s=_LEASE_S):
        if outbox.is_due():
            outbox.delivered(delivery, DeliveryTry(at=utc_now(), took_ms=38, status=204, error=None))
        else:
            failed = DeliveryTry(at=utc_now(), took_ms=412, status=503, error="It was answered with 503.")
            outbox.not_delivered(delivery, failed, again_in_s=_LEASE_S)
