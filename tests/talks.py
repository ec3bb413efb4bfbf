"""A short talk whose words are subtitles inside of it, so that nobody has to listen to it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.clips import Clips

BEES = ("Bees live in hives.", "A hive has one queen.", "Worker bees gather nectar from flowers.")


def make_talk(clips: Clips, path: Path, said: Sequence[str] = BEES) -> Path:
    """Write a talk to `path` (.mp4), two seconds a sentence, unless it is there already."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        cues = (f"{n}\n00:00:0{2 * n},000 --> 00:00:0{2 * n + 1},900\n{text}\n" for n, text in enumerate(said))
        texts = path.with_suffix(".srt")
        texts.write_text("\n".join(cues))
        command = [str(clips.tools.ffmpeg), "-nostdin", "-v", "error", "-f", "lavfi"]
        command += ["-i", f"sine=duration={2 * len(said)}", "-i", str(texts)]
        subprocess.run([*command, "-c:a", "aac", "-c:s", "mov_text", "-y", str(path)], check=True)
        texts.unlink()
    return path
