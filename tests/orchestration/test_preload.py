"""What run processes find loaded, and what is said when this Dagster has not all of it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import mediajobs_dagster
from mediajobs_dagster.orchestration.internals import warm_runs


def test_looking_for_run_modules_imports_nothing() -> None:
    """All are there with this Dagster, and `mediajobs doctor` does not wait for Dagster to be imported."""
    code = (
        "import sys\n"
        "from mediajobs_dagster.orchestration.internals.warm_runs import missing_run_modules\n"
        "sys.exit(str(missing_run_modules()) if missing_run_modules() or 'dagster' in sys.modules else 0)"
    )
    asked = run_python(code)
    assert asked.returncode == 0, f"Dagster {version('dagster')} lacks what runs need: {asked.stderr}"


def test_each_run_module_is_found_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules and packages are found, and what lies in none is not, however deep."""
    gone = ("dagster._core.gone", "dagster._gone.utils", "gone", "gone.too", "dagster._core.utils.gone")
    there = ("dagster._core.utils", "dagster._core", "dagster")
    monkeypatch.setattr(warm_runs, "RUN_MODULES", (*there, *gone))
    assert warm_runs.missing_run_modules() == list(gone)


def test_a_run_module_that_is_gone_is_told_and_the_rest_is_preloaded() -> None:
    """A warning names the module, the version of Dagster and what follows; it does not end the import."""
    asked = run_python(
        "import sys\n"
        "from mediajobs_dagster.orchestration.internals import warm_runs\n"
        "warm_runs.RUN_MODULES = ('dagster._core.gone', *warm_runs.RUN_MODULES, 'dagster._core.utils.gone')\n"
        "import mediajobs_dagster.preload\n"
        "sys.exit(str(set(warm_runs.RUN_MODULES) - sys.modules.keys()))"
    )
    *warning, left_out = asked.stderr.splitlines()
    assert ast.literal_eval(left_out) == {"dagster._core.gone", "dagster._core.utils.gone"}
    (said,) = warning
    assert "dagster._core.gone (No module named 'dagster._core.gone')" in said
    assert "dagster._core.utils.gone (" in said
    assert f"Dagster {version('dagster')}" in said
    assert "runs start slowly" in said


def test_a_preload_that_cannot_be_imported_is_told() -> None:
    """The fork server itself goes on without a word. In a process of its own, for a process has one fork server."""
    asked = run_python(
        "import multiprocessing\n"
        "from types import SimpleNamespace\n"
        "from mediajobs_dagster.orchestration.serving import run_processes\n"
        "run_processes.PRELOAD = 'mediajobs_dagster.gone'\n"
        "run_processes.make_runs_warm(SimpleNamespace(_mp_ctx=multiprocessing))"
    )
    assert asked.returncode == 0
    assert "could not import mediajobs_dagster.gone, so runs start slowly" in asked.stderr


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """What an interpreter of its own does with `code`."""
    environment = {**os.environ, "PYTHONPATH": str(Path(mediajobs_dagster.__file__).parents[1])}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
