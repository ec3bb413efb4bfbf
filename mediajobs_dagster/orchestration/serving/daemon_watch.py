"""Alerts of a daemon that has fallen silent. Another process has to notice that: the web server does."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import dagster as dg

from mediajobs_dagster.models import AlertKind
from mediajobs_dagster.system import MediaJobs

_LOOK_S = 30.0
"""How often the signs of life are read, seconds; Dagster's daemons give one every thirty."""
_LOOKS = 3
"""So many looks in a row have to find it silent: a daemon that has just been started, or a machine that was asleep,
shows signs of before."""


class DaemonWatch:
    """Looks at the signs of life of Dagster's daemons. A daemon that never gave one is not missed."""

    def __init__(self, media: MediaJobs, instance: dg.DagsterInstance, *, look_s: float = _LOOK_S) -> None:
        self._media, self._instance, self._look_s = media, instance, look_s
        self._next = 0.0
        self._silent_looks = 0

    def look(self) -> None:
        """Alert if one of them has been silent for too long; reads at most every thirty seconds."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._look_s
        limit, now = self._media.settings.alert_daemon_silent_s, time.time()
        required = self._instance.get_required_daemon_types()
        beats = {name: beat.timestamp for name, beat in self._instance.get_daemon_heartbeats().items()}
        silent = {name: at for name, at in beats.items() if name in required and now - at > limit}
        self._silent_looks = self._silent_looks + 1 if silent else 0
        if self._silent_looks >= _LOOKS:
            self._alert(sorted(silent), datetime.fromtimestamp(min(silent.values()), UTC))

    def _alert(self, silent: list[str], since: datetime) -> None:
        self._media.alerts.alert(
            AlertKind.DAEMON_SILENT,
            AlertKind.DAEMON_SILENT,
            "the daemon is silent",
            f"The daemon ({', '.join(silent)}) has given no sign of life since {since:%Y-%m-%d %H:%M:%S} UTC. Until it "
            "runs again, no job is started and no schedule is kept.",
            occurrence=f"{datetime.now(UTC):%Y-%m-%dT%H}",
        )
