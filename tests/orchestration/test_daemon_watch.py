"""A daemon that has fallen silent is alerted of, by another process, on the signs of life that Dagster keeps."""

from __future__ import annotations

import time
from collections.abc import Callable

from dagster._daemon.types import DaemonHeartbeat

from mediajobs_dagster.models import AlertKind
from mediajobs_dagster.orchestration.serving.daemon_watch import DaemonWatch
from tests.orchestration.conftest import DagsterPlatform


def test_silence_is_told_once_an_hour(open_dagster: Callable[..., DagsterPlatform]) -> None:
    """Not of a daemon that never ran, nor of one that beats, nor at once: it may have just been started."""
    dagster = open_dagster()
    watch, alerts = DaemonWatch(dagster.media, dagster.instance, look_s=0.0), dagster.media.alerts

    def look(*, silent_s: float | None, times: int) -> int:
        if silent_s is not None:
            beat = DaemonHeartbeat(time.time() - silent_s, "SENSOR", "daemon-1", [])
            dagster.instance.add_daemon_heartbeat(beat)
        for _ in range(times):
            watch.look()
        return sum(each.count for each in alerts.list(kinds=[AlertKind.DAEMON_SILENT]))

    assert look(silent_s=None, times=5) == 0
    assert look(silent_s=1, times=5) == 0
    assert look(silent_s=301, times=2) == 0
    assert look(silent_s=2, times=1) == 0
    assert look(silent_s=400, times=9) in (1, 2)  # two if the hour has changed meanwhile
    (alert,) = alerts.list()
    assert "SENSOR" in alert.body
