"""`mediajobs up` tells callback addresses what becomes of jobs, whatever dies meanwhile."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.servers.mediajobs_up import running_up
from tests.webhooks.receiver import SECRET, receiving

pytestmark = pytest.mark.timeout(300)  # the start of a server


def test_a_killed_run_and_killed_senders_lose_nothing(tmp_path: Path, clips: Clips) -> None:
    """The lost attempt is told as a failed one; each event in order, the end of the trace once."""
    home = tmp_path / "home"
    settings = {"webhook_secret": SECRET, "private_addresses": "127.0.0.0/8"}
    with (
        receiving() as receiver,
        running_up(home, **{f"MEDIAJOBS_{name.upper()}": value for name, value in settings.items()}) as up,
        MediaJobs.open(_env_file=None, home=home, **settings) as media,
    ):
        media.add(clips.detailed(), types=["upload_edit_proxy_v1"], callback=receiver.url)
        up.wait_for(lambda: "job.started" in receiver.types, timeout_s=90)
        for process in up.run_processes():
            process.send_signal(signal.SIGKILL)
        up.part("daemon").send_signal(signal.SIGKILL)
        up.wait_for(lambda: "trace.finished" in receiver.types, timeout_s=180)
        assert not media.history.webhooks.outbox().messages
    first = {each.id: each for each in reversed(receiver.got)}  # a sender that was killed may have sent one twice
    told = [each.type for each in reversed(first.values()) if each.type != "job.progress"]
    assert told[:3] == ["job.queued", "job.started", "job.failed"]
    assert told[-2:] == ["job.completed", "trace.finished"]
    assert told.count("trace.finished") == told.count("job.completed") == 1
    assert all(each.is_signed_with(SECRET) for each in receiver.got)
