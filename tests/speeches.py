"""Speech, made once a session by eSpeak NG, and other sound that is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mediajobs_dagster.media.voice import speak
from tests.clips import Clips

SAID = (
    "The harvest was good this year. Farmers brought apples and plums to the market. "
    "Nobody had seen so many people in the square before. What shall we do with all this fruit?"
)
"""What is said in the clip, which lasts 12 s."""


class Speeches:
    """Makes sound with speech on demand, and keeps it for the session. No file that a method returns may be changed."""

    def __init__(self, clips: Clips) -> None:
        self._clips = clips

    def spoken(self, text: str = SAID, *, voice: str = "en-us", name: str = "spoken.wav") -> Path:
        """The text, as a file of sound."""
        path = self._clips.folder / name
        if not path.exists():
            speak(text, path, voice=voice)
        return path

    def talk(self) -> Path:
        """A video in which `SAID` is said, 2 s after its beginning, to a picture of one colour."""
        return self.made(
            "talk.mp4",
            *("-f", "lavfi", "-i", "color=gray:size=320x180:rate=10:duration=15", "-itsoffset", "2"),
            *("-i", str(self.spoken()), "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"),
        )

    def made(self, name: str, *arguments: str) -> Path:
        """What ffmpeg makes with these arguments."""
        path = self._clips.folder / name
        if not path.exists():
            command = [str(self._clips.tools.ffmpeg), "-nostdin", "-v", "error", *arguments, "-y", str(path)]
            subprocess.run(command, check=True)
        return path


@pytest.fixture(scope="session")
def speeches(clips: Clips) -> Speeches:
    """Speech of the session."""
    return Speeches(clips)
