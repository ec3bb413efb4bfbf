"""What CI says last: what failed, and what became of the newest Dagster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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


FAMILY = ("dagster", "dagster-webserver")
LOCKED = "".join(f"{name}==1.2.3 \\\n    --hash=sha256:{'0' * 64}\n" for name in FAMILY)
NAMES_TEST = "def test_name():\n    from dagster import gone\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project with a lock, a test of private names, and an environment; its packages come from the folder `index`."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(PROJECT / ".ci" / "newest-dagster", tmp_path / ".ci")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "requirements.lock").write_text(LOCKED)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_dagster_internals.py").write_text(NAMES_TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "index").mkdir()
    return tmp_path


def test_without_a_registry_no_dagster_is_tried(checkout: Path) -> None:
    """One line says so."""
    code, lines = try_newest(checkout)
    assert code == 1
    assert lines == ["newest Dagster: not tried: the package registry did not answer; see build/newest-dagster/log"]


def test_the_locked_dagster_is_not_tried_again(checkout: Path) -> None:
    """The tests of this run are its trial."""
    publish(checkout, "1.2.3")
    assert try_newest(checkout) == (0, ["newest Dagster 1.2.3: skipped: it is the locked one"])


def test_a_newer_dagster_is_tried_and_what_failed_is_named(checkout: Path) -> None:
    """The tests see the newer one, and the last line says what is wrong with it."""
    publish(checkout, "99.0")
    code, lines = try_newest(checkout)
    assert code == 1
    assert lines[-1].startswith("newest Dagster 99.0: failed: the private names that we use; see ")
    assert any("cannot import name 'gone' from 'dagster'" in line and "newest-dagster/venv" in line for line in lines)


def test_a_trial_that_takes_too_long_is_broken_off(checkout: Path) -> None:
    """It is no failure of the newer Dagster, and the line says so."""
    publish(checkout, "99.0")
    (checkout / "tests" / "test_dagster_internals.py").write_text("import time\n\ntime.sleep(600)\n")
    code, lines = try_newest(checkout, limit_s=10)
    assert code == 1
    assert ": not tried to the end: " in lines[-1]


def publish(checkout: Path, version: str) -> None:
    """Put packages of that version, with nothing in them, where `try_newest` gets its packages from."""
    for name in FAMILY:
        module = name.replace("-", "_")
        about = f"{module}-{version}.dist-info"
        with zipfile.ZipFile(checkout / "index" / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{module}/__init__.py", "")
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")


def try_newest(checkout: Path, limit_s: int = 240) -> tuple[int, list[str]]:
    """Exit code and lines of the script."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PIP_"))}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout / "index")}
    script = ["bash", str(checkout / ".ci" / "newest-dagster")]
    limit = {"NEWEST_DAGSTER_LIMIT_S": str(limit_s)}
    done = subprocess.run(script, env=environment | limit, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()
