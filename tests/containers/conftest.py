"""Docker and Docker Compose, as they are installed here. What they need (DOCKER_HOST, ...) is in the environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mediajobs_dagster.media.tools import find_tools
from tests.servers.mediajobs_up import free_port

PROJECT = Path(__file__).parents[2]
MEDIA = PROJECT / "build" / "containers"
"""Below the project, which Docker sees wherever it runs; and readable by the user of the containers."""

Found = TypeVar("Found")


def docker(*arguments: object, **environment: str) -> str:
    """Call Docker; what it prints. Its complaints are shown when it fails."""
    command = ["docker", *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def wait_for(what: Callable[[], Found | None], *, timeout_s: float) -> Found:
    """Ask until there is an answer."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(1)
    raise AssertionError(f"no answer within {timeout_s:g} s")


def tell(line: str) -> None:
    """Say how far a long test is."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)  # noqa: T201  # shown as it goes on


@dataclass(frozen=True)
class Compose:
    """The project's own docker-compose.yml, in a Compose project of the tests' own."""

    name: str
    port: int

    def __call__(self, *arguments: object) -> str:
        """Call `docker compose`; what it prints."""
        environment = {"MEDIA": str(MEDIA), "UI_PORT": str(self.port)}
        return docker("compose", "--project-name", self.name, *arguments, **environment)

    def mediajobs(self, *arguments: object) -> Any:
        """Call the command line in the cluster; the JSON that it prints."""
        return json.loads(self("exec", "--no-TTY", "code-server", "mediajobs", *arguments, "--json"))

    def add(self, *arguments: object) -> Any:
        """Add a file of MEDIA, as the README says it is done; the JSON that is printed."""
        return json.loads(self("run", "--rm", "--no-TTY", "cli", "add", *arguments, "--json"))

    def down(self) -> None:
        """Remove the containers and keep what is in the volumes that have a name; the others are of no more use."""
        ids = [each["ID"] for each in self.containers()]
        mounts = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
        volumes = docker("inspect", "--format", mounts, *ids).split()
        self("down")
        docker("volume", "rm", *(name for name in volumes if not name.startswith(self.name)))

    def containers(self) -> list[dict[str, Any]]:
        """What runs, with its state; `ID`, `Service`, `State`, `Health`."""
        lines = self("ps", "--all", "--no-trunc", "--format", "json").splitlines()
        found = [json.loads(line) for line in lines]
        return [each for item in found for each in (item if isinstance(item, list) else [item])]


@pytest.fixture(scope="session")
def image() -> str:
    """The image of the project as it is now."""
    tell("building the image")
    docker("compose", "build", "web")
    return "mediajobs"


@pytest.fixture(scope="session")
def media() -> Iterator[Path]:
    """A folder with clips that the containers can read: eight short ones, and a long one that takes time to encode."""
    shutil.rmtree(MEDIA, ignore_errors=True)
    MEDIA.mkdir(parents=True)
    MEDIA.chmod(0o755)
    ffmpeg = find_tools(None, None).ffmpeg
    for name, seconds in {"long": 240, **{f"short{number}": number for number in range(2, 10)}}.items():
        picture = ["-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=30:duration={seconds}"]
        sound = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]
        encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
        subprocess.run([ffmpeg, "-v", "error", *picture, *sound, *encode, MEDIA / f"{name}.mp4"], check=True)
    yield MEDIA
    shutil.rmtree(MEDIA)


@pytest.fixture
def compose(media: Path) -> Iterator[Compose]:
    """A cluster that is not there yet; whatever the test leaves of it is removed, its volumes too."""
    compose = Compose(f"mediajobs-test-{os.getpid()}", free_port())
    try:
        yield compose
    finally:
        compose("--profile", "cli", "down", "--volumes", "--remove-orphans")
