"""What the media tests share: a runner with short limits, and the proof that nothing is left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from mediajobs_dagster.media.command import Command, Generated, Guards, Input, Output
from mediajobs_dagster.media.process import Limits
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import FfmpegCommand


@pytest.fixture
def runner(tools: Tools) -> Runner:
    """A runner whose limits a test can afford to run into."""
    limits = Limits(stall_s=20, total_s=60, sample_interval_s=0.05)
    return Runner(tools, Guards(threads=2, max_pixels=8192 * 8192, reconnect_s=1), limits)


@dataclass
class Records:
    """Takes the reports of a runner."""

    commands: list[FfmpegCommand] = field(default_factory=list)

    def __call__(self, command: FfmpegCommand) -> None:
        self.commands.append(command)

    @property
    def only(self) -> FfmpegCommand:
        """The one report there is; more or fewer are a fault."""
        assert len(self.commands) == 1
        return self.commands[0]


@pytest.fixture
def records() -> Records:
    """An empty list of reports."""
    return Records()


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """No test leaves a process or a file descriptor, however its commands ended."""
    descriptors, processes = open_descriptors(), set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) - processes == set()
    assert open_descriptors() - descriptors == set()


def open_descriptors() -> set[tuple[str, str]]:
    """The pipes and sockets that this process has open."""
    found: set[tuple[str, str]] = set()
    for entry in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else ():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:  # the descriptor of this very listing
            continue
        if target.startswith(("pipe:", "socket:")):
            found.add((entry.name, target))
    return found


def endless() -> Command:
    """A command that would run for an hour at real-time speed, and costs hardly any CPU."""
    source = Generated("testsrc2=size=320x180:rate=30:duration=3600", ("-re",))
    return Command((source,), (Output("endless.mkv", ("-c:v", "mpeg4")),), media_seconds=3600)


def decode_all(source: str = "source", media_seconds: float | None = None) -> Command:
    """Decodes the first picture and sound track of a file, and writes nothing."""
    null = Output("null", ("-map", "0:v:0?", "-map", "0:a:0?", "-f", "null"))
    return Command((Input(source),), (null,), media_seconds=media_seconds)
