"""What a collector gets of attempts and jobs: which spans, in which order, and what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mediajobs_dagster import __version__
from mediajobs_dagster.attempts.recovery import recover
from mediajobs_dagster.history import Claim, History
from mediajobs_dagster.history.schema import jobs, trace_outbox
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import AttemptStatus, JobStatus, new_id
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.telemetry.traces.exporting import TraceExporter, exporting_traces
from mediajobs_dagster.trace_context import TraceParent, attempt_span_id, following, otel_trace_id
from tests.clips import Clips
from tests.history.factories import TRACE, a_new_job, claimed, ended, let_pass
from tests.platform import AllGone, Platform
from tests.seam.headline import Headline
from tests.servers.otlp_collector import Got, OtlpCollector
from tests.services.server import serving
from tests.telemetry.recorded import a_manifest, at, with_manifest

ROOT = Path(__file__).parents[2]


def settings_of(collector: OtlpCollector, home: Path, **settings: Any) -> Settings:
    return Settings.load(_env_file=None, home=home, traces_url=collector.address, **settings)


@pytest.fixture
def exporter(traced: History, collector: OtlpCollector, tmp_path: Path) -> TraceExporter:
    """Sends to the collector; Dagster knows nothing of the run."""
    return TraceExporter(settings_of(collector, tmp_path), lambda: traced)


def again(history: History, claim: Claim) -> Claim:
    """The next attempt at a job that waits for it."""
    assert history.leases.assign(claim.job.job_type, limit=1, lease_s=60)
    dispatch = history.jobs.get(claim.job.id).dispatch_id
    assert dispatch
    found = history.leases.claim(dispatch, run_id="run-2", host="worker-2", lease_s=60)
    assert found
    return found


def assert_nested(got: Sequence[Got], *, besides: str = "job ") -> None:
    """Each span lies within its parent; only a child job may go on after the attempt that asked for it."""
    by_id = {each.id: each for each in got}
    for each in got:
        assert each.start <= each.end
        parent = by_id.get(each.parent_id)
        if parent and not each.name.startswith(besides):
            assert parent.start <= each.start <= each.end <= parent.end, (each.name, parent.name)


def test_an_attempt_that_succeeds_is_one_tree(
    traced: History, exporter: TraceExporter, collector: OtlpCollector
) -> None:
    """Its job, what led to it, its stages, and in them what they did, at the times that are on record."""
    claim = claimed(traced)
    attempt = with_manifest(claim)
    traced.leases.finish(attempt, job_status=JobStatus.COMPLETED)
    assert exporter.export() == 1

    assert_nested(collector.got)
    assert {each.trace_id for each in collector.got} == {TRACE}
    job, run = collector.one("job upload_thumb_v1"), collector.one("run")
    whole = collector.one("attempt upload_thumb_v1")
    assert (job.parent_id, whole.id) == ("", attempt_span_id(attempt.id))
    assert {collector.one(name).parent_id for name in ("submit", "queue", "run")} == {job.id}
    assert whole.parent_id == run.id
    stages = [collector.one(name) for name in ("fetch", "ask", "publish")]
    assert {each.parent_id for each in stages} == {whole.id}
    stage, command = collector.named("ffmpeg")
    assert (stage.parent_id, command.parent_id) == (whole.id, stage.id)
    assert collector.one("storage get").parent_id == stages[0].id
    assert collector.one("games list").parent_id == stages[1].id
    assert collector.one("storage range_read").parent_id == stage.id
    assert collector.one("storage put").parent_id == stages[2].id

    microseconds = attempt.started_at.timestamp() * 1e6
    assert whole.start == round(microseconds) * 1000
    assert whole.end - whole.start == 900_000_000
    assert (command.start - whole.start, command.end - command.start) == (220_000_000, 500_000_000)
    order = [each.start for each in (*stages[:2], stage, stages[2])]
    assert order == sorted(order)
    assert [each.error for each in collector.got if each.error] == []
    assert traced.trace_outbox.waiting() == 0


def test_spans_say_what_they_are_about(traced: History, exporter: TraceExporter, collector: OtlpCollector) -> None:
    """By the names of OpenTelemetry where it has some, and without secrets."""
    claim = claimed(traced)
    traced.leases.finish(with_manifest(claim), job_status=JobStatus.COMPLETED)
    exporter.export()

    whole = collector.one("attempt upload_thumb_v1")
    assert whole.resource == {"service.name": "mediajobs", "service.version": __version__, "host.name": "worker-1"}
    about = whole.attributes
    assert about["mediajobs.job.id"] == claim.job.id
    assert about["mediajobs.attempt.id"] == claim.attempt.id
    assert (about["mediajobs.attempt.number"], about["mediajobs.attempt.status"]) == (1, "success")
    assert about["mediajobs.run.id"] == "run-1"
    assert collector.one("job upload_thumb_v1").attributes["mediajobs.job.status"] == "completed"

    command = collector.named("ffmpeg")[1].attributes
    assert command["process.executable.name"] == "ffmpeg"
    assert command["process.exit.code"] == 0
    assert command["mediajobs.command.speed"] == 2.5
    assert command["process.command_args"][:2] == ["/usr/bin/ffmpeg", "-i"]
    assert command["process.command_args"][2] == "https://host.example/video.mp4?<redacted>"
    assert not any(b"AKIA" in each.span.SerializeToString() for each in collector.got)

    put = collector.one("storage put").attributes
    assert (put["mediajobs.storage.key"], put["mediajobs.storage.bytes"]) == ("thumbs/one.jpg", 50)
    assert collector.one("storage range_read").attributes["mediajobs.storage.is_sum"] is True
    call = collector.one("games list")
    assert call.id == "00f067aa0ba902b7"  # which the service was told
    assert call.attributes == {
        "url.full": "https://games.example:8443/v1/games?day",
        "server.address": "games.example",
        "server.port": 8443,
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.request.resend_count": 1,
        "http.response.body.size": 77,
        "mediajobs.service.name": "games",
        "mediajobs.service.operation": "list",
    }


def test_objects_on_s3_have_the_names_of_s3(traced: History, collector: OtlpCollector, tmp_path: Path) -> None:
    """Bucket and key."""
    exporter = TraceExporter(settings_of(collector, tmp_path, storage_url="s3://media"), lambda: traced)
    traced.leases.finish(with_manifest(claimed(traced)), job_status=JobStatus.COMPLETED)
    exporter.export()
    about = collector.one("storage put").attributes
    assert (about["aws.s3.bucket"], about["aws.s3.key"]) == ("media", "thumbs/one.jpg")


def test_a_run_has_the_start_that_dagster_knows(traced: History, collector: OtlpCollector, tmp_path: Path) -> None:
    """Until then it is dispatched; the attempt begins later, when its turn in the run comes."""
    [enqueued] = traced.jobs.enqueue([a_new_job()])
    let_pass(traced, 60)
    assert traced.leases.assign(enqueued.job.job_type, limit=1, lease_s=60)
    let_pass(traced, 10)
    dispatch_id = traced.jobs.get(enqueued.job.id).dispatch_id or ""
    claim = traced.leases.claim(dispatch_id, run_id="run-1", host="worker-1", lease_s=60)
    assert claim
    traced.leases.finish(with_manifest(claim), job_status=JobStatus.COMPLETED)
    begun = claim.attempt.started_at - timedelta(seconds=4)
    asked = list[str]()

    def starts(run_ids: Sequence[str]) -> dict[str, Any]:
        asked.extend(run_ids)
        return {"run-1": begun}

    TraceExporter(settings_of(collector, tmp_path), lambda: traced, starts).export()
    assert asked == ["run-1"]
    assert_nested(collector.got)
    queue, dispatch, run = (collector.one(name) for name in ("queue", "dispatch", "run"))
    whole = collector.one("attempt upload_thumb_v1")
    assert queue.end - queue.start == pytest.approx(60e9, abs=2e9)
    assert queue.end == dispatch.start
    assert dispatch.end == run.start == round(begun.timestamp() * 1e6) * 1000
    assert whole.start - run.start == 4_000_000_000
    assert run.end == whole.end


def test_a_job_that_is_tried_again_has_both_attempts(
    traced: History, exporter: TraceExporter, collector: OtlpCollector
) -> None:
    """The failure is an error with its code and message; the job is told when it has ended, and succeeded."""
    claim = claimed(traced)
    traced.leases.finish(with_manifest(claim, AttemptStatus.FAILURE), job_status=JobStatus.FAILED)
    assert exporter.export() == 1
    failed = collector.one("attempt upload_thumb_v1")
    assert failed.error == "DISK_FULL: The scratch disk is full."
    assert failed.attributes["error.type"] == "DISK_FULL"
    [event] = failed.span.events
    assert (event.name, event.time_unix_nano) == ("exception", failed.end)
    assert collector.named("job upload_thumb_v1") == []

    second = again(traced, claim)
    traced.leases.finish(with_manifest(second, calls=()), job_status=JobStatus.COMPLETED)
    assert exporter.export() == 1
    job = collector.one("job upload_thumb_v1")
    assert (job.error, job.attributes["mediajobs.job.attempts"]) == (None, 2)
    assert [each.parent_id for each in collector.named("run")] == [job.id, job.id]
    assert [each.error is None for each in collector.named("attempt upload_thumb_v1")] == [False, True]
    assert len(collector.named("submit")) == 1
    assert_nested(collector.got)
    assert set(collector.times().values()) == {1}


def test_a_dead_job_is_an_error(traced: History, exporter: TraceExporter, collector: OtlpCollector) -> None:
    """With the fault of its last attempt."""
    traced.leases.finish(with_manifest(claimed(traced), AttemptStatus.FAILURE), job_status=JobStatus.DEAD)
    exporter.export()
    job = collector.one("job upload_thumb_v1")
    assert (job.error, job.attributes["mediajobs.job.status"]) == ("DISK_FULL: The scratch disk is full.", "dead")


def test_a_lost_attempt_is_told_by_whoever_finds_it(
    traced: History, exporter: TraceExporter, collector: OtlpCollector, tmp_path: Path
) -> None:
    """Its worker cannot."""
    claim = claimed(traced)
    let_pass(traced, 3600)
    recover(traced, settings_of(collector, tmp_path), AllGone(), settling_s=0)
    assert exporter.export() == 1
    lost = collector.one("attempt upload_thumb_v1")
    assert lost.error
    assert lost.error.startswith("WORKER_LOST: The worker worker-1 fell silent")
    assert lost.attributes["mediajobs.attempt.status"] == "lost"
    assert_nested(collector.got)
    let_pass(traced, 3600)
    second = again(traced, claim)
    traced.leases.finish(with_manifest(second), job_status=JobStatus.COMPLETED)
    assert exporter.export() == 1
    assert_nested(collector.got)
    assert len(collector.named("attempt upload_thumb_v1")) == 2
    assert collector.one("job upload_thumb_v1").error is None


def test_children_hang_below_the_attempt_that_asked_for_them(
    traced: History, exporter: TraceExporter, collector: OtlpCollector
) -> None:
    """They begin when it has ended."""
    claim = claimed(traced)
    child = a_new_job(job_type="upload_edit_proxy_v1", parent_job_id=claim.job.id)
    traced.leases.finish(with_manifest(claim), job_status=JobStatus.COMPLETED, children=[child])
    dispatch = traced.leases.assign("upload_edit_proxy_v1", limit=1, lease_s=60)
    assert dispatch
    second = traced.leases.claim(dispatch.id, run_id=None, host="worker-2", lease_s=60)
    assert second
    traced.leases.finish(with_manifest(second), job_status=JobStatus.COMPLETED)
    exporter.export()
    job = collector.one("job upload_edit_proxy_v1")
    assert job.parent_id == attempt_span_id(claim.attempt.id)
    assert job.attributes["mediajobs.job.parent_id"] == claim.job.id
    assert collector.one("attempt upload_edit_proxy_v1").parent_id == job.id  # no run: none is on record
    assert_nested(collector.got)


def test_what_another_program_caused_hangs_below_its_span(
    traced: History, exporter: TraceExporter, collector: OtlpCollector
) -> None:
    """Only in the trace that it named."""
    parent = TraceParent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    with following(parent):
        ours = claimed(traced, trace_id=parent.trace_id)
        other = claimed(traced, trace_id=TRACE)
    for claim in (ours, other):
        traced.leases.finish(with_manifest(claim), job_status=JobStatus.COMPLETED)
    exporter.export()
    found = {each.trace_id: each.parent_id for each in collector.named("job upload_thumb_v1")}
    assert found == {parent.trace_id: parent.span_id, TRACE: ""}


def test_a_trace_of_any_name_has_an_id(traced: History, exporter: TraceExporter, collector: OtlpCollector) -> None:
    """The name itself is told beside."""
    traced.leases.finish(with_manifest(claimed(traced, trace_id="order 7")), job_status=JobStatus.COMPLETED)
    exporter.export()
    assert {each.trace_id for each in collector.got} == {otel_trace_id("order 7")}
    assert collector.one("job upload_thumb_v1").attributes["mediajobs.trace_id"] == "order 7"


def test_a_job_that_is_cancelled_while_it_waits_is_told(
    traced: History, exporter: TraceExporter, collector: OtlpCollector
) -> None:
    """One by one, many at once, and with a run that never claimed it."""
    first, second, third = (traced.jobs.enqueue([a_new_job()])[0].job for _ in range(3))
    traced.jobs.cancel(first.id)
    traced.jobs.cancel_many([second.id], [JobStatus.QUEUED])
    dispatch = traced.leases.assign(third.job_type, limit=1, lease_s=60)
    assert dispatch
    assert traced.leases.cancel_assigned(dispatch.id) == 1
    assert exporter.export() == 3
    assert_nested(collector.got)
    told = collector.named("job upload_thumb_v1")
    assert {each.attributes["mediajobs.job.id"] for each in told} == {first.id, second.id, third.id}
    assert {each.attributes["mediajobs.job.status"] for each in told} == {"cancelled"}
    assert {each.error for each in told} == {None}
    assert len(collector.named("queue")) == 3


@pytest.mark.parametrize("many", [False, True])
def test_a_job_that_is_cancelled_at_work_ends_with_its_attempt(
    traced: History, exporter: TraceExporter, collector: OtlpCollector, many: bool
) -> None:
    """Which its worker ends."""
    claim = claimed(traced)
    if many:
        traced.jobs.cancel_many([claim.job.id], [JobStatus.PROCESSING])
    else:
        traced.jobs.cancel(claim.job.id)
    assert exporter.export() == 0
    traced.leases.give_up(ended(claim, AttemptStatus.CANCELLED))
    traced.leases.give_up(ended(claim, AttemptStatus.CANCELLED))  # its answer did not arrive
    assert exporter.export() == 1
    assert collector.one("job upload_thumb_v1").attributes["mediajobs.job.status"] == "cancelled"
    assert collector.one("attempt upload_thumb_v1").attributes["mediajobs.attempt.status"] == "cancelled"


def test_a_job_that_is_asked_for_again_is_told_again(
    traced: History, exporter: TraceExporter, collector: OtlpCollector
) -> None:
    """As a further span, although the first one is told only when the job goes on already."""
    claim = claimed(traced)
    traced.leases.finish(with_manifest(claim, AttemptStatus.FAILURE), job_status=JobStatus.DEAD)
    traced.jobs.retry(claim.job.id)
    second = again(traced, claim)
    traced.leases.finish(with_manifest(second), job_status=JobStatus.COMPLETED)
    assert exporter.export() == 2
    dead, completed = collector.named("job upload_thumb_v1")
    assert [each.attributes["mediajobs.job.status"] for each in (dead, completed)] == ["dead", "completed"]
    assert [each.parent_id for each in collector.named("run")] == [dead.id, completed.id]
    assert_nested(collector.got)


@pytest.mark.parametrize("many", [False, True])
def test_a_job_that_does_not_wait_for_its_next_try_begins_anew(
    traced: History, exporter: TraceExporter, collector: OtlpCollector, many: bool
) -> None:
    """It is asked for again by hand: what was tried before ends with its last failure."""
    claim = claimed(traced)
    traced.leases.finish(with_manifest(claim, AttemptStatus.FAILURE), job_status=JobStatus.FAILED, pause_s=3600)
    if many:
        assert traced.jobs.retry_many([claim.job.id], [JobStatus.FAILED])
    else:
        traced.jobs.retry(claim.job.id)
    second = again(traced, claim)
    traced.leases.finish(with_manifest(second), job_status=JobStatus.COMPLETED)
    assert exporter.export() == 3
    failed, completed = collector.named("job upload_thumb_v1")
    assert [each.attributes["mediajobs.job.status"] for each in (failed, completed)] == ["failed", "completed"]
    assert failed.error == "DISK_FULL: The scratch disk is full."
    assert [each.parent_id for each in collector.named("run")] == [failed.id, completed.id]
    assert_nested(collector.got)


def test_an_attempt_that_was_overtaken_is_told(
    traced: History, exporter: TraceExporter, collector: OtlpCollector
) -> None:
    """Its job was cancelled and asked for again before its worker noticed."""
    claim = claimed(traced)
    traced.jobs.cancel(claim.job.id)
    traced.jobs.retry(claim.job.id)
    traced.leases.give_up(ended(claim, AttemptStatus.CANCELLED))
    assert exporter.export() == 1
    assert collector.one("run").parent_id == collector.one("job upload_thumb_v1").id


def test_clocks_that_disagree_bend_no_span(traced: History, exporter: TraceExporter, collector: OtlpCollector) -> None:
    """A clock that is set back within an attempt, a worker that is ahead, an operation that is in no stage."""
    claim = claimed(traced)
    whole = a_manifest(claim)
    begin = claim.attempt.started_at
    first, second, *others = whole.stages
    stages = (
        first.model_copy(update={"started_at": at(begin, -500)}),
        second.model_copy(update={"started_at": at(begin, 3_600_000)}),
        *others,
    )
    [command] = whole.ffmpeg_commands
    long = command.model_copy(update={"duration_ms": 10**9})
    early = command.model_copy(update={"started_at": at(begin, -7)})
    attempt = with_manifest(claim, stages=stages, ffmpeg_commands=(long, early))
    traced.leases.finish(attempt, job_status=JobStatus.COMPLETED)
    with traced._database.write() as connection:
        connection.execute(sa.update(jobs).values(created_at=at(begin, 9000)))
    exporter.export()
    assert_nested(collector.got)
    stages_told = [each for each in collector.got if "mediajobs.stage" in each.attributes]
    assert [each.start for each in stages_told] == sorted(each.start for each in stages_told)


def test_hostile_text_arrives(traced: History, exporter: TraceExporter, collector: OtlpCollector) -> None:
    """Halves of surrogate pairs, control characters, and far too much of it."""
    claim = claimed(traced)
    manifest = a_manifest(claim)
    [command] = manifest.ffmpeg_commands
    argv = ("ffmpeg", "\x1b[31m\x00", "x" * 100_000, *["-y"] * 1000)
    attempt = with_manifest(claim, AttemptStatus.FAILURE, ffmpeg_commands=(command.model_copy(update={"argv": argv}),))
    told = attempt.model_copy(update={"error": "name\ud800 \x1b[2J password=hunter2abc"})
    traced.leases.finish(told, job_status=JobStatus.DEAD)
    assert exporter.export() == 1
    arguments = collector.named("ffmpeg")[1].attributes["process.command_args"]
    assert len(arguments) == 256
    assert len(arguments[2]) == 4096
    assert "hunter2abc" not in (collector.one("attempt upload_thumb_v1").error or "")


def test_a_call_is_the_span_that_the_service_was_told(
    open_platform: Callable[..., Platform], clips: Clips, collector: OtlpCollector, tmp_path: Path
) -> None:
    """So what it tells of its own work is found below the call of the very step that made it."""
    registry = Registry([Headline(), Registry.standard()["upload_thumb_v1"]])
    with serving(lambda exchange: exchange.answer({"headline": "A talk"})) as service:
        platform = open_platform(registry=registry, traces_url=collector.address)
        upload = platform.add(clips.landscape(), "upload_thumb_v1")
        wanted = Headline().request(upload, trace_id="order 7", params={"address": service.url})
        [enqueued] = platform.history.jobs.enqueue([wanted])
        outcome = next(each for each in platform.work() if each.job.id == enqueued.job.id)
    assert outcome.status is AttemptStatus.SUCCESS
    TraceExporter(platform.settings, lambda: platform.history).export()
    parent = TraceParent.parse(service.exchanges[0].headers["traceparent"])
    call = collector.one("headlines write")
    assert parent == TraceParent(call.trace_id, call.id)
    assert call.trace_id == otel_trace_id("order 7")
    assert call.parent_id == collector.one("write_headline").id
    assert_nested(collector.got)


# --- where they are off ----------------------------------------------------------------------------------------------


def test_a_service_is_told_of_no_span_where_traces_are_off(
    open_platform: Callable[..., Platform], clips: Clips
) -> None:
    """Nobody collects one."""
    with serving(lambda exchange: exchange.answer({"headline": "A talk"})) as service:
        platform = open_platform(registry=Registry([Headline(), Registry.standard()["upload_thumb_v1"]]))
        upload = platform.add(clips.landscape(), "upload_thumb_v1")
        wanted = Headline().request(upload, trace_id="order 7", params={"address": service.url})
        platform.history.jobs.enqueue([wanted])
        assert {each.status for each in platform.work()} == {AttemptStatus.SUCCESS}
    assert "traceparent" not in service.exchanges[0].headers


def test_nothing_is_noted_where_traces_are_off(history: History) -> None:
    """No row, for no way in which something ends."""
    claim = claimed(history)
    history.leases.finish(ended(claim), job_status=JobStatus.COMPLETED, children=[a_new_job()])
    cancelled = claimed(history)
    history.jobs.cancel(cancelled.job.id)
    history.leases.give_up(ended(cancelled, AttemptStatus.CANCELLED))
    [waiting] = history.jobs.enqueue([a_new_job()])
    history.jobs.cancel_many([waiting.job.id], [JobStatus.QUEUED])
    with history._database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(trace_outbox)) == 0
        assert connection.scalars(sa.select(jobs.c.caused_by_span).distinct()).all() == [None]


def test_without_a_collector_nothing_is_imported(tmp_path: Path) -> None:
    """Neither OpenTelemetry nor the exporter's own client, whatever is done."""
    program = """
import sys
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.traces.exporting import exporting_traces
import mediajobs_dagster.cli.main, mediajobs_dagster.attempts.attempt, mediajobs_dagster.console.app
with MediaJobs.open(home=sys.argv[1], _env_file=None) as media, exporting_traces(media.settings, lambda: media.history):
    media.check()
    media.doctor()
print(sorted(each for each in sys.modules if each.startswith(("opentelemetry.proto", "opentelemetry.sdk"))))
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_the_end_of_a_block_sends_what_is_due(traced: History, collector: OtlpCollector, tmp_path: Path) -> None:
    """However short the block was."""
    with exporting_traces(settings_of(collector, tmp_path), lambda: traced, look_s=60):
        traced.leases.finish(with_manifest(claimed(traced, idempotency_key=new_id())), job_status=JobStatus.COMPLETED)
    assert len(collector.named("attempt upload_thumb_v1")) == 1
