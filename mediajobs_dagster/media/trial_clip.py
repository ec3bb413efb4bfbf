"""Makes a small clip, on which work is tried after a failure that no message explains."""

from __future__ import annotations

from pathlib import Path

from mediajobs_dagster.media.command import Command, Generated, Output
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.models import MediaInfo

FILENAME = "clip.mp4"


def make_trial_clip(runner: Runner, folder: Path) -> MediaInfo:
    """Write a clip of 1 s with picture and sound into `folder`, and probe it. Takes about 0.1 s.

    Raises what the runner raises: then ffmpeg does not work on this machine.
    """
    picture = Generated("testsrc=size=320x180:rate=30:duration=1")
    sound = Generated("sine=frequency=440:sample_rate=48000:duration=1")
    # Encoders that every ffmpeg has: the clip must not depend on a library.
    options = ("-c:v", "mpeg4", "-q:v", "3", "-pix_fmt", "yuv420p", "-c:a", "aac")
    runner.run(Command((picture, sound), (Output(FILENAME, options),)), cwd=folder, report=lambda _: None)
    return probe(runner, FILENAME, cwd=folder)
