"""What attempts add to the metrics is what their manifests say."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

import pytest

from mediajobs_dagster.attempts.measures import KnownNames, log_once, quietly
from mediajobs_dagster.history.series import Measure, labels_of
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
from tests.platform import Platform

THUMB = "upload_thumb_v1"


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
