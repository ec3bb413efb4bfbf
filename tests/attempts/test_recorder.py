"""What a recorder tells while an attempt goes on, and the manifest that it makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mediajobs_dagster import __version__
from mediajobs_dagster.attempts.manifest import (
    MAX_CALLS,
    ErrorRecord,
    InputMetrics,
    Manifest,
    Metrics,
    OutputRecord,
    StageRecord,
    TimeLedger,
    Truncated,
    Versions,
)
from mediajobs_dagster.attempts.recorder import Recorder, key_of, manifest_of_lost
from mediajobs_dagster.errors import Blame, DiskFullError, InputCorruptError, WorkerLostError
from mediajobs_dagster.models import (
    AttemptStatus,
    FfmpegCommand,
    HostFacts,
    MediaInfo,
    RtfBasis,
    ServiceCall,
    StorageOp,
    VideoStream,
)
from mediajobs_dagster.records import (
    AttemptKey,
    CallEnded,
    CallStarted,
    CommandEnded,
    CommandStarted,
    Record,
    StageEnded,
    StageStarted,
    StorageOpEnded,
)
from tests.history.factories import NOON, TRACE, claimed
from tests.platform import Platform

KEY = AttemptKey("attempt", "test_v1", "subject", job_id="job", number=3, trace_id=TRACE, run_id="run")
HOST = HostFacts(hostname="here", cpu_cores=128.0)
VIDEO = VideoStream(index=0, codec="h264", width=640, height=360, fps=25.0)
SOURCE = MediaInfo(container="mp4", duration_seconds=12.5, bytes=1000, video=(VIDEO,))


class Clock:
    """A clock that goes on when it is told to."""

    ms = 0

    def now(self) -> datetime:
        """By this clock."""
        return NOON + timedelta(milliseconds=self.ms)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the recorder."""
    clock = Clock()
    monkeypatch.setattr("mediajobs_dagster.attempts.recorder.time.monotonic_ns", lambda: clock.ms * 1_000_000)
    monkeypatch.setattr("mediajobs_dagster.attempts.recorder.utc_now", clock.now)
    return clock


@pytest.fixture
def told() -> list[Record]:
    """All that a recorder tells."""
    return []


@pytest.fixture
def recorder(clock: Clock, told: list[Record]) -> Recorder:
    """The recorder of an attempt that has just begun."""
    return Recorder(KEY, HOST, lambda record: told.append(replace(record, at=NOON)), started_at=NOON, _start=clock.ms)


def a_command(
    program: str, duration_ms: int, cpu_seconds: float = 0.0, max_rss_mb: float | None = None
) -> FfmpegCommand:
    return FfmpegCommand(
        argv=(program, "source"),
        started_at=NOON,
        duration_ms=duration_ms,
        exit_code=0,
        status="ok",
        cpu_seconds=cpu_seconds,
        max_rss_mb=max_rss_mb,
    )


def an_op(op: str, size: int = 0) -> StorageOp:
    return StorageOp(op=op, bucket="bucket", key="key", bytes=size, duration_ms=1, status="ok")


def a_call(begin_ms: int, duration_ms: int) -> ServiceCall:
    started_at = NOON + timedelta(milliseconds=begin_ms)
    return ServiceCall(
        service="asr", op="write", target="https://asr", started_at=started_at, duration_ms=duration_ms, status="ok"
    )


def test_a_manifest_has_all_that_a_recorder_was_told(recorder: Recorder, clock: Clock) -> None:
    """Summed up by kind; the time of calls, however they overlap and outlast a stage, is that of services."""
    probe, make = a_command("ffprobe", 30, 0.5, 50.0), a_command("ffmpeg", 1900, 244.0, 300.0)
    unmeasured = a_command("ffmpeg", 0)
    ops = [an_op("head"), an_op("get", 1000), an_op("range_read", 200), an_op("open", 30), an_op("put", 4000)]
    calls = [a_call(400, 400), a_call(300, 300), a_call(450, 50), a_call(1100, 120)]
    output = OutputRecord(key="out/one.mp4", bytes=4000, sha256="f" * 64)
    recorder.queue_ms, recorder.params, recorder.ffmpeg_version = 70, {"seconds": 1}, "7.1"
    recorder.info = SOURCE
    recorder.input_summary["filename"] = "one.mp4"
    took = {"wait": 4, "check": 6, "fetch": 180, "ask": 1010, "probe": 40, "plan": 5, "ffmpeg": 2000}
    begun: dict[str, datetime] = {}
    for name, duration_ms in (took | {"verify": 100, "publish": 60}).items():
        clock.ms += 1
        begun[name] = clock.now()
        with recorder.timed(name):
            clock.ms += duration_ms
            for command in {"probe": [probe], "ffmpeg": [make, unmeasured]}.get(name, []):
                recorder.add_command(command)
    for op in ops:
        recorder.add_storage_op(op)
    for call in calls:
        recorder.add_call(call)
    recorder.stands_for("http://127.0.0.1/source?X-Amz-Signature=0123abcd", "uploads/one")
    recorder.outputs.append(output)
    recorder.note("A note.")
    recorder.figures["entries"] = 2
    recorder.stage = "publish"
    recorder.add_error(DiskFullError("It was full."))

    manifest = recorder.manifest(AttemptStatus.SUCCESS)
    [(address, key)] = manifest.files.items()
    assert (key, "0123abcd" in address) == ("uploads/one", False)
    assert manifest == Manifest(
        schema_version=2,
        job_id="job",
        job_type="test_v1",
        attempt=3,
        trace_id=TRACE,
        run_id="run",
        status=AttemptStatus.SUCCESS,
        started_at=NOON,
        finished_at=NOON + timedelta(milliseconds=3414),
        duration_ms=3414,
        queue_ms=70,
        input_summary={"subjectId": "subject", "params": {"seconds": 1}, "filename": "one.mp4"},
        stages=tuple(
            StageRecord(name=name, started_at=begun[name], duration_ms=duration_ms, status="ok")
            for name, duration_ms in (took | {"verify": 100, "publish": 60}).items()
        ),
        ffmpeg_commands=(probe, make, unmeasured),
        s3_ops=tuple(ops),
        calls=tuple(calls),
        outputs=(output,),
        figures={"entries": 2},
        errors=(
            ErrorRecord(code="DISK_FULL", message="It was full.", blame=Blame.SYSTEM, retryable=True, stage="publish"),
        ),
        metrics=Metrics(
            rtf=3.661,
            media_seconds=12.5,
            rtf_basis=RtfBasis.INPUT,
            ffmpeg_ms=1900,
            s3_bytes_in=1230,
            s3_bytes_out=4000,
            cpu_pct_avg=12842.1,
            mem_rss_mb_max=300.0,
            input=InputMetrics(duration_seconds=12.5, video_codec="h264", width=640, height=360, fps=25.0),
            host=HOST,
        ),
        time_ledger=TimeLedger(
            queue_ms=70,
            download_ms=186,
            probe_ms=40 - 15,
            plan_ms=5,
            prepare_ms=4 + 1010 - 604,
            service_ms=604 + 15,
            ffmpeg_ms=2000,
            verify_ms=100,
            upload_ms=60,
            other_ms=9,
        ),
        versions=Versions(mediajobs=__version__, ffmpeg="7.1"),
        files=manifest.files,
        notes=("A note.",),
        truncated=Truncated(ffmpeg_commands=0, s3_ops=0, calls=0, errors=0),
    )
    assert recorder.cpu_seconds == 244.5
    assert list(recorder.entries()) == [*manifest.stages, *ops, *calls, probe, make, unmeasured]


def test_an_attempt_in_which_nothing_happened_has_taken_nothing(recorder: Recorder) -> None:
    """Not even a millisecond: there is no factor then."""
    recorder.info = SOURCE
    manifest = recorder.manifest(AttemptStatus.SUCCESS)
    source = InputMetrics.of(SOURCE)
    assert manifest.metrics == Metrics(rtf=None, media_seconds=12.5, input=source, host=HOST)
    assert (manifest.queue_ms, manifest.duration_ms, manifest.errors) == (0, 0, ())
    assert manifest.time_ledger == TimeLedger(queue_ms=0)
    recorder.add_command(a_command("ffprobe", 1))
    assert recorder.manifest(AttemptStatus.FAILURE).metrics == Metrics(input=source, host=HOST)


@pytest.mark.parametrize(("lengths", "expected"), [((), None), ((None,), None), ((8.0, None, 12.0, 4.0), 12.0)])
def test_what_counts_its_output_counts_the_longest(
    recorder: Recorder, clock: Clock, lengths: tuple[float | None, ...], expected: float | None
) -> None:
    """Whatever the source has; and none where nothing that it made has a length."""
    recorder.info, recorder.rtf_basis = SOURCE, RtfBasis.OUTPUT
    clock.ms = 6000
    for length in lengths:
        info = None if length is None else SOURCE.model_copy(update={"duration_seconds": length})
        recorder.outputs.append(OutputRecord(key="out", bytes=1, sha256="f" * 64, media_info=info))
    metrics = recorder.manifest(AttemptStatus.SUCCESS).metrics
    assert (metrics.media_seconds, metrics.rtf) == (expected, expected and 2.0)
    assert metrics.rtf_basis is RtfBasis.OUTPUT
    failed = recorder.manifest(AttemptStatus.FAILURE).metrics
    assert (failed.media_seconds, failed.rtf) == (None, None)


def test_listeners_are_told_what_goes_on_as_it_does(recorder: Recorder, clock: Clock, told: list[Record]) -> None:
    """Of which attempt, in which stage, and what."""
    command, op, call = a_command("ffmpeg", 1), an_op("get", 1), a_call(0, 1)
    with recorder.timed("fetch"):
        recorder.begin_command(("ffmpeg", "-i", "source"))
        recorder.add_command(command)
        recorder.add_storage_op(op)
        recorder.begin_call("asr", "write", "https://asr")
        recorder.add_call(call)
        clock.ms = 25
    recorder.add_storage_op(op)
    assert told == [
        StageStarted(at=NOON, key=KEY, stage="fetch"),
        CommandStarted(at=NOON, key=KEY, argv=("ffmpeg", "-i", "source")),
        CommandEnded(at=NOON, key=KEY, stage="fetch", command=command),
        StorageOpEnded(at=NOON, key=KEY, stage="fetch", op=op),
        CallStarted(at=NOON, key=KEY, stage="fetch", service="asr", op="write", target="https://asr"),
        CallEnded(at=NOON, key=KEY, stage="fetch", call=call),
        StageEnded(at=NOON, key=KEY, stage="fetch", status="ok", duration_ms=25),
        StorageOpEnded(at=NOON, key=KEY, stage=None, op=op),
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputCorruptError("It is."), "INPUT_CORRUPT"),
        (RuntimeError("a fault"), "INTERNAL_ERROR"),
        (KeyboardInterrupt(), "INTERRUPTED"),
    ],
)
def test_what_ends_a_stage_ends_the_attempt_in_that_stage(
    recorder: Recorder, told: list[Record], error: BaseException, status: str
) -> None:
    """It is on record, and goes on to whoever decides what becomes of it."""
    with pytest.raises(type(error)), recorder.timed("probe"):
        raise error
    assert recorder.stage == "probe"
    assert [(stage.name, stage.status) for stage in recorder.manifest(AttemptStatus.FAILURE).stages] == [
        ("probe", status)
    ]
    assert told[-1] == StageEnded(at=NOON, key=KEY, stage="probe", status=status, duration_ms=0)


@pytest.mark.parametrize(
    ("known", "told_from"),
    [((True,), "upload"), ((False,), "probe"), ((True, False), "probe"), ((False, True), "probe")],
)
def test_media_is_from_the_upload_if_that_of_every_source_is(
    recorder: Recorder, known: tuple[bool, ...], told_from: str
) -> None:
    """One that had to be probed is enough to say so."""
    for each in known:
        recorder.describe_media(known=each)
    assert recorder.manifest(AttemptStatus.SUCCESS).input_summary["mediaInfoFrom"] == told_from


def test_what_is_noted_again_is_kept_once(recorder: Recorder) -> None:
    """As when several commands of an attempt stumble over the same place of a source."""
    for text in ("1 damaged picture.", "Something else.", "1 damaged picture."):
        recorder.note(text)
    assert recorder.manifest(AttemptStatus.SUCCESS).notes == ("1 damaged picture.", "Something else.")


def test_calls_beyond_the_cap_are_counted(recorder: Recorder) -> None:
    """As those of the other lists are."""
    calls = [a_call(number, 1) for number in range(MAX_CALLS + 3)]
    for call in calls:
        recorder.add_call(call)
    manifest = recorder.manifest(AttemptStatus.SUCCESS)
    half = MAX_CALLS // 2
    assert manifest.calls == (*calls[:half], *calls[-half:])
    assert manifest.truncated == Truncated(calls=3)


def test_an_attempt_is_named_by_its_claim(platform: Platform) -> None:
    """Its job, its number, and where it runs."""
    claim = claimed(platform.history)
    assert key_of(claim) == AttemptKey(
        attempt_id=claim.attempt.id,
        job_type="upload_thumb_v1",
        subject_id="upload-1",
        job_id=claim.job.id,
        number=1,
        trace_id=TRACE,
        run_id="run-1",
    )
    manifest = Recorder.of(claim, HOST, lambda _: None).manifest(AttemptStatus.SKIPPED)
    assert manifest.input_summary == {"subjectId": "upload-1", "params": {"seconds": 0.2}}


@pytest.mark.parametrize(
    ("row", "host", "queue_ms"),
    [({"queue_ms": 40}, "worker-1", 40), ({"queue_ms": None, "host": None}, "unknown", 0)],
)
def test_of_a_lost_attempt_the_record_is_made_from_its_row(
    platform: Platform, row: dict[str, object], host: str, queue_ms: int
) -> None:
    """Nobody knows what it did: all of its time is left over."""
    claim = claimed(platform.history, now=NOON)
    claim = replace(claim, attempt=claim.attempt.model_copy(update=row))
    now = NOON + timedelta(seconds=61.5)
    assert manifest_of_lost(claim, WorkerLostError("Gone."), now) == Manifest(
        job_id=claim.job.id,
        job_type="upload_thumb_v1",
        attempt=1,
        trace_id=TRACE,
        run_id="run-1",
        status=AttemptStatus.LOST,
        started_at=NOON,
        finished_at=now,
        duration_ms=61_500,
        queue_ms=queue_ms,
        input_summary={"subjectId": "upload-1", "params": {"seconds": 0.2}},
        errors=(ErrorRecord(code="WORKER_LOST", message="Gone.", blame=Blame.SYSTEM, retryable=True),),
        metrics=Metrics(host=HostFacts(hostname=host)),
        time_ledger=TimeLedger(queue_ms=queue_ms, other_ms=61_500),
        versions=Versions(),
    )
