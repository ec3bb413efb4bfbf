"""One video that is added while a folder of a thousand is worked on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.servers.mediajobs_up import running_up

pytestmark = pytest.mark.timeout(600)

THUMB = Thumbnail.name
FOLDER = 1_000
PATIENCE_S = 5.0


def twin(clip: Path, path: Path) -> Path:
    """The same media as another file: behind it comes a box that players skip, with the name of the twin."""
    name = path.name.encode()
    path.write_bytes(clip.read_bytes() + (8 + len(name)).to_bytes(4, "big") + b"free" + name)
    return path


def wait_until(holds: Callable[[], bool], *, at_most_s: float = 240.0) -> None:
    """Wait for something to hold."""
    give_up = time.monotonic() + at_most_s
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_one_video_does_not_wait_behind_a_folder(tmp_path: Path, clips: Clips) -> None:
    """It has its thumbnail within five seconds, however little of the folder is done."""
    folder, home = tmp_path / "folder", tmp_path / "home"
    folder.mkdir()
    for number in range(FOLDER):
        twin(clips.short(), folder / f"{number}.mp4")
    with MediaJobs.open(_env_file=None, home=home) as media, running_up(home):
        media.add(folder, types=[THUMB], keep=False)

        def done() -> int:
            return media.history.jobs.counts()[THUMB][JobStatus.COMPLETED]

        wait_until(lambda: done() >= 20)
        start = time.monotonic()
        trace = media.add(twin(clips.short(), tmp_path / "one.mp4"), types=[THUMB]).trace_id
        wait_until(lambda: media.jobs(JobFilter(trace_id=trace))[0].status is JobStatus.COMPLETED)
        assert time.monotonic() - start < PATIENCE_S
        assert done() < FOLDER
        wait_until(lambda: done() == FOLDER + 1)  # what made room is not forgotten
