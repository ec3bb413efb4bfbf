"""What a serving process measures of itself: its memory, its files, the disk of its working files."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil

from mediajobs_dagster.telemetry.metrics.readings import Readings, log_once

_MIB = 2**20


def sample_process(found: Readings, scratch: Path) -> None:
    """Measure this process. Never raises: what cannot be measured keeps its last value, and is logged once."""
    try:
        process = psutil.Process()
        found.set("proc.memory_rss_mb", process.memory_info().rss / _MIB)
        found.set("proc.open_fds", process.num_fds())
        found.set("scratch.disk_used_pct", _used_percent(scratch))
    except (OSError, psutil.Error) as error:
        log_once("process", f"The process could not be measured: {type(error).__name__}: {error}")


def _used_percent(scratch: Path) -> float:
    # The folder may not be there yet: then the one that it will be made in counts.
    usage = shutil.disk_usage(next(each for each in (scratch, *scratch.absolute().parents) if each.exists()))
    return 100 * usage.used / max(1, usage.used + usage.free)
