"""The package as it is published: built from a source distribution and installed by pip, and by nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGED = ("mediajobs_dagster", "pyproject.toml", "README.md")
"""What the package is made of."""

BACKEND = "from setuptools.build_meta import {}; print({}({!r}))"
LOCK = PROJECT / "requirements.lock"
EXTRAS_OR_END = re.compile(r"\[.*?\]| \\$")
"""What a line of the lock has that a constraint must not have."""


@dataclass(frozen=True)
class Built:
    """What is published."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Installed:
    """A virtual environment that has mediajobs and what it needs, no extra, and nothing of this project's own."""

    folder: Path

    @property
    def command(self) -> Path:
        """The `mediajobs` command."""
        return self.folder / "bin" / "mediajobs"

    def environment(self, home: Path) -> Mapping[str, str]:
        """Nothing of the machine's on the path, ffmpeg included; data in `home`."""
        return {
            "PATH": str(self.folder / "bin"),
            "HOME": str(home),
            "MEDIAJOBS_HOME": str(home),
            "MEDIAJOBS_SCRATCH_RESERVE_MB": "1",
            "PYTHONPATH": "",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A source distribution made of a copy of the project, and a wheel made of that."""
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    tree.mkdir()
    for name in PACKAGED:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tree / name)
    sdist = folder / build("build_sdist", tree, folder)
    shutil.unpack_archive(sdist, folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return Built(sdist, folder / build("build_wheel", unpacked, folder))


def build(what: str, tree: Path, folder: Path) -> str:
    """Ask the build backend of `tree` for it; the name of what lies in `folder` then."""
    command = [sys.executable, "-c", BACKEND.format(what, what, str(folder))]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """`pip install WHEEL` in an empty environment, in the versions of the lock."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    constraints = folder / "constraints.txt"
    # Without the hashes: with them, pip would ask for one of our own wheel, too.
    pins = [EXTRAS_OR_END.sub("", line) for line in LOCK.read_text().splitlines() if line[:1].isalnum()]
    constraints.write_text("\n".join(pins))
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": ""}
    subprocess.run([*pip, "--constraint", constraints, built.wheel], env=environment, check=True)
    return Installed(folder)
