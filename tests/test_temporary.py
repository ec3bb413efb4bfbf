"""Folders below the temporary folder: they go, even if their process is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mediajobs_dagster.temporary import temporary_folder

HOLD = """
import sys, time
from mediajobs_dagster.temporary import temporary_folder
with temporary_folder("test") as folder:
    (folder / "code.sock").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_the_folder_of_a_killed_process_goes_with_the_next_one(temporary: Path) -> None:
    """Not before it is killed, and not those of others: another purpose, another program, a link."""
    elsewhere = temporary / "elsewhere"
    (elsewhere / "kept").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        held = Path(process.stdout.readline().strip())
        link = held.with_name(f"{held.name}-link")
        link.symlink_to(elsewhere)
        with temporary_folder("test") as own, temporary_folder("other") as other:
            assert held.is_dir()
            assert own != other
            process.send_signal(signal.SIGKILL)
            process.wait(60)
            assert (held / "code.sock").exists()
            with temporary_folder("test"):
                assert not held.exists()
                assert own.is_dir()
                assert other.is_dir()
    assert (elsewhere / "kept").is_dir()
    assert sorted(path.name for path in temporary.iterdir()) == sorted(["elsewhere", link.name])


def test_the_folder_goes_when_the_work_fails(temporary: Path) -> None:
    """And nobody else may look into it."""

    def fail() -> None:
        with temporary_folder("test") as folder:
            assert folder.stat().st_mode & 0o077 == 0
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(temporary.iterdir()) == []
