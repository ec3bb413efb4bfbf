"""Programs that outlived the worker which had started them: a worker that is killed with SIGKILL cannot stop them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from mediajobs_dagster.media.command import general_guards

_OURS = general_guards(remote=False)[0]
"""Stands in every command line of ours."""


def kill_orphans(folder: Path) -> int:
    """Kill, with their process groups, the programs of ours that work in `folder` or below; returns how many.

    Every command has its attempt's scratch folder as working folder, so that no list of them need be kept. A shell that
    somebody opened there is none of ours and lives on.
    """
    home, killed = folder.resolve(), 0
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it has just ended, or is another user's
            if Path(process.cwd()).is_relative_to(home) and _OURS in process.cmdline():
                os.killpg(os.getpgid(process.pid), signal.SIGKILL)
                killed += 1
    return killed
