"""Every operation on a job logs its beginning and its end, under the ids of job, attempt, trace and run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.contextvars import get_contextvars

from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.records import Record, StageStarted
from mediajobs_dagster.telemetry.logs import IDS, OURS
from mediajobs_dagster.telemetry.operation_log import log_record
from tests.clips import Clips
from tests.platform import Platform

THUMB = Thumbnail.name


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What our loggers get."""
    records, handler, logger = list[Any](), logging.Handler(), logging.getLogger(OURS)
    handler.emit = records.append  # type: ignore[method-assign]
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield records
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_an_attempt_is_logged_from_its_beginning_to_its_end(
    platform: Platform, clips: Clips, logged: list[Any]
) -> None:
    """Stages in pairs, commands and storage in between, all under the same ids."""
    upload = platform.add(clips.landscape(), THUMB)
    bound: list[dict[str, Any]] = []

    def look(record: Record) -> None:
        if isinstance(record, StageStarted):
            bound.append(get_contextvars())

    platform.work(log_record, look)
    job, events = platform.job(upload, THUMB), [each.data["event"] for each in logged if hasattr(each, "data")]
    assert events[0] == "attempt_started"
    assert events[-1] == "attempt_ended"
    assert events.count("stage_started") == events.count("stage_ended") == len(bound) > 0
    assert {"command_started", "command_ended", "storage_op_ended"} <= set(events)
    ids = {"jobId": job.id, "attempt": 1, "traceId": job.trace_id, "runId": "run"}
    assert all({name: getattr(each, name) for name in IDS} == ids for each in logged if hasattr(each, "data"))
    assert all(each == ids for each in bound)
    assert get_contextvars() == {}
    ended = logged[-1].data
    assert ended["jobStatus"] == "completed"
    assert ended["outputs"] == platform.current_keys(upload, THUMB)


def test_a_failure_says_why(platform: Platform, clips: Clips, logged: list[Any]) -> None:
    """As an error if the job is dead; the stage that failed says by what."""
    platform.add(clips.text_named_mp4(), THUMB)
    platform.work(log_record)
    *_, stage, ended = [each for each in logged if hasattr(each, "data") and "storage" not in each.name]
    assert (stage.data["event"], stage.data["status"], stage.levelname) == ("stage_ended", "INPUT_NOT_MEDIA", "WARNING")
    assert (ended.levelname, ended.data["errorCode"]) == ("ERROR", "INPUT_NOT_MEDIA")
    assert "INPUT_NOT_MEDIA: The input is not a media file" in ended.getMessage()


def test_dispatch_retry_and_cancel_are_logged(platform: Platform, clips: Clips, logged: list[Any]) -> None:
    """Where a person or the daemon acts on a job."""
    upload = platform.add(clips.landscape(), THUMB)
    media, job = platform.media, platform.job(upload, THUMB)
    media.listen(log_record)
    media.cancel(job.id)
    media.retry(job.id)
    media.dispatcher.next(THUMB, batch_size=1)
    found = [(each.data["event"], each.jobId) for each in logged if hasattr(each, "data")]
    assert found == [("cancelled", job.id), ("queued_again", job.id), ("dispatched", job.id)]


def test_only_who_wants_it_pays_for_it(platform: Platform) -> None:
    """As text, operations are logged only with the level debug: `up` and `work` tell people what they want to know."""
    assert not platform.settings.logs_operations
    assert platform.settings.model_copy(update={"log_level": "debug"}).logs_operations
    assert platform.settings.model_copy(update={"log_format": "json"}).logs_operations
