"""Kills programs that outlived the worker that started them: a worker that is killed by SIGKILL cannot stop them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from mediajobs_dagster.media.command import IN_EVERY_COMMAND


def kill_orphans(folder: Path) -> int:
    """Kill the programs that mediajobs started in `folder` or below, with their process groups; returns how many.

    Every command has its attempt's scratch folder as working folder, so no list of processes is needed. Other programs
    there, such as a shell, are left alone.
    """
    home, killed = folder.resolve(), 0
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it has just ended, or is another user's
            if Path(process.cwd()).is_relative_to(home) and IN_EVERY_COMMAND in process.cmdline():
                os.killpg(os.getpgid(process.pid), signal.SIGKILL)
                killed += 1
    return killed
