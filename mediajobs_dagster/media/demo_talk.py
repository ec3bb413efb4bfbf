"""Makes a short spoken talk, to try transcripts and study guides on."""

from __future__ import annotations

from pathlib import Path

from mediajobs_dagster.media.command import Command, Generated, Input, Output
from mediajobs_dagster.media.run import Report, Runner
from mediajobs_dagster.media.voice import speak

TALK = """
Welcome. This talk explains how video compression works.
A video is a series of pictures. A camera takes thirty pictures in every second.
Without compression, one minute of video would fill ten gigabytes on a disk.
So a codec looks for everything that is the same, and writes it down only once.

First, the codec looks at one picture by itself. This is called a key frame.
A key frame is divided into small blocks. A block with one colour needs only a few bits.
Fine details that people cannot see are removed. This step is called quantization.

Second, the codec compares each picture with the picture before.
Most blocks have not changed, or have only moved a little.
So the codec writes down a motion vector, which says where the block came from.
A frame that is predicted from an earlier frame is much smaller than a key frame.

Because of prediction, a player cannot begin in the middle of a group of frames.
It has to find the last key frame, and decode every frame after it.
For this reason, editors use a proxy. A proxy is a small copy with many key frames.
With a proxy, an editor can jump to any moment without waiting.

To sum up. Compression removes what is repeated, and what nobody can see.
Key frames can be read alone, and predicted frames cannot.
More key frames make a video larger, but easier to edit. Thank you for listening.
"""
TITLE = "How video compression works"


def make_demo_talk(runner: Runner, path: Path, report: Report = lambda _: None) -> None:
    """Write the talk to `path` (.mp4): 640x360 and its sound, about two minutes. Takes a few seconds.

    Raises ExtraMissingError when the extra `demo` is not installed.
    """
    voice = path.with_suffix(".wav")
    try:
        speak(TALK, voice, words_a_minute=140)
        runner.run(
            Command(
                inputs=(
                    Generated("gradients=size=640x360:rate=5:nb_colors=3:speed=0.005:c0=0x10243e:c1=0x1f6f8b"),
                    Input(voice.name),
                ),
                outputs=(
                    Output(
                        path.name,
                        (
                            *("-map", "0:v", "-map", "1:a", "-shortest", "-metadata", f"title={TITLE}"),
                            *("-c:v", "libx264", "-preset", "veryfast", "-crf", "28", "-pix_fmt", "yuv420p"),
                            *("-c:a", "aac", "-b:a", "96k", "-movflags", "+faststart"),
                        ),
                    ),
                ),
            ),
            cwd=path.parent,
            report=report,
        )
    finally:
        voice.unlink(missing_ok=True)
