"""`mediajobs up --log-format json`: whatever prints, in whichever process, every line is one object."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.servers.alert_target import AlertTarget
from tests.servers.mediajobs_up import free_port, running_up

THUMB = "upload_thumb_v1"

pytestmark = pytest.mark.timeout(300)  # the start of a server


def test_every_line_is_json_and_a_dead_job_is_alerted_of(tmp_path: Path, clips: Clips) -> None:
    """Through a job that succeeds, one that is dead, a daemon that is killed, and the end; without a secret."""
    home, doubtful = tmp_path / "home", {"MEDIAJOBS_NONSENSE": "1", "MEDIAJOBS_MAX_ATTEMPTS": "1"}
    down = f"json://127.0.0.1:{free_port()}/hooks/tokenhunter5"
    with AlertTarget.serving() as target:
        addresses = f"{target.address} {down}"
        with (
            running_up(home, "--log-format", "json", MEDIAJOBS_ALERT_URLS=addresses, **doubtful) as up,
            MediaJobs.open(_env_file=None, home=home, max_attempts=1) as media,
        ):
            good = media.add(clips.landscape(), types=[THUMB])
            up.wait_for(lambda: media.jobs()[0].status is JobStatus.COMPLETED, timeout_s=60)
            job = media.jobs()[0]
            media.storage.delete(media.uploads()[0].storage_key)
            media.history.jobs.retry(job.id, force=True)
            up.wait_for(lambda: media.jobs()[0].status is JobStatus.DEAD, timeout_s=60)
            up.part("daemon").send_signal(signal.SIGKILL)
            up.wait_for(lambda: target.got, timeout_s=60)
            up.stop()
            told = up.said()
    lines: list[dict[str, Any]] = [json.loads(line) for line in told.splitlines()]
    assert all({"timestamp", "level", "context", "message", "data"} <= each.keys() for each in lines)
    events = [each["data"].get("event") for each in lines if each.get("jobId") == job.id]
    assert events.count("dispatched") == events.count("attempt_started") == events.count("attempt_ended") == 2
    assert events.count("stage_started") == events.count("stage_ended") > 3
    assert {each["traceId"] for each in lines if each.get("jobId")} == {good.trace_id}
    assert any("MEDIAJOBS_NONSENSE" in each["message"] for each in lines)
    assert {each.get("process") for each in lines} >= {"up", "code", "daemon"}
    assert "hunter" not in told
    assert any("STORAGE_MISSING" in title for title in target.titles)
