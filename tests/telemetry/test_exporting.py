"""Each span arrives, whatever becomes of collector, exporter and database on the way."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mediajobs_dagster.errors import (
    DatabaseUnavailableError,
    ExtraMissingError,
    ServiceError,
    ServiceRefusedError,
    ServiceUnavailableError,
)
from mediajobs_dagster.history import History
from mediajobs_dagster.history.attempts import complete_attempt
from mediajobs_dagster.history.schema import trace_outbox
from mediajobs_dagster.history.trace_outbox import KEPT_S, write_attempt_end
from mediajobs_dagster.models import AttemptStatus, JobStatus, utc_now
from mediajobs_dagster.resilience.retention import Retention
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.traces import exporting
from mediajobs_dagster.telemetry.traces.collector import TIMEOUT_S, Collector
from mediajobs_dagster.telemetry.traces.exporting import TraceExporter, exporting_traces
from tests.history.factories import claimed, ended
from tests.servers.otlp_collector import OtlpCollector
from tests.telemetry.recorded import with_manifest

ROOT = Path(__file__).parents[2]


def settings_of(collector: OtlpCollector, home: Path, **settings: Any) -> Settings:
    return Settings.load(_env_file=None, home=home, traces_url=collector.address, **settings)


@pytest.fixture
def settings(collector: OtlpCollector, tmp_path: Path) -> Settings:
    """They name the collector."""
    return settings_of(collector, tmp_path)


def finish(history: History, count: int = 1) -> set[str]:
    """Attempts that succeed; returns their ids."""
    found = set[str]()
    for _ in range(count):
        claim = claimed(history)
        history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
        found.add(claim.attempt.id)
    return found


def told(collector: OtlpCollector) -> list[str]:
    """The attempts that arrived."""
    return [each.attributes["mediajobs.attempt.id"] for each in collector.named("attempt upload_thumb_v1")]


def make_due(history: History) -> None:
    """Let the time pass for which an exporter holds what it took, or pauses."""
    with history._database.write() as connection:
        connection.execute(sa.update(trace_outbox).values(due_at=trace_outbox.c.ended_at))


def grow_old(history: History) -> None:
    """Let the time pass for which it is tried to send something."""
    with history._database.write() as connection:
        ends = connection.execute(sa.select(trace_outbox.c.id, trace_outbox.c.ended_at)).all()
        for entry, ended_at in ends:
            moved = {"ended_at": ended_at - timedelta(seconds=KEPT_S + 60)}
            connection.execute(sa.update(trace_outbox).where(trace_outbox.c.id == entry).values(**moved))


def test_nothing_is_lost_while_the_collector_is_away(
    traced: History, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits in the database, and arrives once when the collector is there again. It is told once that it waits."""
    with OtlpCollector.serving() as gone:
        settings, port = settings_of(gone, tmp_path), gone.port
    attempts = finish(traced, 3)
    with caplog.at_level(logging.INFO), exporting_traces(settings, lambda: traced, look_s=0.01):
        give_up = time.monotonic() + 30
        while not caplog.records and time.monotonic() < give_up:
            time.sleep(0.01)
        attempts |= finish(traced, 3)
        with OtlpCollector.serving(port) as collector:
            while traced.trace_outbox.waiting() and time.monotonic() < give_up:
                time.sleep(0.01)
            while len(caplog.records) < 2 and time.monotonic() < give_up:
                time.sleep(0.01)
    assert sorted(told(collector)) == sorted(attempts)
    assert set(collector.times().values()) == {1}
    first, *others = [each.getMessage() for each in caplog.records if each.name.endswith("exporting")]
    assert first.startswith("Traces could not be sent; they wait. ServiceUnavailableError: traces export")
    assert others == ["Traces are sent again."]


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503])
def test_what_operators_can_mend_is_waited_for(
    traced: History, settings: Settings, collector: OtlpCollector, status: int
) -> None:
    """A wrong key or path, too many requests, a fault of the collector; it is not asked all the time."""
    attempts, exporter = finish(traced, 2), TraceExporter(settings, lambda: traced)
    collector.status = status
    with pytest.raises(ServiceError):
        exporter.export()
    assert exporter.export() == 0
    assert collector.requests == 1
    assert traced.trace_outbox.waiting() == 2
    time.sleep(0.002)  # SQLite's clock has milliseconds
    later = finish(traced)
    collector.status = 200
    assert TraceExporter(settings, lambda: traced).export() == 3
    assert set(told(collector)) == attempts | later
    arrived = [each.attributes["mediajobs.attempt.id"] for each in collector.got if each.name.startswith("attempt ")]
    assert {arrived[-1]} == later


@pytest.mark.parametrize("status", [400, 413])
def test_what_the_collector_never_takes_holds_up_nothing(
    traced: History, settings: Settings, collector: OtlpCollector, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Others of the same message are sent without it."""
    attempts = finish(traced, 5)
    bad = sorted(attempts)[2]
    collector.refusal = status
    collector.refuses = lambda span: span.attributes.get("mediajobs.attempt.id") == bad
    assert TraceExporter(settings, lambda: traced).export() == 5
    assert sorted(told(collector)) == sorted(attempts - {bad})
    assert traced.trace_outbox.waiting() == 0
    [warning] = caplog.records
    assert bad in warning.getMessage()


@pytest.mark.parametrize("status", [500, 504])
def test_what_the_collector_fails_at_holds_up_nothing(
    traced: History, settings: Settings, collector: OtlpCollector, status: int
) -> None:
    """It is found by sending one by one, and waits; all others arrive once, in their order."""
    attempts = finish(traced, 5)
    bad = sorted(attempts)[2]
    collector.refusal = status
    collector.refuses = lambda span: span.attributes.get("mediajobs.attempt.id") == bad
    exporter = TraceExporter(settings, lambda: traced)
    for _ in range(2):
        with pytest.raises(ServiceError):
            exporter.export()
        exporter._not_before = 0.0
    assert exporter.export() == 2
    assert told(collector) == sorted(attempts - {bad})
    later = finish(traced)
    assert exporter.export() == 1
    assert traced.trace_outbox.waiting() == 1
    collector.refuses = lambda _: False
    make_due(traced)
    assert exporter.export() == 1
    assert sorted(told(collector)) == sorted(attempts | later)
    assert set(collector.times().values()) == {1}


def test_an_exporter_that_is_killed_tells_it_again(
    history_url: str, traced: History, collector: OtlpCollector, tmp_path: Path
) -> None:
    """Killed after the collector has it, before that is noted: the same spans come twice, and are the same."""
    attempts = finish(traced, 3)
    program = """
import sys
from mediajobs_dagster.history import History
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.telemetry.traces.exporting import TraceExporter
settings = Settings.load(_env_file=None, home=sys.argv[1], traces_url=sys.argv[2])
with History.open(sys.argv[3]) as history:
    print("ready", flush=True)
    TraceExporter(settings, lambda: history).export()
print("not killed", flush=True)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), collector.address, history_url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    collector.taken = lambda: os.kill(child.pid, signal.SIGKILL)
    said, _ = child.communicate(timeout=60)
    assert (said, child.returncode) == ("ready\n", -signal.SIGKILL)
    before = {each.id: each.span for each in collector.got}
    assert traced.trace_outbox.waiting() == 3

    collector.taken = lambda: None
    exporter = TraceExporter(settings_of(collector, tmp_path), lambda: traced)
    assert exporter.export() == 0  # the dead one still holds them
    make_due(traced)
    assert exporter.export() == 3
    assert set(collector.times().values()) == {2}
    assert {each.id: each.span for each in collector.got} == before
    assert set(told(collector)) == attempts


def test_two_exporters_share_the_work(history_url: str, settings: Settings, collector: OtlpCollector) -> None:
    """Each entry is taken by one of them."""
    with (
        History.open(history_url, timeout_s=60, is_traced=True) as first,
        History.open(history_url, timeout_s=60, is_traced=True) as second,
    ):
        attempts = finish(first, 120)
        begin = threading.Barrier(2)

        def export(history: History) -> int:
            begin.wait()
            return TraceExporter(settings, lambda: history).export()

        with ThreadPoolExecutor(2) as pool:
            sent = list(pool.map(export, (first, second)))
        assert sum(sent) == 120
        assert sorted(told(collector)) == sorted(attempts)
        assert set(collector.times().values()) == {1}


@pytest.mark.parametrize("history_url", ["postgres"], indirect=True)
def test_what_is_committed_late_is_not_passed_over(
    history_url: str, traced: History, settings: Settings, collector: OtlpCollector
) -> None:
    """An attempt that ended first, by its row, becomes visible when later ones are told already."""
    slow, exporter = claimed(traced), TraceExporter(settings, lambda: traced)
    with traced._database.write() as connection:
        assert complete_attempt(connection, ended(slow))
        write_attempt_end(connection, slow.attempt, None)
        later = finish(traced, 2)
        assert exporter.export() == 2
        assert set(told(collector)) == later
    assert exporter.export() == 1
    assert set(told(collector)) == later | {slow.attempt.id}
    assert set(collector.times().values()) == {1}


def test_things_are_told_in_the_order_in_which_they_ended(
    traced: History, settings: Settings, collector: OtlpCollector
) -> None:
    """Attempts with the same start end one after the other."""
    claims = [claimed(traced) for _ in range(4)]
    for claim in reversed(claims):
        traced.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
        time.sleep(0.002)  # SQLite's clock has milliseconds
    TraceExporter(settings, lambda: traced).export()
    arrived = [each.attributes["mediajobs.attempt.id"] for each in collector.got if each.name.startswith("attempt ")]
    assert arrived == [claim.attempt.id for claim in reversed(claims)]


def test_messages_stay_small(traced: History, settings: Settings, collector: OtlpCollector) -> None:
    """Many attempts with full manifests are sent in several messages, of which one is made at a time."""
    for _ in range(60):
        claim = claimed(traced)
        manifest = with_manifest(claim)
        assert manifest.manifest
        full = manifest.manifest | {"s3Ops": manifest.manifest["s3Ops"][:1] * 200}
        traced.leases.finish(manifest.model_copy(update={"manifest": full}), job_status=JobStatus.COMPLETED)
    assert TraceExporter(settings, lambda: traced).export() == 60
    assert len(told(collector)) == 60
    assert collector.largest < 1000 + 250


def test_what_is_gone_or_unreadable_holds_up_nothing(
    traced: History, settings: Settings, collector: OtlpCollector
) -> None:
    """A clean-up took an attempt or its job; a manifest is one of another version."""
    [removed, orphan] = [claimed(traced), claimed(traced)]
    for claim in (removed, orphan):
        traced.leases.finish(ended(claim), job_status=JobStatus.COMPLETED)
    strange = claimed(traced)
    traced.leases.finish(ended(strange, manifest={"schemaVersion": 99}), job_status=JobStatus.COMPLETED)
    good = finish(traced)
    with traced._database.write() as connection:
        connection.execute(sa.text("DELETE FROM job_history WHERE id = :id"), {"id": removed.attempt.id})
        connection.execute(sa.text("DELETE FROM jobs WHERE id = :id"), {"id": orphan.job.id})
    assert TraceExporter(settings, lambda: traced).export() == 4
    assert set(told(collector)) == good | {strange.attempt.id}
    assert traced.trace_outbox.waiting() == 0


def test_it_is_given_up_after_a_week(
    traced: History, settings: Settings, collector: OtlpCollector, caplog: pytest.LogCaptureFixture
) -> None:
    """A collector that is gone for good does not fill the database."""
    finish(traced, 2)
    grow_old(traced)
    collector.status = 503
    exporter = TraceExporter(settings, lambda: traced)
    with pytest.raises(ServiceUnavailableError):
        exporter.export()
    assert exporter.export() == 0
    assert traced.trace_outbox.waiting() == 0
    assert "given up" in caplog.text


def test_a_clean_up_removes_what_nobody_sends(traced: History, settings: Settings) -> None:
    """Where traces were turned off again, no exporter gives it up."""
    finish(traced, 2)
    retention = Retention(settings, traced)
    retention.clean_up(now=utc_now())
    assert traced.trace_outbox.waiting() == 2
    grow_old(traced)
    retention.clean_up(now=utc_now())
    assert traced.trace_outbox.waiting() == 0


def test_headers_are_sent_and_shown_nowhere(
    traced: History, collector: OtlpCollector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in a message, even if the collector quotes them."""
    settings = settings_of(collector, tmp_path, traces_headers="X-Key=hunter2abc, x-team=media=1")
    finish(traced)
    TraceExporter(settings, lambda: traced).export()
    [headers] = collector.headers
    assert headers["x-key"] == "hunter2abc"
    assert "hunter2abc" not in repr(settings)
    collector.status, collector.said = 403, b"the key hunter2abc is not known"
    with pytest.raises(ServiceRefusedError) as refused:
        Collector(settings).check()
    assert "hunter2abc" not in refused.value.message


def test_a_process_that_ends_waits_only_briefly_for_a_collector_that_hangs(
    traced: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_LEAVE_S", 0.2)
    entries = finish(traced)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        settings = Settings.load(
            _env_file=None, home=tmp_path, traces_url=f"http://127.0.0.1:{hanging.getsockname()[1]}"
        )
        with exporting_traces(settings, lambda: traced, look_s=0.01):
            connection, _ = hanging.accept()  # it is being sent
            begun = time.monotonic()
        taken_s = time.monotonic() - begun
        connection.close()
    make_due(traced)
    kept = traced.trace_outbox.claim(10, hold_s=60)

    assert taken_s < TIMEOUT_S / 2
    assert {each.attempt_id for each in kept} == entries


def test_a_fault_ends_nothing(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """A database that is away is told of once."""
    asked = threading.Semaphore(0)

    def gone() -> History:
        asked.release()
        raise DatabaseUnavailableError("gone")

    with caplog.at_level(logging.WARNING), exporting_traces(settings, gone, look_s=0.01):
        assert all(asked.acquire(timeout=30) for _ in range(3))
    assert [each.getMessage() for each in caplog.records] == [
        "Traces could not be sent; they wait. DatabaseUnavailableError: gone"
    ]


def test_a_missing_extra_is_named(traced: History, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost by it."""
    for name in [each for each in sys.modules if each.startswith("opentelemetry.proto")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "mediajobs_dagster.telemetry.traces.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.trace.v1.trace_service_pb2", None)
    finish(traced)
    with pytest.raises(ExtraMissingError, match=r"mediajobs\[traces\]"):
        TraceExporter(settings, lambda: traced).export()
    assert traced.trace_outbox.waiting() == 1


def test_doctor_asks_the_collector(settings: Settings, collector: OtlpCollector) -> None:
    """An empty message is one that it takes."""
    assert Collector(settings).check() == "the collector takes what it is sent"
    assert (collector.requests, collector.got) == (1, [])
    with MediaJobs(settings) as media:
        assert [each.fine for each in media.doctor() if each.check == "traces"] == [True]
        collector.status = 404
        assert [each.fine for each in media.doctor() if each.check == "traces"] == [False]


def test_an_attempt_that_is_ended_twice_is_noted_once(traced: History) -> None:
    """The answer to the first call did not arrive."""
    claim = claimed(traced)
    for _ in range(2):
        traced.leases.finish(ended(claim, AttemptStatus.SKIPPED), job_status=JobStatus.SKIPPED)
    assert traced.trace_outbox.waiting() == 1
