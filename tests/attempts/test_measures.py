"""What attempts add to the metrics is what their manifests say."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from typing_extensions import override

from mediajobs_dagster.attempts.manifest import StageRecord
from mediajobs_dagster.attempts.measures import KnownNames, counted, counted_once, log_once, measures_of, quietly
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.errors import InputCorruptError
from mediajobs_dagster.history.series import Measure, labels_of
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import FfmpegCommand, HostFacts, ServiceCall, StorageOp
from mediajobs_dagster.records import AttemptKey
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
from tests.history.factories import NOON
from tests.platform import Platform

THUMB = "upload_thumb_v1"


class Naming(Thumbnail):
    """A job type that calls a service."""

    @override
    def measured_names(self, settings: Settings) -> Iterable[str]:
        return ("asr", "write")


def test_stages_and_calls_are_those_of_the_manifests(platform: Platform, clips: Clips) -> None:
    """Of an attempt that made something and of one that failed: how many, how long, and how they ended."""
    good, bad = platform.add(clips.landscape(), THUMB), platform.add(clips.text_named_mp4(), THUMB)
    outcomes = platform.work()
    manifests = [platform.manifest(each, THUMB) for each in (good, bad)]
    stages = [stage for manifest in manifests for stage in manifest.stages]
    found = platform.history.series.all()
    assert len(outcomes) == 2
    assert _numbers(found, "worker.stage_latency_ms", "stage") == Counter(stage.name for stage in stages)
    took = sum(each.sum_ms for each in found if each.name == "worker.stage_latency_ms")
    assert took == sum(stage.duration_ms for stage in stages) > 0
    failures = Counter(stage.status for stage in stages if stage.status != "ok")
    assert _numbers(found, "worker.stage_failures_total", "code") == failures
    assert failures
    operations = Counter(each.op for manifest in manifests for each in manifest.s3_ops)
    calls = [each for each in found if each.name == "external.calls_total"]
    assert _numbers([each for each in calls if "service=storage" in each.labels], "external.calls_total", "op") == (
        operations
    )
    commands = Counter(each.argv[0] for manifest in manifests for each in manifest.ffmpeg_commands)
    programs = [each for each in calls if "service=ff" in each.labels]
    assert _numbers(programs, "external.calls_total", "service") == commands
    assert _numbers(found, "external.call_latency_ms", "service").total() == operations.total() + commands.total()
    assert {labels_of(each.labels)["stage"] for each in found if "stage=" in each.labels} & {"other"} == set()


def test_metrics_can_be_off(open_platform: Callable[..., Platform], clips: Clips) -> None:
    """Then nothing of attempts is measured, and no command is sampled; the record stays."""
    platform = open_platform(metrics=False)
    upload = platform.add(clips.landscape(), THUMB)
    (outcome,) = platform.work()
    assert outcome.error is None
    names = {each.name for each in platform.history.series.all()}
    assert names <= {"jobs.created_total", "jobs.status_transition_total", "jobs.total_latency_ms", "jobs.ended_total"}
    assert platform.manifest(upload, THUMB).stages


def test_a_name_that_nobody_declared_is_other(caplog: pytest.LogCaptureFixture) -> None:
    """And is logged once: a job type that makes names up adds one series, not one a job."""
    names = KnownNames(Registry(()), Settings.load(_env_file=None))
    assert [names.known("made-up-1") for _ in range(3)] == ["other"] * 3
    assert names.known("fetch") == "fetch"
    assert sum("made-up-1" in message for message in caplog.messages) == 1


def test_measuring_never_breaks_an_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it raises, nothing is counted, and that is logged."""

    def fail() -> tuple[Measure, ...]:
        raise RuntimeError("a fault in measuring")

    with caplog.at_level(logging.WARNING):
        assert quietly(fail) == ()
    log_once("RuntimeError", "not said again")
    assert sum("a fault in measuring" in message for message in caplog.messages) == 1
    assert "not said again" not in caplog.text


def _numbers(measures: list[Measure], name: str, label: str) -> Counter[str]:
    found = Counter[str]()
    for each in measures:
        if each.name == name:
            found[labels_of(each.labels)[label]] += each.number
    return found


def test_each_entry_is_counted_under_its_own_labels(tmp_path: Path) -> None:
    """What ran, what was asked of it, how it ended, and how long it took; what nobody declared is `other`."""
    recorder = Recorder(AttemptKey("attempt", THUMB, "upload"), HostFacts(hostname="here"))
    names = KnownNames(Registry((Naming(),)), Settings.load(_env_file=None, home=tmp_path))
    began = {"started_at": NOON, "duration_ms": 7}
    for error in (KeyboardInterrupt(), InputCorruptError("It is."), RuntimeError("a fault")):
        with pytest.raises(type(error)), recorder.timed("fetch"):
            raise error
    recorder._stages.append(StageRecord(name="fetch", started_at=NOON, duration_ms=0, status="NO_ERROR_OF_OURS"))
    for op, status in (("get", "ok"), ("put", "STORAGE_MISSING"), ("put", "STALLED"), ("made-up-2", "INTERRUPTED")):
        recorder.add_storage_op(StorageOp(op=op, bucket="bucket", key="key", duration_ms=7, status=status))
    for argv, status in ((("ffmpeg", "-i"), "ok"), (("ffprobe", "a"), "TIMEOUT"), ((), "ok")):
        recorder.add_command(FfmpegCommand(argv=argv, exit_code=0, status=status, **began))
    recorder.add_call(ServiceCall(service="asr", op="write", target="", status="SERVICE_TIMEOUT", **began))
    found = measures_of(recorder, names)
    assert {(each.name, each.labels): each.number for each in found if each.name != "worker.stage_latency_ms"} == {
        ("external.calls_total", "service=storage,op=get,outcome=success"): 1,
        ("external.calls_total", "service=storage,op=put,outcome=error"): 1,
        ("external.calls_total", "service=storage,op=put,outcome=timeout"): 1,
        ("external.calls_total", "service=storage,op=other,outcome=cancelled"): 1,
        ("external.calls_total", "service=ffmpeg,op=run,outcome=success"): 1,
        ("external.calls_total", "service=ffprobe,op=probe,outcome=timeout"): 1,
        ("external.calls_total", "service=other,op=other,outcome=success"): 1,
        ("external.calls_total", "service=asr,op=write,outcome=timeout"): 1,
        ("external.call_latency_ms", "service=storage,op=get"): 1,
        ("external.call_latency_ms", "service=storage,op=put"): 2,
        ("external.call_latency_ms", "service=storage,op=other"): 1,
        ("external.call_latency_ms", "service=ffmpeg,op=run"): 1,
        ("external.call_latency_ms", "service=ffprobe,op=probe"): 1,
        ("external.call_latency_ms", "service=other,op=other"): 1,
        ("external.call_latency_ms", "service=asr,op=write"): 1,
        ("worker.stage_failures_total", "stage=fetch,code=INTERRUPTED"): 1,
        ("worker.stage_failures_total", "stage=fetch,code=INPUT_CORRUPT"): 1,
        ("worker.stage_failures_total", "stage=fetch,code=INTERNAL_ERROR"): 1,
        ("worker.stage_failures_total", "stage=fetch,code=other"): 1,
    }
    assert {(each.labels, each.number) for each in found if each.name == "worker.stage_latency_ms"} == {
        ("stage=fetch", 4)
    }
    assert sum(each.sum_ms for each in found if each.name == "external.call_latency_ms") == 8 * 7
    assert measures_of(recorder, KnownNames(names.registry, names.settings.model_copy(update={"metrics": False}))) == ()


def test_one_is_counted_as_one_and_none_not_at_all() -> None:
    """Of what has no duration."""
    assert counted_once("events.persist_failures_total", kind="a") == (
        Measure("events.persist_failures_total", "kind=a", -1, 1, 0),
    )
    assert counted("worker.recovered_jobs_total", 3) == (Measure("worker.recovered_jobs_total", "", -1, 3, 0),)
    assert counted("worker.recovered_jobs_total", 0) == ()
