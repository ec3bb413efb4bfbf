"""What commands print for scripts is what the use cases return, serialised."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster import AttemptFilter, JobFilter
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, JobStatus
from tests.cli.conftest import Call
from tests.clips import Clips
from tests.platform import Platform

UseCase = Callable[[Platform, str], Any]

COMMANDS: dict[tuple[str, ...], UseCase] = {
    ("jobs", "list"): lambda platform, _: [job.to_json() for job in platform.media.named(platform.media.jobs())],
    ("jobs", "list", "--status", "dead"): lambda platform, _: [
        job.to_json() for job in platform.media.named(platform.media.jobs(JobFilter(statuses=(JobStatus.DEAD,))))
    ],
    ("jobs", "show", "JOB"): lambda platform, job: platform.media.job(job).to_json(),
    ("attempt", "JOB"): lambda platform, job: platform.media.attempt(job).to_json(),
    ("history", "stats"): lambda platform, _: platform.media.statistics().to_json(),
    ("history", "stats", "--status", "failure"): lambda platform, _: platform.media.statistics(
        AttemptFilter(statuses=(AttemptStatus.FAILURE,))
    ).to_json(),
    ("add", "FOLDER", "--dry-run"): lambda platform, _: platform.media.inspect(platform.settings.home.parent).to_json(),
}


@pytest.fixture
def worked(platform: Platform, clips: Clips) -> tuple[Platform, str]:
    """A platform with one job that succeeded and one that is dead, and the id of the former."""
    (job,) = platform.media.add(clips.landscape(), types=[Thumbnail.name]).jobs
    platform.media.add(clips.text_named_mp4(), types=[Thumbnail.name])
    platform.work()
    return platform, job.id


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_prints_what_its_use_case_returns(
    mediajobs: Call, worked: tuple[Platform, str], words: tuple[str, ...], tmp_path: Path
) -> None:
    """Key by key, value by value."""
    platform, job_id = worked
    stands_for = {"JOB": job_id, "FOLDER": str(tmp_path)}
    printed = mediajobs(*(stands_for.get(word, word) for word in words), "--json").json
    assert printed == COMMANDS[words](platform, job_id)


def test_the_history_is_written_as_the_use_case_writes_it(mediajobs: Call, worked: tuple[Platform, str]) -> None:
    """Byte by byte."""
    platform, _ = worked
    out = io.StringIO()
    assert platform.media.export_history(out, "jsonl", with_manifest=True) == 2
    assert mediajobs("history", "export", "--manifests").out == out.getvalue()
