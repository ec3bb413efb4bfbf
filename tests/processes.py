"""What becomes of processes."""

from __future__ import annotations

from pathlib import Path

import psutil


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended, be it that nobody has asked for its exit code yet."""
    try:
        # Its number may belong to another one by now.
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def ffmpegs_below(folder: Path) -> list[psutil.Process]:
    """The ffmpeg processes that work in a folder, whoever started them."""
    every = psutil.process_iter(["exe", "cwd"])
    ours = [process for process in every if str(process.info["cwd"]).startswith(str(folder))]
    return [process for process in ours if "ffmpeg" in str(process.info["exe"])]
