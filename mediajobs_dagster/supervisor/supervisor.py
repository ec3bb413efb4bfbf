"""Runs several parts as one: up together, down together, and each started again when it dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from mediajobs_dagster.errors import StartError
from mediajobs_dagster.supervisor.part import ProcessSpec, Say, SupervisedProcess

_TICK_S = 0.1
_ONE_REQUEST_S = 1.0
"""Signals that come closer together are one request: a terminal and a shell may both pass a Ctrl-C on."""
_EARLY_DEATHS = 3
"""A part that dies this often before everything was ready once will not come up by trying."""


class Supervisor:
    """Keeps `parts` running from `run` until somebody calls `stop`, from a signal handler or another thread."""

    def __init__(
        self, parts: Sequence[ProcessSpec], say: Say, *, is_ready: Callable[[], bool], patience_s: float
    ) -> None:
        """`is_ready` asks whether all parts answer; they have `patience_s` seconds for it."""
        self._parts = {spec.name: SupervisedProcess(spec, say) for spec in parts}
        self._say = say
        self._is_ready = is_ready
        self._patience_s = patience_s
        # Plain values: an event has a lock, and a signal handler could find it taken by the thread that it interrupts.
        self._stopping = False
        self._stopped_at = 0.0
        self._hurried = False
        self._renew: set[str] = set()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Ask for the end; asked again later, nothing is waited for any more."""
        if not self._stopping:
            self._stopped_at = time.monotonic()
            self._stopping = True
        elif time.monotonic() - self._stopped_at > _ONE_REQUEST_S:
            self._hurried = True

    def renew(self, *names: str) -> None:
        """Stop these parts in good order and start them again."""
        with self._lock:
            self._renew.update(names)

    @property
    def pids(self) -> dict[str, int | None]:
        """The processes of the moment."""
        return {name: part.pid for name, part in self._parts.items()}

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start everything, call `on_ready` once all parts answer, and go on until `stop`.

        Raises StartError when they do not come up. No process is left when it returns or raises.
        """
        try:
            for part in self._parts.values():
                part.start()
            self._come_up()
            if not self._stopping:
                on_ready()
            while self._goes_on():
                self._renew_parts()
                for part in self._parts.values():
                    part.look()
        finally:
            self._go_down()

    def _come_up(self) -> None:
        give_up = time.monotonic() + self._patience_s
        while self._goes_on():
            for part in self._parts.values():
                part.look()
                if part.deaths >= _EARLY_DEATHS:
                    raise StartError(f"The {part.spec.name} part does not start; what it said stands above.")
            if self._is_ready():
                return
            if time.monotonic() > give_up:
                raise StartError(f"Not all parts answered within {self._patience_s:g} s; what they said stands above.")

    def _goes_on(self) -> bool:
        """Wait a moment; whether nobody has asked for the end."""
        if not self._stopping:
            time.sleep(_TICK_S)
        return not self._stopping

    def _is_hurried(self) -> bool:
        return self._hurried

    def _renew_parts(self) -> None:
        with self._lock:
            names, self._renew = self._renew, set[str]()
        for part in [self._parts[name] for name in self._parts if name in names]:
            part.stop(self._is_hurried)
            if self._stopping:
                return
            part.start()

    def _go_down(self) -> None:
        # One after the other: what asks for work first, then what does it, so that nothing new begins meanwhile.
        for part in self._parts.values():
            part.stop(self._is_hurried)
