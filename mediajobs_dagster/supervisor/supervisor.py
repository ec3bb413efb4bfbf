"""Runs several processes together: starts them, stops them, and restarts each one that dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from mediajobs_dagster.errors import StartError
from mediajobs_dagster.supervisor.part import ProcessSpec, Say, SupervisedProcess

_TICK_S = 0.1
_ONE_REQUEST_S = 1.0
"""Signals within this time are one request, seconds: a terminal and a shell may both pass on a Ctrl-C."""
_EARLY_DEATHS = 3
"""If a process dies this often before all were ready, trying again does not help."""


class Supervisor:
    """Keeps processes running from `run` until `stop` is called, from a signal handler or another thread."""

    def __init__(
        self, parts: Sequence[ProcessSpec], say: Say, *, is_ready: Callable[[], bool], patience_s: float
    ) -> None:
        """`is_ready` tells whether all processes answer; they have `patience_s` seconds to do so."""
        self._parts = {spec.name: SupervisedProcess(spec, say) for spec in parts}
        self._say = say
        self._is_ready = is_ready
        self._patience_s = patience_s
        # Plain values, not an Event: a signal handler could deadlock on its lock, held by the thread it interrupts.
        self._stopping = False
        self._stopped_at = 0.0
        self._hurried = False
        self._to_restart: set[str] = set()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Stop all processes; a second call, later, kills them without waiting."""
        if not self._stopping:
            self._stopped_at = time.monotonic()
            self._stopping = True
        elif time.monotonic() - self._stopped_at > _ONE_REQUEST_S:
            self._hurried = True

    def restart(self, *names: str) -> None:
        """Stop these processes in order and start them again."""
        with self._lock:
            self._to_restart.update(names)

    @property
    def pids(self) -> dict[str, int | None]:
        """The ids of the current processes, by name; None where there is none."""
        return {name: part.pid for name, part in self._parts.items()}

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start all processes, call `on_ready` when all answer, and keep them running until `stop`.

        Raises StartError when they do not get ready. No process is left when it returns or raises.
        """
        try:
            for part in self._parts.values():
                part.start()
            self._wait_until_ready()
            if not self._stopping:
                on_ready()
            while self._tick():
                self._restart_requested()
                for part in self._parts.values():
                    part.restart_if_dead()
        finally:
            self._stop_all()

    def _wait_until_ready(self) -> None:
        give_up = time.monotonic() + self._patience_s
        while self._tick():
            for part in self._parts.values():
                part.restart_if_dead()
                if part.deaths >= _EARLY_DEATHS:
                    raise StartError(f"The {part.spec.name} process does not start; its output is above.")
            if self._is_ready():
                return
            if time.monotonic() > give_up:
                raise StartError(f"Not all processes answered within {self._patience_s:g} s; their output is above.")

    def _tick(self) -> bool:
        """Wait one tick; returns whether to go on, so False after `stop`."""
        if not self._stopping:
            time.sleep(_TICK_S)
        return not self._stopping

    def _is_hurried(self) -> bool:
        return self._hurried

    def _restart_requested(self) -> None:
        with self._lock:
            names, self._to_restart = self._to_restart, set[str]()
        for part in [self._parts[name] for name in self._parts if name in names]:
            part.stop(self._is_hurried)
            if self._stopping:
                return
            part.start()

    def _stop_all(self) -> None:
        # In order: first the process that starts runs, then the one that executes them, so that no new run begins.
        for part in self._parts.values():
            part.stop(self._is_hurried)
