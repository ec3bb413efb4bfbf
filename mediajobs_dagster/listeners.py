"""The one place that delivers records to listeners.

A listener is called with every record of `records.py`, and ignores those that it does not want. It cannot break the
work: its exceptions are caught and logged once, and the work goes on. Another program or package adds a listener
without a change to this package: by the setting MEDIAJOBS_LISTENERS (`module:name`, separated by commas), or by an
entry point in the group `mediajobs.listeners`. Either names a function that takes the settings and returns the
listener.
"""

from __future__ import annotations

import importlib
import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import RLock
from typing import Any

from mediajobs_dagster.errors import MediaJobsError, SettingsError
from mediajobs_dagster.plugins import LISTENERS, installed
from mediajobs_dagster.records import Record
from mediajobs_dagster.settings import Settings

Listener = Callable[[Record], None]
"""Called with one record at a time, in the thread where it happens. It must return quickly."""

_log = logging.getLogger(__name__)


class Listeners:
    """Hands each record to every listener. Threads may share it: records are handed over one at a time."""

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        self._listeners = tuple(listeners)
        self._lock = RLock()  # reentrant, because a listener may cause a record itself
        self._complained: set[tuple[int, type[BaseException]]] = set()

    @classmethod
    def of(cls, settings: Settings) -> Listeners:
        """The listeners that the settings and the installed packages name. Raises SettingsError."""
        named = [(name, partial(_named, name)) for name in settings.listeners]
        named += [(f"{point.name} ({point.value})", point.load) for point in installed(LISTENERS)]
        return cls([_made(name, load, settings) for name, load in named])

    def also(self, *listeners: Listener) -> Listeners:
        """These listeners and some more."""
        return Listeners((*self._listeners, *listeners))

    def tell(self, record: Record) -> None:
        """Hand `record` to every listener. Its exceptions are logged, not raised; an interrupt passes through."""
        with self._lock:
            for number, listener in enumerate(self._listeners):
                try:
                    listener(record)
                # Whatever a listener does, the work goes on. A library that prints may raise SystemExit when its
                # output is closed; only an interrupt is meant to end the work too.
                except (Exception, SystemExit) as error:  # noqa: BLE001
                    self._complain(number, listener, record, error)

    def tell_all(self, records: Sequence[Record]) -> None:
        """Hand several records over, in their order."""
        for record in records:
            self.tell(record)

    def _complain(self, number: int, listener: Listener, record: Record, error: BaseException) -> None:
        """Log the first error of each kind of each listener only: a broken listener would fill the log."""
        if (number, type(error)) not in self._complained:
            self._complained.add((number, type(error)))
            _log.error(
                "The listener %r failed on %s. The work goes on; further errors of this kind are not logged.\n%s",
                listener,
                type(record).__name__,
                traceback.format_exc(),
            )


def _named(name: str) -> Callable[[Settings], Listener]:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _made(name: str, load: Callable[[], Any], settings: Settings) -> Listener:
    try:
        return load()(settings)
    except MediaJobsError:
        raise
    except Exception as error:  # whatever another package raises
        raise SettingsError(
            f"The listener {name} cannot be loaded: {type(error).__name__}: {error}. MEDIAJOBS_LISTENERS names "
            "functions as module:function; an entry point names one too."
        ) from error
