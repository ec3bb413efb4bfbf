"""What is shipped for a deployment fits together: every name in one file is the name of something in another."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from mediajobs_dagster.cli.main import commands
from mediajobs_dagster.job_types.base import Lane
from mediajobs_dagster.settings import Settings

PROJECT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
DEPLOY = PROJECT / "deploy"


def read(path: Path) -> Any:
    """A YAML file's content."""
    return yaml.safe_load(path.read_text())


COMPOSE = read(PROJECT / "docker-compose.yml")
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "mediajobs"}
WORKERS = [name for name in OURS if name.startswith("worker")]
SERVERS = {name: service for name, service in COMPOSE["services"].items() if name not in OURS}


def variables_of(node: Any) -> set[str]:
    """The environment variables that a dagster.yaml reads."""
    if isinstance(node, dict):
        if node.keys() == {"env"}:
            return {node["env"]}
        return set().union(*map(variables_of, node.values()))
    return set()


@pytest.mark.parametrize("service", OURS)
def test_every_service_runs_a_command_of_ours(service: str) -> None:
    """With options that the command has."""
    name, *options = OURS[service]["command"]
    if service == "cli":
        assert name == "--help"
        return
    command = commands.commands[name]
    program = click.Context(commands, **commands.context_settings)
    command.make_context(name, options, parent=program)  # raises when it does not understand one


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_known(service: str) -> None:
    """A misspelt setting would silently be the default; one that dagster.yaml reads would stop every process."""
    given = OURS[service]["environment"].keys()
    ours = {name for name in given if name.startswith("MEDIAJOBS_")}
    assert ours <= {f"MEDIAJOBS_{name.upper()}" for name in Settings.model_fields}
    read_by_dagster = variables_of(read(DEPLOY / "dagster.celery.yaml"))
    assert read_by_dagster | {"DAGSTER_HOME"} == {name for name in given if name.startswith("DAGSTER_")}


def test_the_clusters_configuration_is_in_the_image_and_only_the_cluster_uses_it() -> None:
    """By itself, the image is the embedded default."""
    dockerfile = (PROJECT / "Dockerfile").read_text()
    homes = {service["environment"]["DAGSTER_HOME"] for service in OURS.values()}
    (home,) = homes
    assert f"COPY deploy/dagster.celery.yaml {home}/dagster.yaml" in dockerfile
    assert "DAGSTER_HOME=" not in re.sub(r"^#.*\n", "", dockerfile, flags=re.MULTILINE)


def test_every_service_is_watched() -> None:
    """The programs that watch ours are in the image, because the lock brings them."""
    for name, service in COMPOSE["services"].items():
        if name == "cli":
            continue
        kind, *words = service["healthcheck"]["test"]
        program = words[0].split()[0] if kind == "CMD-SHELL" else words[0]
        assert name in SERVERS or (SCRIPTS / program).exists(), program


def test_every_service_waits_for_what_it_needs() -> None:
    """Dependencies are services, and are waited for until they are well."""
    for service in COMPOSE["services"].values():
        for name, condition in service.get("depends_on", {}).items():
            assert "healthcheck" in COMPOSE["services"][name]
            assert condition == {"condition": "service_healthy"}


@pytest.mark.parametrize("service", WORKERS)
def test_a_worker_has_time_to_hand_its_jobs_back(service: str) -> None:
    """Docker kills what has not ended in its grace period; ours is over before that."""
    worker = OURS[service]
    assert int(worker["stop_grace_period"].rstrip("s")) > int(worker["environment"]["MEDIAJOBS_SHUTDOWN_GRACE_S"])


def test_as_many_runs_are_started_as_the_workers_take() -> None:
    """Runs beyond that would wait in Redis, out of the order of priorities."""
    processes = dict.fromkeys(Lane, 0)
    total = 0
    for service in WORKERS:
        words = OURS[service]["command"]
        concurrency = int(words[words.index("--concurrency") + 1])
        total += concurrency
        for lane in words[words.index("--queues") + 1].split(","):
            processes[Lane(lane)] += concurrency
    assert all(processes.values())
    limits = read(DEPLOY / "dagster.celery.yaml")["run_coordinator"]["config"]
    assert limits["max_concurrent_runs"] == total
    assert {each["value"]: each["limit"] for each in limits["tag_concurrency_limits"]} == processes


def test_only_the_user_interface_is_reached_from_outside_and_from_this_machine_only() -> None:
    """No other part has a login, or needs to be reached."""
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:${UI_PORT:-3000}:3000"]}


def test_the_image_copies_what_is_there() -> None:
    """What the Dockerfile takes exists, and .dockerignore lets it through."""
    let_through = re.findall(r"^!(\S+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    assert sources
    for source in sources:
        assert (PROJECT / source).exists()
        assert source.split("/")[0] in let_through


def test_kubernetes_differs_in_the_run_launcher_alone() -> None:
    """The example stays what it says it is."""
    celery, kubernetes = read(DEPLOY / "dagster.celery.yaml"), read(DEPLOY / "kubernetes" / "dagster.yaml")
    assert celery.pop("run_launcher") != kubernetes.pop("run_launcher")
    assert celery == kubernetes


def test_docker_accepts_the_file() -> None:
    """Where Docker Compose is; elsewhere the tests above have to do."""
    compose = ["docker", "compose"]
    if not shutil.which("docker") or subprocess.run([*compose, "version"], capture_output=True).returncode:
        pytest.skip("Docker Compose is not installed here")
    subprocess.run([*compose, "config", "--quiet"], cwd=PROJECT, check=True)
