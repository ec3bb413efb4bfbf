"""Run processes that start at once: forked off a server that has imported everything already.

Dagster's code server starts a new interpreter for every run, which imports Dagster anew: more than a second of CPU.
Here a fork server imports Dagster and the definitions once; a run is a fork of it. It is isolated like any process, and
the code server talks to it, terminates it and notices its death just as it does with a process of its own making.
"""

# What is taken hold of here is private to Dagster and to multiprocessing:
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
    """What the code server takes for `multiprocessing`: it makes processes by forking."""

    Process = RunProcess  # pyright: ignore[reportAssignmentType]  # narrower than the base class declares


def make_runs_warm(server: DagsterApiServer) -> bool:
    """Let `server` fork its run processes; False, and a loud warning, if this Dagster has no place to hook in."""
    if not hasattr(server, HOOK):
        _log.warning(
            "This version of Dagster has no DagsterApiServer.%s: runs start the slow way, in a new interpreter each. "
            "Everything else works. Install the Dagster version that mediajobs is locked to.",
            HOOK,
        )
        return False
    context = _Forking()
    context.set_forkserver_preload([PRELOAD])
    setattr(server, HOOK, context)
    # Now, not with the first run, which would have to wait for the imports.
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
    # The fork server goes on without a word when an import fails.
    sys.exit(PRELOAD not in sys.modules)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        # The way a terminated run goes: its ffmpeg is stopped, its attempt put on record, its jobs given back.
        os.kill(os.getpid(), signal.SIGTERM)
