"""Commands start soon: what plans and renders is loaded by what plans and renders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mediajobs_dagster

HEAVY = ("numpy", "PIL", "pandas", "dagster", "fastapi", "mediajobs_dagster.timelines.layout")


@pytest.mark.parametrize("command", [("--help",), ("jobs", "list"), ("add", "--help"), ("history", "stats", "--help")])
def test_a_command_loads_no_renderer(command: tuple[str, ...], tmp_path: Path) -> None:
    """Neither numpy, nor Pillow, nor Dagster, nor the layout of timelines; `jobs list` knows all job types."""
    code = (
        "import sys\n"
        "from mediajobs_dagster.cli.main import commands\n"
        f"commands({list(command)!r}, standalone_mode=False)\n"
        f"sys.exit(str([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    asked = run_python(code, tmp_path)
    assert asked.stderr.splitlines()[-1:] == ["[]"], asked.stderr


def test_the_registry_loads_no_renderer(tmp_path: Path) -> None:
    """It has every job type, and what a run needs of them comes with `load_planners`."""
    code = (
        "import sys\n"
        "from mediajobs_dagster.job_types.registry import Registry, load_planners\n"
        "print(len(Registry.standard()))\n"
        f"before = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "load_planners()\n"
        "sys.exit(str((before, 'numpy' in sys.modules, 'mediajobs_dagster.timelines.layout' in sys.modules)))"
    )
    asked = run_python(code, tmp_path)
    assert int(asked.stdout) >= 4
    assert asked.stderr.splitlines()[-1:] == ["([], True, True)"], asked.stderr


def run_python(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """What an interpreter of its own does with `code`."""
    path = str(Path(mediajobs_dagster.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": path, "MEDIAJOBS_HOME": str(home)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
