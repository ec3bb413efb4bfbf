"""What somebody has who runs `pip install mediajobs` on a machine with Python and nothing else."""

from __future__ import annotations

import json
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster import __version__
from mediajobs_dagster.media.demo_clip import make_demo_clip
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.settings import Settings
from tests.servers.dagster_dev import DagsterDev
from tests.servers.mediajobs_up import free_port, running_up
from tests.wheel.conftest import PACKAGED, PROJECT, Built, Installed

pytestmark = pytest.mark.timeout(900)  # a hundred packages are installed first

Call = Callable[..., subprocess.CompletedProcess[str]]

LOADED = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"


@pytest.fixture
def mediajobs(installed: Installed, folder: Path, tmp_path: Path) -> Call:
    """The installed command, called in an empty folder."""

    def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [installed.command, *map(str, arguments)],
            cwd=folder,
            env={**installed.environment(tmp_path / "home"), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with nothing in it."""
    folder = tmp_path / "somewhere"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short video."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_demo_clip(Runner.from_settings(Settings.load(_env_file=None)), path)
    return path


def read(answer: subprocess.CompletedProcess[str]) -> Any:
    """The JSON that a call printed."""
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return json.loads(answer.stdout)


def test_the_package_has_every_file_of_ours_and_no_other(built: Built) -> None:
    """Data files too, in the source distribution and in the wheel that is made of it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGED],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    ours = set(listed.stdout.split())
    code = {name for name in ours if name.startswith("mediajobs_dagster/")}
    in_wheel = {name for name in zipfile.ZipFile(built.wheel).namelist() if ".dist-info/" not in name}
    with tarfile.open(built.sdist) as sdist:
        in_sdist = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    assert in_wheel == code
    assert in_sdist >= ours


def test_the_version_is_the_packages(mediajobs: Call, built: Built) -> None:
    """In its name, and of the command."""
    assert f"-{__version__}-" in built.wheel.name
    assert mediajobs("--version").stdout == f"mediajobs, version {__version__}\n"


def test_the_demo_runs_in_an_empty_folder(mediajobs: Call, folder: Path) -> None:
    """Seven jobs, an export with a title among them; nothing is left in the working folder."""
    made = read(mediajobs("demo", "--json"))
    assert [job["status"] for job in made["jobs"]] == ["completed"] * 7
    assert all(Path(output).is_file() for job in made["jobs"] for output in job["outputs"])
    assert list(folder.iterdir()) == []


def test_what_is_added_is_worked_off(mediajobs: Call, clip: Path) -> None:
    """`add`, then `work`."""
    added = read(mediajobs("add", clip, "--type", "upload_thumb_v1", "--json"))
    done = read(mediajobs("work", "--json"))
    assert [attempt["status"] for attempt in done["attempts"]] == ["success"]
    assert [attempt["jobId"] for attempt in done["attempts"]] == [job["id"] for job in added["jobs"]]


def test_up_does_the_work_until_it_is_stopped(
    mediajobs: Call, installed: Installed, folder: Path, tmp_path: Path, clip: Path
) -> None:
    """Code server, daemon and web server find their configuration in the package."""
    home = tmp_path / "home"
    with running_up(home, program=[str(installed.command)], cwd=folder, **installed.environment(home)) as up:
        added = read(mediajobs("add", clip, "--type", "upload_thumb_v1", "--json"))
        (job,) = added["jobs"]
        up.wait_for(
            lambda: read(mediajobs("jobs", "show", job["id"], "--json"))["job"]["status"] == "completed", timeout_s=60
        )
        assert up.stop() == 0
    assert list(folder.iterdir()) == []


def test_the_parts_find_the_code_by_themselves(installed: Installed, folder: Path, tmp_path: Path) -> None:
    """`mediajobs web` alone, without a workspace.yaml and without the address of a code server."""
    port, log = free_port(), tmp_path / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [installed.command, "web", "--port", str(port)],
            cwd=folder,
            env=installed.environment(tmp_path / "home"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    web = DagsterDev(f"http://127.0.0.1:{port}/dagster", log, process.pid)
    try:
        web.wait_for(lambda: statuses_of(web) == ["LOADED"], timeout_s=60)
    finally:
        process.terminate()
        process.wait(60)


def statuses_of(web: DagsterDev) -> list[str]:
    """How far the web server is with each code location; none while it does not answer yet."""
    try:
        entries = web.ask(LOADED)["workspaceOrError"]["locationEntries"]
    except OSError:
        return []
    return [entry["loadStatus"] for entry in entries]


@pytest.mark.parametrize(
    ("extra", "arguments"), [("otio", ("export", "edit.otio")), ("cluster", ("worker",)), ("cluster", ("daemon",))]
)
def test_an_extra_that_is_not_installed_is_named(
    mediajobs: Call, folder: Path, tmp_path: Path, extra: str, arguments: tuple[str, ...]
) -> None:
    """In one line, also where it is Dagster's configuration that asks for it."""
    (folder / "edit.otio").write_text("{}")
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    (cluster / "dagster.yaml").write_text(
        "run_launcher: {module: mediajobs_dagster.orchestration.celery.launcher, class: LaneRunLauncher}"
    )
    answer = mediajobs(*arguments, DAGSTER_HOME=str(cluster))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("EXTRA_MISSING: ")
    assert answer.stderr.endswith(f"pip install 'mediajobs[{extra}]'\n")
    assert answer.stderr.count("\n") == 1
