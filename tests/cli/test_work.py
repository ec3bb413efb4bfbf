"""`mediajobs work` as a process: told to stop, it puts everything on record and back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.models import AttemptStatus, JobStatus
from tests.cli.conftest import Call
from tests.clips import Clips
from tests.platform import Platform

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_hands_its_job_back(platform: Platform, clips: Clips, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C in mid-ffmpeg: attempt on record as cancelled, job in the queue, no process, no scratch."""
    upload = platform.add(clips.detailed(60), EditProxy.name)
    process = subprocess.Popen(
        [sys.executable, "-c", "from mediajobs_dagster.cli.main import main; main()", "work"],
        cwd=PROJECT,
        env={**os.environ, "MEDIAJOBS_HOME": str(platform.settings.home), "MEDIAJOBS_SCRATCH_RESERVE_MB": "1"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not list(platform.settings.scratch.glob("worker-*/attempt-*/edit_proxy.mp4")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(120) == 130
    finally:
        process.kill()
        process.wait(10)
    assert platform.job(upload, EditProxy.name).status is JobStatus.QUEUED
    assert [each.status for each in platform.attempts(upload, EditProxy.name)] == [AttemptStatus.CANCELLED]
    assert platform.leftovers() == []


def test_nobody_who_reads_is_no_reason_to_stop(platform: Platform, clips: Clips) -> None:
    """As in `mediajobs work 2>&1 | true`: every job is made, and its run is a success."""
    uploads = [platform.add(path, "upload_thumb_v1") for path in (clips.landscape(), clips.detailed())]
    reader, writer = os.pipe()
    os.close(reader)
    subprocess.run(
        [sys.executable, "-m", "mediajobs_dagster", "work"],
        cwd=PROJECT,
        env={**os.environ, "MEDIAJOBS_HOME": str(platform.settings.home), "MEDIAJOBS_SCRATCH_RESERVE_MB": "1"},
        stdout=writer,
        stderr=writer,
        timeout=240,
        check=False,
    )
    os.close(writer)
    assert {platform.job(upload, "upload_thumb_v1").status for upload in uploads} == {JobStatus.COMPLETED}


def test_what_is_held_back_is_named_with_its_reason(mediajobs: Call, clips: Clips) -> None:
    """On a machine that offers nothing."""
    assert mediajobs("add", str(clips.landscape()), "--type", "upload_thumb_v1").code == 0
    answer = mediajobs("work", offers="none")
    assert answer.code == 1
    assert "Nothing is queued" not in answer.out
    assert "1 upload_thumb_v1 job waits: no worker here offers ffmpeg." in " ".join(answer.out.split())


def test_a_job_log_that_cannot_be_written_is_told(mediajobs: Call, clips: Clips, tmp_path: Path) -> None:
    """When the work begins, with what to do; it costs no job."""
    foreign = tmp_path / "foreign.json"
    foreign.write_text('{"a": 1}')
    for log, told in ((tmp_path, "Point MEDIAJOBS_JOB_LOG at a file"), (foreign, "Name another file.")):
        assert mediajobs("add", str(clips.landscape()), "--type", "upload_thumb_v1", "--force").code == 0
        answer = mediajobs("work", job_log=log)
        assert answer.code == 0
        assert told in answer.err
        assert "history export --format job-log" in answer.err
    assert foreign.read_text() == '{"a": 1}'
