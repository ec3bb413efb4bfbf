"""Checks whether this machine can make attempts, and says how to fix what is wrong."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import unquote

from mediajobs_dagster import __version__
from mediajobs_dagster.attempts.scratch import Scratch
from mediajobs_dagster.errors import (
    DiskFullError,
    FfmpegMissingError,
    MediaJobsError,
    SettingsError,
    StorageUnavailableError,
)
from mediajobs_dagster.history import History, UploadFilter
from mediajobs_dagster.media.host import host_facts
from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.models import JsonObject, utc_now
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, redact

Checks = Mapping[str, Callable[[], str]]
"""Checks by name. Each returns what it found (a Caution, if it should be mended all the same), or raises a
MediaJobsError that says what is wrong."""

_SKEW_S = 2.0
"""How far the clocks of a machine and the database may be apart without a word, seconds."""
_NEEDED_ENCODERS = ("libx264", "aac", "mjpeg")
_GIB = 1024**3


class Caution(str):
    """What a check found that keeps nothing from working, but should be mended."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    check: str
    """What was checked."""
    fine: bool
    detail: str
    """What was found; if it is not fine, the error code and what to do."""
    warning: bool = False
    """Whether something should be mended although it keeps nothing from working."""

    def to_json(self) -> JsonObject:
        """The JSON form."""
        return asdict(self)


def check_up(
    settings: Settings,
    history: Callable[[], History],
    storage: Callable[[], Storage],
    held: Callable[[], Sequence[str]],
    also: Checks,
) -> tuple[Finding, ...]:
    """Run the checks of versions, machine, ffmpeg, database, clock, storage, disk and queue, and those of `also`.

    `held` says in sentences what is held back, and which machines are quarantined. A failed check is a finding; it is
    not raised.
    """
    checks: Checks = {
        "versions": _versions,
        **also,
        "machine": lambda: _machine(settings),
        "ffmpeg": lambda: _ffmpeg(settings),
        "home": lambda: _home(settings.home),
        "database": lambda: history().check(),
        "clock": lambda: _compared(history()),
        "storage": lambda: _storage(history, storage()),
        "scratch disk": lambda: _disk(settings),
        "queue": lambda: _queue(held),
    }
    findings: dict[str, Finding] = {}
    for what, check in checks.items():
        # One fault is one finding: what cannot work because of it is not checked.
        if not any(needed in findings and not findings[needed].fine for needed in _needed(what, settings)):
            findings[what] = _examine(what, check)
    return tuple(findings.values())


def _needed(what: str, settings: Settings) -> list[str]:
    """The checks that have to be fine for this one to tell more."""
    home = str(settings.home)
    places = {"database": settings.database_url, "storage": settings.storage_url, "scratch disk": str(settings.scratch)}
    if what == "clock":
        return ["database", "home"]
    return ["home"] if home in unquote(places.get(what, "")) else []


def _home(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"mediajobs")
    except OSError as error:
        raise SettingsError(
            f"The folder {folder} cannot be written to: {error.strerror}. Point MEDIAJOBS_HOME at one that this user "
            "may write to."
        ) from error
    return f"{folder} can be written to"


def _storage(history: Callable[[], History], storage: Storage) -> str:
    # First, because the check itself would make the folder.
    if not storage.is_there and _has_uploads(history):
        raise StorageUnavailableError(
            f"{storage.url} is not there, although uploads are registered in it. Is its disk mounted? Put it back."
        )
    return storage.check()


def _has_uploads(history: Callable[[], History]) -> bool:
    try:
        return bool(history().uploads.list(UploadFilter(), limit=1))
    except MediaJobsError:  # a check of its own tells it
        return False


def _queue(held: Callable[[], Sequence[str]]) -> str:
    try:
        reasons = held()
    except MediaJobsError:  # a check of its own tells it
        return "not known without the database"
    return Caution(" ".join(reasons)) if reasons else "nothing is held back"


def _examine(what: str, check: Callable[[], str]) -> Finding:
    try:
        found = check()
    except MediaJobsError as error:
        return Finding(what, False, redact(f"{error.code}: {error.message}"))
    return Finding(what, True, redact(str(found)), warning=isinstance(found, Caution))


def _versions() -> str:
    return f"mediajobs {__version__}, Dagster {version('dagster')}, Python {platform.python_version()}"


def _machine(settings: Settings) -> str:
    facts = host_facts(settings.instance_type, settings.imds_enabled, hostname=settings.hostname)
    kind = facts.instance_type or "instance type not known; set MEDIAJOBS_INSTANCE_TYPE to record it"
    return f"{facts.hostname}: {facts.cpu_cores:g} cores, {facts.mem_gb:.1f} GiB ({kind})"


def _compared(history: History) -> str:
    if history.is_on_this_machine:
        return "the database is on this machine, so there is one clock"
    history.now()  # connects, which takes longer than the question
    before = utc_now()
    theirs = history.now()
    after = utc_now()
    ahead_s = ((before - theirs) + (after - theirs)).total_seconds() / 2
    known_to_s = (after - before).total_seconds() / 2
    if abs(ahead_s) <= _SKEW_S + known_to_s:
        return f"within {abs(ahead_s) + known_to_s:.1f} s of the database's"
    where = "ahead of" if ahead_s > 0 else "behind"
    return Caution(
        f"This machine's clock is {abs(ahead_s):.1f} s {where} the database's. No job is lost by that, but records and "
        "logs of this machine show wrong times. Synchronise the clocks of all machines, by chrony for example."
    )


def _ffmpeg(settings: Settings) -> str:
    tools = find_tools(settings.ffmpeg_path, settings.ffprobe_path)
    missing = [encoder for encoder in _NEEDED_ENCODERS if encoder not in tools.encoders]
    if missing:
        raise FfmpegMissingError(
            f"{tools.ffmpeg} lacks the encoders {', '.join(missing)}. Point MEDIAJOBS_FFMPEG_PATH at a build that has "
            "them, or remove ffmpeg from PATH to use the bundled one."
        )
    return f"{tools.version} at {tools.ffmpeg}"


def _disk(settings: Settings) -> str:
    folder, reserve_mb = settings.scratch, settings.scratch_reserve_mb
    Scratch.open(folder, reserve_mb=reserve_mb).close()  # as a worker does: make a folder, lock it, remove it
    free, reserve = shutil.disk_usage(folder).free, reserve_mb * 1024 * 1024
    if free < 2 * reserve:
        raise DiskFullError(
            f"{folder} has {free / _GIB:.1f} GiB free; jobs are refused when less than {reserve_mb} MiB is left "
            "(MEDIAJOBS_SCRATCH_RESERVE_MB). Free some space, or point MEDIAJOBS_SCRATCH_DIR at a larger disk."
        )
    return f"{free / _GIB:.1f} GiB free at {folder}"
