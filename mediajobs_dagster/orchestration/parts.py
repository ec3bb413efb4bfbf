"""The parts that definitions share: settings and history, opened when they are first needed, once a process."""

from __future__ import annotations

import os
from functools import cached_property
from threading import Lock

from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.resilience.breaker import Breaker
from mediajobs_dagster.resilience.dispatch import Dispatcher
from mediajobs_dagster.settings import Settings


class Parts:
    """What sensors and assets of one code location work with. Loading the definitions opens nothing."""

    def __init__(
        self, registry: Registry, settings: Settings | None = None, listeners: Listeners | None = None
    ) -> None:
        self.registry = registry
        self._listeners = listeners
        self._given = settings
        self._lock = Lock()
        self._history: tuple[int, History] | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings, read on first use."""
        return self._given or Settings.load()

    @cached_property
    def listeners(self) -> Listeners:
        """Who is told what happens."""
        return self._listeners or Listeners.of(self.settings)

    @property
    def history(self) -> History:
        """The history database; a process that was forked off opens its own."""
        with self._lock:
            if self._history is None or self._history[0] != os.getpid():
                opened = History.open(self.settings.database_url, timeout_s=self.settings.database_timeout_s)
                self._history = (os.getpid(), opened)
            return self._history[1]

    @property
    def dispatcher(self) -> Dispatcher:
        """The way from the queue into runs."""
        return Dispatcher(self.history, Breaker.of(self.settings), self.settings.lease_s)
