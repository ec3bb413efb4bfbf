"""What a run says of its attempts while they go on, and how little of it."""

from __future__ import annotations

import logging
from typing import Any

from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.orchestration.run_log import RunLog
from tests.clips import Clips
from tests.platform import Platform

PROXY = EditProxy.name


def lines_of(platform: Platform, **options: Any) -> list[str]:
    """What a run log gets of all that is queued; `logging` stands in for the log of a run, which has its methods."""
    logger, said = logging.Logger("run"), list[str]()
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    platform.work(RunLog(logger, **options))  # type: ignore[arg-type]
    return said


def test_a_long_attempt_tells_how_far_it_is(platform: Platform, clips: Clips) -> None:
    """Each stage and each tenth at most once, with the file at the end."""
    upload = platform.add(clips.landscape(), PROXY)
    *progress, end = lines_of(platform, quiet_s=0.0)
    assert any(", ffmpeg: " in line and "%" in line for line in progress)
    assert 2 <= len(progress) <= 10 + len(("fetch", "ffmpeg", "verify", "publish"))
    assert all(line.startswith(f"Job {platform.job(upload, PROXY).id}, ") for line in progress)
    assert end.startswith(f"{upload.filename} ({upload.id}): job ")


def test_a_short_attempt_leaves_one_line(platform: Platform, clips: Clips) -> None:
    """What stays for ever is not filled with what took seconds."""
    platform.add(clips.landscape(), PROXY)
    assert len(lines_of(platform)) == 1


def test_a_failure_begins_with_the_file_and_the_reason(platform: Platform, clips: Clips) -> None:
    """Name, id, code and message, before what only machines look for."""
    upload = platform.add(clips.text_named_mp4(), PROXY)
    (line,) = lines_of(platform)
    assert line.startswith(f"{upload.filename} ({upload.id}): INPUT_NOT_MEDIA: The input is not a media file")
