"""What CI says last, when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
TESTS = """
import pytest

@pytest.mark.parametrize("word", ["good", "bad"])
def test_word(word):
    assert word == "good", "no good word"

@pytest.fixture
def server():
    raise RuntimeError("it does not start")

def test_server(server):
    pass
"""


def test_failed_tests_are_named_with_what_they_said(tmp_path: Path) -> None:
    """Those whose fixtures failed too, and none that passed; without a report there is nothing to name."""
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    # Options of the session that is under way would have this one write over its report.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--junitxml", "report.xml"]
    assert subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True).returncode == 1
    said = failed(tmp_path / "report.xml")
    assert [line for line in said.splitlines() if "::" in line] == [
        "FAILURE test_some::test_word[bad]",
        "ERROR test_some::test_server",
    ]
    assert "no good word" in said
    assert "it does not start" in said
    assert "none on record" in failed(tmp_path / "*.xml")


def failed(report: Path) -> str:
    """What the script prints of a report."""
    script = [sys.executable, str(PROJECT / ".ci" / "failed.py"), str(report)]
    return subprocess.run(script, capture_output=True, text=True, check=True).stdout
