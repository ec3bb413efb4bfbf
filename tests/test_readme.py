"""What README shows works as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mediajobs_dagster import MediaJobs
from tests.clips import Clips
from tests.platform import Platform

README = Path(__file__).parents[1] / "README.md"


def test_the_python_examples(clips: Clips, tmp_path: Path) -> None:
    """A stranger runs them in a fresh folder with a talk in it, one after the other. In between, the work is done."""
    shutil.copy(clips.landscape(), tmp_path / "talk.mp4")
    asking, framing, reporting = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    asked = run(asking, tmp_path)
    assert "upload_thumb_v1 queued" in asked
    assert "create_video_export_v1 queued" in asked
    with MediaJobs.open(_env_file=None, home=tmp_path / ".mediajobs") as media:
        Platform(media).work()
    assert "h264" in run(framing, tmp_path)
    assert run(reporting, tmp_path) == "1.0 []\n"
    assert (tmp_path / "notes" / "processing_log.json").is_file()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_lines_for_completion(shell: str) -> None:
    """Each makes a function of its shell, which asks the command for the words that may follow."""
    (variable,) = set(re.findall(rf"(\w+)={shell}_source mediajobs", README.read_text()))
    command = [str(Path(sys.executable).with_name("mediajobs"))]
    source = subprocess.run(
        command, env={**os.environ, variable: f"{shell}_source"}, check=True, stdout=subprocess.PIPE, text=True
    )
    assert "_mediajobs_completion" in source.stdout
    asked = {variable: f"{shell}_complete", "COMP_WORDS": "mediajobs histo", "COMP_CWORD": "1"}
    words = subprocess.run(
        command,
        env={**os.environ, **asked, **({"COMP_CWORD": "histo"} if shell == "fish" else {})},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "history" in words.stdout


def run(code: str, folder: Path) -> str:
    """What it prints, in an interpreter of its own, with no settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAJOBS_")}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
