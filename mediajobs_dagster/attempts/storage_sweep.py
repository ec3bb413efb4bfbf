"""Looks through the whole storage, slowly, for what no success names, and removes it.

An attempt removes what came to nothing, and recovery what a lost attempt published. This finds the rest: what a worker
published that woke up after recovery and was killed then, parts of objects whose writers were killed, and outputs that
were replaced while the storage was out of reach.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from itertools import islice
from threading import Lock

from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.history import History
from mediajobs_dagster.inventory.claims import Find, left_over
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.storage import Storage

_AT_ONCE = 1000
"""How many objects one step looks at: a page of S3."""
_REMOVING_S = 5.0
"""How long one step may remove objects, seconds. What is left is found by the next sweep."""

_log = logging.getLogger(__name__)


class StorageSweep:
    """One sweep after the other, a step at a time. Threads may share it."""

    def __init__(self, history: History, storage: Callable[[], Storage], *, every_s: float) -> None:
        """Wait `every_s` seconds after each sweep; 0: never sweep."""
        self._history, self._storage, self._every_s = history, storage, every_s
        self._lock = Lock()
        self._finds: Iterator[Find] | None = None
        self._due = time.monotonic()

    def step(self) -> int:
        """Look at the next thousand objects, and remove those that are left over; returns how many.

        An error of a listing or of the history is logged and ends this sweep.
        """
        if not self._every_s or not self._lock.acquire(blocking=False):
            return 0
        try:
            return self._step()
        except MediaJobsError as error:
            _log.warning("The sweep of the storage was broken off: %s", error)
            self._end()
            return 0
        finally:
            self._lock.release()

    def _step(self) -> int:
        if self._finds is None:
            if time.monotonic() < self._due:
                return 0
            self._finds = self._storage().walk()
        page = list(islice(self._finds, _AT_ONCE))
        if len(page) < _AT_ONCE:
            self._end()
        storage, removed, until = self._storage(), 0, time.monotonic() + _REMOVING_S
        for find in left_over(page, self._history, now=utc_now()):
            if time.monotonic() > until:
                break
            removed += _removed(storage, find)
        return removed

    def _end(self) -> None:
        self._finds, self._due = None, time.monotonic() + self._every_s


def _removed(storage: Storage, find: Find) -> bool:
    """Remove an object; False if the storage does not let it go, which must not keep the others."""
    try:
        storage.discard(find)
    except MediaJobsError as error:
        _log.warning("%s was not removed, though no success names it: %s", find.key, error)
        return False
    _log.info("%s was removed: no success names it.", find.key)
    return True
