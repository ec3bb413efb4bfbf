"""Run processes that start fast: forks of a server that has imported everything.

Dagster's code server starts a new interpreter for every run, which imports Dagster again: more than a second of CPU.
Here a fork server imports Dagster and the definitions once, and each run is a fork of it. A run is still a process of
its own: the code server talks to it, terminates it and notices its death as usual.
"""

# This module uses private names of Dagster and multiprocessing:
# pyright: reportPrivateUsage=false
from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from multiprocessing import parent_process
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import TYPE_CHECKING

from typing_extensions import override

from mediajobs_dagster.orchestration.internals.warm_runs import HOOK

if TYPE_CHECKING:
    from mediajobs_dagster.orchestration.internals.code_server import DagsterApiServer

PRELOAD = "mediajobs_dagster.preload"
"""What the fork server imports. It must start no thread and open no file, database or channel: forks would share it."""

_log = logging.getLogger(__name__)


class RunProcess(ForkServerProcess):
    """The process of one run. It does not outlive the code server: nobody could terminate it or see it die."""

    @override
    def run(self) -> None:
        """Do what the code server asked for."""
        threading.Thread(target=_end_with_parent, name="mediajobs-parent-watch", daemon=True).start()
        super().run()


class _Forking(ForkServerContext):
    """The context that the code server uses in place of `multiprocessing`: it makes processes by forking."""

    Process = RunProcess  # pyright: ignore[reportAssignmentType]  # narrower than the base class declares


def make_runs_warm(server: DagsterApiServer) -> bool:
    """Let `server` fork its run processes. Returns False, and logs a warning, if this Dagster lacks the hook."""
    if not hasattr(server, HOOK):
        _log.warning(
            "This version of Dagster has no DagsterApiServer.%s: each run starts slowly, in a new interpreter. "
            "Everything else works. Install the Dagster version that mediajobs is locked to.",
            HOOK,
        )
        return False
    context = _Forking()
    context.set_forkserver_preload([PRELOAD])
    setattr(server, HOOK, context)
    # Start it now, so that the first run does not wait for the imports.
    warm_up = context.Process(target=_exit_unless_preloaded)
    warm_up.start()
    warm_up.join()
    if warm_up.exitcode:
        _log.warning(
            "The fork server could not import %s, so runs start slowly, and may fail. "
            "`python -c 'import %s'` says what is wrong.",
            PRELOAD,
            PRELOAD,
        )
    return True


def _exit_unless_preloaded() -> None:
    # The fork server ignores a failed import silently.
    sys.exit(PRELOAD not in sys.modules)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        # Like a terminated run: ffmpeg is stopped, the attempt recorded, and the jobs given back.
        os.kill(os.getpid(), signal.SIGTERM)
