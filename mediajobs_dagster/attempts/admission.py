"""Whether this machine may claim a job now: one that is quarantined claims none, and a half-open one a single one."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass, field

from mediajobs_dagster.history import History
from mediajobs_dagster.resilience.hosts import HostBreaker, Quarantine
from mediajobs_dagster.resilience.states import BreakerState

_LOOK_S = 2.0
"""How long an answer counts while the machine is not quarantined, seconds."""

_log = logging.getLogger(__name__)


@dataclass
class Admission:
    """Asked before each claim of a run, from any thread."""

    history: History
    breaker: HostBreaker
    host: str
    _is_free_until: float = -math.inf
    _is_over: bool = False
    _has_probed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_refused(self) -> bool:
        """Whether the run may not claim another job; once it may not, it never may."""
        with self._lock:
            if not self._is_over and time.monotonic() >= self._is_free_until:
                found = self.breaker.of_host(self.history, self.host, now=self.history.now())
                if found is None:
                    self._is_free_until = time.monotonic() + _LOOK_S
                    self._has_probed = False
                elif not self._may_probe(found):
                    _log.warning("This run gives its jobs back. %s", found.reason)
                    self._is_over = True
            return self._is_over

    def _may_probe(self, quarantine: Quarantine) -> bool:
        may = (
            quarantine.state is BreakerState.HALF_OPEN
            and not self._has_probed
            and not self.history.witnesses.running_on(self.host)
        )
        self._has_probed = True
        return may
