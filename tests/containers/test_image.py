"""The image by itself: the embedded default, with nothing else there."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tests.containers.conftest import docker, wait_for

pytestmark = pytest.mark.timeout(1200)  # the image is built first


def test_the_demo_runs(image: str) -> None:
    """`docker run --rm mediajobs demo`, without a server, a volume or a variable."""
    made = json.loads(docker("run", "--rm", image, "demo", "--json"))
    assert [job["status"] for job in made["jobs"]] == ["completed"] * 7


def test_up_is_reached_from_this_machine_and_works(image: str, media: Path) -> None:
    """As README says: published on loopback. Told to stop, it ends in order."""
    options = ["--detach", "--init", "--publish", "127.0.0.1::3000", "--volume", f"{media}:/media:ro"]
    container = docker("run", *options, image, "up", "--host", "0.0.0.0", "--unprotected").strip()
    try:
        wait_for(lambda: "ready: console" in docker("logs", container), timeout_s=180)
        address = docker("port", container, "3000").split()[0]
        with urllib.request.urlopen(f"http://{address}/dagster/server_info", timeout=30) as response:
            assert "dagster_version" in json.load(response)
        mediajobs = ["exec", container, "mediajobs"]
        added = json.loads(docker(*mediajobs, "add", "/media/short2.mp4", "--type", "upload_thumb_v1", "--json"))
        show = [*mediajobs, "jobs", "show", added["jobs"][0]["id"], "--json"]
        wait_for(lambda: json.loads(docker(*show))["job"]["status"] == "completed", timeout_s=60)
        docker("stop", "--time", "60", container)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", container).strip() == "0"
    finally:
        docker("rm", "--force", "--volumes", container)
