"""The code that stands in the documentation works as it stands there."""

from __future__ import annotations

import re
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from mediajobs_dagster import MediaJobs
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import AttemptStatus
from tests.clips import Clips
from tests.platform import Platform
from tests.test_architecture import FLOORS, PACKAGE
from tests.test_readme import run

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
SEAM = ROOT / "tests" / "seam"

OpenPlatform = Callable[..., Platform]


def blocks(page: str, language: str = "python") -> list[str]:
    """The pieces of code on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def module_of(code: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """What it defines."""
    module = types.ModuleType("shown")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(code, vars(module))
    return module


def test_the_job_type_of_the_tutorial(
    open_platform: OpenPlatform, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found wanted, runs, and leaves a picture."""
    (code,) = blocks("tutorial.md")
    job_type = module_of(code, monkeypatch).JOB_TYPE
    platform = open_platform(registry=Registry.standard().with_types(job_type))
    (added,) = platform.media.add(clips.landscape()).uploads
    assert job_type.name in {entry.job.job_type for entry in added.jobs}
    outcome = next(each for each in platform.work() if each.job.job_type == job_type.name)
    assert outcome.status is AttemptStatus.SUCCESS, outcome.error
    (poster,) = outcome.manifest.outputs
    assert poster.key == f"posters/uploads/{added.upload.id}/{outcome.attempt_id}/poster.jpg"
    assert platform.output(poster.key).stat().st_size > 0


def test_the_job_types_of_the_how_to_are_those_that_are_tested() -> None:
    """A whole package, and pieces of others, word by word."""
    tested = [path.read_text() for path in SEAM.rglob("*.py")]
    shown = blocks("how-to/write-a-job-type.md")
    assert [path.name for path in (SEAM / "plugin").glob("*.py") if path.read_text() not in shown] == []
    assert [code for code in shown if not any(code in text for text in tested)] == []
    assert blocks("how-to/write-a-job-type.md", "toml") == [(SEAM / "plugin" / "pyproject.toml").read_text()]


def test_the_listener_hears_of_a_fault_of_the_system(
    open_platform: OpenPlatform, clips: Clips, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And of nothing else: the file that is no video is its owner's matter."""
    (code,) = blocks("how-to/listen.md")
    platform = open_platform(max_attempts=1)
    listener = module_of(code, monkeypatch).failures(platform.settings)
    platform.add(clips.text_named_mp4(), "upload_thumb_v1")
    platform.work(listener)
    assert caplog.records == []
    platform.storage.delete(platform.add(clips.landscape(), "upload_thumb_v1").storage_key)
    platform.work(listener)
    assert [record.getMessage().split()[0] for record in caplog.records] == ["upload_thumb_v1"]


def test_the_python_of_the_how_to(clips: Clips, tmp_path: Path) -> None:
    """A stranger runs it piece by piece, in a folder with a talk in it; in between, the work is done."""
    shutil.copy(clips.landscape(), tmp_path / "talk.mp4")
    adding, failing, asking, framing = blocks("how-to/python.md")
    assert run(adding, tmp_path) == "upload_thumb_v1 queued\n"
    assert run(failing, tmp_path) == "REQUEST_INVALID input\n"
    with MediaJobs.open(_env_file=None, home=tmp_path / ".mediajobs") as media:
        media.add(clips.text_named_mp4(), types=["upload_thumb_v1"])
        Platform(media).work()
    name = clips.text_named_mp4().name
    assert run(asking, tmp_path).startswith(f"upload_thumb_v1 {name} ['The input is not a media file")
    framed = run(framing, tmp_path)
    assert "success" in framed
    assert "publish" in framed


# --- the architecture page -------------------------------------------------------------------------------------------


def section_of(heading: str) -> str:
    """A section of the architecture page."""
    return ARCHITECTURE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_the_layout_is_told_in_the_order_of_the_floors() -> None:
    """Every part of the package has its line, and they stand as they may import each other."""
    first_cells = re.findall(r"^\| (`[^|]*) \|", section_of("Layout"), re.MULTILINE)
    told = [name for cell in first_cells for name in re.findall(r"`(\w+)(?:/|\.py)`", cell)]
    assert told == [part for part in FLOORS if part != "__main__"]


def test_what_is_named_on_the_architecture_page_is_there() -> None:
    """Each file and folder, by its path or by its last part."""
    known = {str(path.relative_to(root)) for root in (ROOT, PACKAGE) for path in PACKAGE.rglob("*")}
    known |= {Path(path).name for path in known}
    named = re.findall(r"`([\w/]+(?:\.py|/))`", ARCHITECTURE.read_text())
    assert len(named) > 100
    assert [name for name in named if name.rstrip("/") not in known and not (ROOT / name).exists()] == []


def test_what_is_to_be_changed_in_a_file_is_in_that_file() -> None:
    """A name in brackets behind a file stands in it."""
    hints = re.findall(r"`([\w/]+\.py)`,? \(((?:`\w+`(?:, )?)+)\)", section_of("Where to change what"))
    assert len(hints) > 5
    for file, names in hints:
        for name in re.findall(r"\w+", names):
            assert re.search(rf"\b{name}\b", (PACKAGE / file).read_text()), f"{file} has no {name}"
