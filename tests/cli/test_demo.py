"""`mediajobs demo` and `mediajobs work`, run as a shell runs them: the whole way through Dagster."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.conftest import Answer
from tests.clips import Clips

ROOT = Path(__file__).parent.parent.parent
PROGRAM = [sys.executable, "-c", "from mediajobs_dagster.cli.main import main; main()"]
OF_UPLOADS = {"upload_thumb_v1", "upload_edit_proxy_v1", "upload_audio_envelope_v1"}
OF_TALKS = {"transcript_v1": 3, "study_guide_v1": 4}
"""What is made of the spoken talk: how many files each."""


def start(home: Path, *arguments: object) -> subprocess.Popen[str]:
    """One call in the project's folder, where Dagster's own settings lie."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAJOBS_")}
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        cwd=ROOT,
        env=environment | {"MEDIAJOBS_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Answer:
    """Its end."""
    with process:
        out, err = process.communicate(timeout=250)
    return Answer(process.returncode, out, err)


@pytest.mark.timeout(600)  # two demos at once
def test_demo(tmp_path: Path, clips: Clips) -> None:
    """A video's three outputs, an edit of it, the three of that, and a talk's guide, as one trace: a table, or JSON."""
    for_people = start(tmp_path / "one", "demo")  # makes a clip of its own
    for_scripts = start(tmp_path / "other", "demo", clips.landscape(), "--json")
    shown, told = finish(for_people), finish(for_scripts)

    assert shown.code == 0, shown.err
    assert all(shown.out.count(f"{noun}  ") == 2 for noun in ("thumbnail", "edit_proxy", "audio_envelope"))
    assert shown.out.count("video_export  ") == 1
    assert all(shown.out.count(f"{noun}  ") == 1 for noun in ("transcript", "study_guide"))
    assert shown.out.count("completed") == 9
    assert "mediajobs jobs list --trace" in shown.out

    assert told.code == 0, told.err
    assert Counter(job["jobType"] for job in told.json["jobs"]) == Counter(
        [*OF_UPLOADS, *OF_UPLOADS, "create_video_export_v1", *OF_TALKS]
    )
    for job in told.json["jobs"]:
        assert (job["status"], job["error"]) == ("completed", None)
        assert (job["rtf"] or 0) > 0 or job["jobType"] == "study_guide_v1"
        assert len(job["outputs"]) == OF_TALKS.get(job["jobType"], 1)
        for output in job["outputs"]:
            assert Path(output).is_relative_to(tmp_path / "other")
            assert Path(output).stat().st_size > 0


def test_work_ends_with_1_when_a_job_is_dead(tmp_path: Path, clips: Clips) -> None:
    """A file that is no media: the attempt's manifest is in the JSON, and the exit code tells."""
    text = clips.text_named_mp4()
    assert finish(start(tmp_path, "add", text, "--type", "upload_thumb_v1")).code == 0
    worked = finish(start(tmp_path, "work", "--json"))
    assert worked.code == 1, worked.err
    (manifest,) = worked.json["attempts"]
    assert manifest["errors"][0]["code"] == "INPUT_NOT_MEDIA"
