"""The words of an alert: what happened, to what, how often, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from mediajobs_dagster.models import Alert, AlertKind
from mediajobs_dagster.printable import counted, in_one_line
from mediajobs_dagster.storage.redaction import redact

WHAT_TO_DO = "whatToDo"
"""The detail that says what to do, where it is not what `_ADVICE` says."""

_NAMES = {
    "jobId": "Job",
    "jobs": "Jobs",
    "traceId": "Trace",
    "errorCode": "Error",
    "jobType": "Job type",
    "runId": "Run",
    "host": "Host",
}
"""How details are called, in this order; others keep their name and follow."""

_ADVICE = {
    AlertKind.BREAKER_OPENED: "Mend what the error says. Nothing is lost: jobs wait, and one is tried from time to "
    "time. `mediajobs status` says when.",
    AlertKind.BREAKER_CLOSED: "Nothing. What waited is started again.",
    AlertKind.JOB_DEAD: "`mediajobs jobs show {jobId}` has the details. Mend the cause, then queue it again with "
    "`mediajobs jobs retry {jobId}`.",
    AlertKind.SCHEDULE_MISSED: "Nothing, if the machine was off on purpose. Otherwise see why the daemon did not run.",
    AlertKind.QUOTA_LOW: "See `mediajobs quota`. Ask for less, or wait until the quota resets.",
    AlertKind.STORAGE_FULL: "See `mediajobs storage report`. Remove what is not needed, or raise the limit.",
    AlertKind.DISK_FULL: "Free some space. A disk that is full stops every job.",
    AlertKind.DAEMON_SILENT: "Look at the daemon's log, and restart it. No job is started meanwhile.",
    AlertKind.HOST_QUARANTINED: "Run `mediajobs doctor` on that host. Other hosts do its work meanwhile.",
    AlertKind.TEST: "Nothing. Alerts will arrive here.",
}
_LEVELS = {AlertKind.BREAKER_CLOSED: "success", AlertKind.TEST: "info"} | dict.fromkeys(
    (AlertKind.SCHEDULE_MISSED, AlertKind.QUOTA_LOW, AlertKind.STORAGE_FULL, AlertKind.DISK_FULL), "warning"
)
"""Apprise's levels of all that is no `failure`."""


@dataclass(frozen=True)
class Message:
    """What is sent."""

    title: str
    body: str
    level: str
    """info, success, warning or failure."""


def message_of(alert: Alert) -> Message:
    """The message that tells an alert."""
    often = f" ({alert.count:,} times)" if alert.count > 1 else ""
    facts = [f"{name}: {value}" for name, value in _facts(alert)]
    advice = str(alert.details.get(WHAT_TO_DO) or what_to_do(alert))
    lines = [alert.body, "", *facts, f"When: {_when(alert)}", f"What to do: {advice}"]
    # Redacted when it was written; once more, because this leaves the house.
    body = "\n".join(in_one_line(redact(line)) for line in "\n".join(lines).split("\n"))
    return Message(f"mediajobs: {in_one_line(redact(alert.title))}{often}", body, _LEVELS.get(alert.kind, "failure"))


def what_to_do(alert: Alert) -> str:
    """What alerts of that kind ask for."""
    return _ADVICE[alert.kind].replace("{jobId}", str(alert.details.get("jobId", "JOB")))


def _facts(alert: Alert) -> list[tuple[str, str]]:
    found = {name: alert.details[name] for name in _NAMES if name in alert.details}
    found |= {name: value for name, value in alert.details.items() if name != WHAT_TO_DO}
    if len(cast("list[object]", found.get("jobs", []))) < 2:  # it is the one that is named
        found.pop("jobs", None)
    return [(_NAMES.get(name, name), _shown(value)) for name, value in found.items() if value is not None]


def _shown(value: object) -> str:
    return ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)


def _when(alert: Alert) -> str:
    if alert.count == 1:
        return f"{alert.first_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{counted(alert.count, 'time')} from {alert.first_at:%Y-%m-%d %H:%M:%S} to {alert.last_at:%H:%M:%S} UTC"
