"""Traces of a real `mediajobs up`: from a request that has one to a collector, although a worker dies on the way."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.models import AttemptStatus
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.trace_context import attempt_span_id
from tests.acceptance.test_up import held
from tests.clips import Clips
from tests.platform import Platform
from tests.servers.asgi import send
from tests.servers.mediajobs_up import running_up
from tests.servers.otlp_collector import OtlpCollector

pytestmark = pytest.mark.timeout(600)  # the start of a server, and the time until a dead worker is missed

PROXY = EditProxy.name
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_worker_that_dies_loses_no_span(tmp_path: Path, clips: Clips) -> None:
    """The lost attempt and the one that did its work are in the trace of whoever asked, each once."""
    home = tmp_path / "home"
    with (
        OtlpCollector.serving() as collector,
        running_up(
            home,
            MEDIAJOBS_TRACES_URL=collector.address,
            MEDIAJOBS_RETRY_BASE_S="0",
        ) as up,
        MediaJobs(Settings.load(_env_file=None, home=home)) as media,
    ):
        platform = Platform(media)
        sent = send(
            f"{up.url}/api/uploads?name=talk.mp4&types={PROXY}",
            "POST",
            [("traceparent", f"00-{TRACE}-{SPAN}-01")],
            clips.detailed().read_bytes(),
        )
        assert sent.status == 201, sent
        [upload] = media.uploads()
        up.wait_for(lambda: held(platform, upload, PROXY), timeout_s=120)
        for process in up.run_processes():
            with suppress(psutil.NoSuchProcess):  # another run's, which has just ended
                process.kill()
        up.wait_for(lambda: collector.named(f"job {PROXY}"), timeout_s=300)
        attempts = platform.attempts(upload, PROXY)

    assert [each.status for each in attempts] == [AttemptStatus.LOST, AttemptStatus.SUCCESS]
    job = collector.one(f"job {PROXY}")
    assert (job.trace_id, job.parent_id, job.error) == (TRACE, SPAN, None)
    lost, made = collector.named(f"attempt {PROXY}")
    assert [lost.id, made.id] == [attempt_span_id(each.id) for each in attempts]
    assert (lost.error or "").startswith("WORKER_LOST")
    assert made.error is None
    assert len(collector.named("dispatch")) == len(collector.named("run")) == 2
    assert {each.parent_id for each in collector.named("run")} == {job.id}
    assert any(each.attributes.get("process.exit.code") == 0 for each in collector.named("ffmpeg"))
    assert set(collector.times().values()) == {1}
    inside = [each for each in collector.got if each.trace_id == TRACE]
    by_id = {each.id: each for each in inside}
    for each in inside:
        if parent := by_id.get(each.parent_id):
            assert parent.start <= each.start <= each.end <= parent.end, (each.name, parent.name)
