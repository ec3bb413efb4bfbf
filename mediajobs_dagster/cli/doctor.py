"""`mediajobs doctor`: what is fine, what is not, and how to mend it."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import click

from mediajobs_dagster import __version__
from mediajobs_dagster.attempts.scratch import Scratch
from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.session import Session
from mediajobs_dagster.errors import DagsterVersionError, DiskFullError, FfmpegMissingError, MediaJobsError
from mediajobs_dagster.media.host import host_facts
from mediajobs_dagster.media.tools import Tools, find_tools
from mediajobs_dagster.orchestration.internals.warm_runs import RUN_MODULES, missing_run_modules, slow_start

_NEEDED_ENCODERS = ("libx264", "aac", "mjpeg")
_GIB = 1024**3


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    what: str
    fine: bool
    detail: str


@click.command()
@display.json_option
@click.pass_obj
def doctor(session: Session, as_json: bool) -> None:
    """Check ffmpeg, database, storage, disk and versions, and say how to mend what is not fine."""
    checks: dict[str, Callable[[Session], str]] = {
        "versions": _versions,
        "start of runs": _start_of_runs,
        "machine": _machine,
        "ffmpeg": _ffmpeg,
        "database": lambda session: session.history.check(),
        "storage": lambda session: session.storage.check(),
        "scratch disk": _disk,
    }
    findings = [_examine(what, check, session) for what, check in checks.items()]
    if as_json:
        display.print_json([{"check": each.what, "fine": each.fine, "detail": each.detail} for each in findings])
    else:
        rows = [(each.what, "ok" if each.fine else "failed", each.detail) for each in findings]
        display.console().print(display.table(("Check", "", "Finding"), rows))
    if not all(each.fine for each in findings):
        raise click.exceptions.Exit(1)


def _examine(what: str, check: Callable[[Session], str], session: Session) -> Finding:
    try:
        return Finding(what, True, check(session))
    except MediaJobsError as error:
        return Finding(what, False, f"{error.code}: {error.message}")


def _versions(_: Session) -> str:
    return f"mediajobs {__version__}, Dagster {version('dagster')}, Python {platform.python_version()}"


def _start_of_runs(_: Session) -> str:
    if missing := missing_run_modules():
        raise DagsterVersionError(slow_start(missing))
    return f"run processes find all {len(RUN_MODULES)} modules of Dagster that they need loaded"


def _machine(session: Session) -> str:
    settings = session.settings
    facts = host_facts(settings.instance_type, settings.imds_enabled, hostname=settings.hostname)
    kind = facts.instance_type or "instance type not known; set MEDIAJOBS_INSTANCE_TYPE to have it on record"
    return f"{facts.hostname}: {facts.cpu_cores:g} cores, {facts.mem_gb:.1f} GiB ({kind})"


def _ffmpeg(session: Session) -> str:
    tools: Tools = find_tools(session.settings.ffmpeg_path, session.settings.ffprobe_path)
    missing = [encoder for encoder in _NEEDED_ENCODERS if encoder not in tools.encoders]
    if missing:
        raise FfmpegMissingError(
            f"{tools.ffmpeg} has no encoder {', '.join(missing)}. Point MEDIAJOBS_FFMPEG_PATH at a build that has, or "
            "take ffmpeg off PATH to use the bundled one."
        )
    return f"{tools.version} at {tools.ffmpeg}"


def _disk(session: Session) -> str:
    folder, reserve_mb = session.settings.scratch, session.settings.scratch_reserve_mb
    Scratch.open(folder, reserve_mb=reserve_mb).close()  # as a worker does: a folder of our own, locked and removed
    free, reserve = shutil.disk_usage(folder).free, reserve_mb * 1024 * 1024
    if free < 2 * reserve:
        raise DiskFullError(
            f"{folder} has {free / _GIB:.1f} GiB free; jobs are refused when less than the reserve of {reserve_mb} MiB "
            "is left. Free some space, or point MEDIAJOBS_SCRATCH_DIR at a larger disk."
        )
    return f"{free / _GIB:.1f} GiB free at {folder}"
