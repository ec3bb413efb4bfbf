"""Passes on what the processes below `mediajobs up` log, less what tells nothing: the tracebacks of a database that
does not answer, and the events of runs.

An entry of a log is a line that begins with a date, and all that follows up to the next one. While a database is away,
every loop of every process logs the same hundred lines again and again, and none tells more than the first.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mediajobs_dagster.supervisor.part import Say
from mediajobs_dagster.telemetry.logs import read_line

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BEGINS = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d")
_IS_ERROR = re.compile(r"\b(ERROR|WARNING|CRITICAL)\b|^Traceback \(most recent call last\)")
_OF_DATABASE = re.compile(
    r"\b((?:DatabaseBusy|DatabaseUnavailable)Error\b.*"
    r"|(?:Operational|Interface)Error\b.*"
    r"(?:connect|locked|closed|terminat|shutting down|starting up|recovery|refused).*)"
)
"""An error of a library is one of these only if it says so: `no such column` is a fault that must be seen."""
_IS_EVENT = re.compile(r"\d{4}-\d\d-\d\d \S+ \S+ - dagster - DEBUG - ")
"""How Dagster's own logger prints an event of a run that was started in its UI. The run's page has all of them."""
_LONGEST_REASON = 300
_COMPLETE_S = 1.0
"""An entry to which nothing was added for this long is complete, seconds."""


def plain_text(line: str) -> str:
    """A line without colours."""
    return _COLOUR.sub("", line)


@dataclass
class _Entry:
    lines: list[str] = field(default_factory=list[str])
    at: float = 0.0
    is_event: bool = False
    """Whether it is one of those events, which are not passed on."""


class LogEntries:
    """Holds an entry back until it is complete, if it is an error. Threads may share it."""

    def __init__(self, say: Say, on_outage: Callable[[str], None]) -> None:
        """`on_outage` is called with the reason, in place of `say`, for an entry about a database that is away."""
        self._say, self._on_outage = say, on_outage
        self._held: dict[str, _Entry] = {}
        self._lock = threading.RLock()

    def add(self, name: str, line: str) -> None:
        """A line that the process `name` has printed."""
        plain = plain_text(line)
        with self._lock:
            entry = self._held.setdefault(name, _Entry())
            if (structured := read_line(line)) is not None:
                self._end(name)
                self._add_structured(name, line, structured)
                return
            if _BEGINS.match(plain):
                entry.is_event = bool(_IS_EVENT.match(plain))
            if entry.is_event:
                self._end(name)
                return
            if _BEGINS.match(plain) or not entry.lines:
                self._end(name)
                if not _IS_ERROR.search(plain):
                    self._say(name, line)
                    return
            entry.lines.append(line)
            entry.at = time.monotonic()

    def _add_structured(self, name: str, line: str, entry: Mapping[str, Any]) -> None:
        """A line of JSON is an entry of its own."""
        is_error = entry["level"] in ("warning", "error", "critical")
        reason = _OF_DATABASE.search(f"{entry['message']} {entry['data'].get('traceback', '')}") if is_error else None
        if reason:
            self._on_outage(reason[0][:_LONGEST_REASON])
        else:
            self._say(name, line)

    def end_complete(self, *, at_once: bool = False) -> None:
        """Pass on what nothing is added to any more; `at_once` whatever is held."""
        with self._lock:
            for name, entry in self._held.items():
                if at_once or time.monotonic() - entry.at > _COMPLETE_S:
                    self._end(name)

    def _end(self, name: str) -> None:
        lines, self._held[name].lines = self._held[name].lines, []
        reasons = [found[1] for line in lines if (found := _OF_DATABASE.search(line))]
        if reasons:
            self._on_outage(reasons[0])
            return
        for line in lines:
            self._say(name, line)
