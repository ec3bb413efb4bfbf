"""Alerts, from what was seen to the message that arrived. The outbox itself is `history/alerts.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.history import History
from mediajobs_dagster.models import Alert, AlertKind, JsonObject, new_id, utc_now
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage.redaction import redact, redact_values
from mediajobs_dagster.telemetry.messages import message_of
from mediajobs_dagster.telemetry.targets import Target, targets_of

_FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 900.0
_HOLD_S, _HOLD_PER_TARGET_S = 60.0, 30.0
"""How long a sender may take for one message, seconds; after that, another one sends it."""
_AT_ONCE = 100
"""Messages sent in one go."""

_NO_ADDRESS = (
    "No address is set, so alerts are only listed. Set MEDIAJOBS_ALERT_URLS to addresses as Apprise writes them, such "
    "as mailto://… or slack://…."
)


@dataclass(frozen=True)
class Delivery:
    """What one round of sending came to."""

    sent: int
    failed: int
    """Messages that at least one target did not take; they are tried again."""

    def to_json(self) -> JsonObject:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class Trial:
    """What became of a test message at one target."""

    target: str
    """Its number among the addresses, and the kind of service."""
    arrived: bool
    reason: str | None
    """Why it did not arrive."""

    def to_json(self) -> JsonObject:
        """The JSON form."""
        return asdict(self)


class Alerting:
    """Writes, lists and sends alerts."""

    def __init__(self, settings: Settings, history: Callable[[], History]) -> None:
        """Open nothing yet."""
        self._settings, self._history = settings, history

    def alert(
        self,
        kind: AlertKind,
        cause: str,
        title: str,
        body: str,
        details: JsonObject | None = None,
        *,
        occurrence: str | None = None,
    ) -> bool:
        """Write an alert for the next sender. One message a cause an hour; more of the same is counted in it.

        `details` are shown with it: jobId, traceId, errorCode, runId, host, and any other. `whatToDo` among them
        replaces what alerts of this kind advise. With `occurrence`, what several processes see is counted once; False:
        it was told already. Secrets are taken out.
        """
        clean = redact_values(details or {})
        return self._history().alerts.add(
            kind, redact(cause), redact(title), redact(body), clean, occurrence=occurrence
        )

    def list(
        self,
        *,
        kinds: Sequence[AlertKind] = (),
        since: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[Alert]:
        """Alerts, newest first. `after` is the last id of the page before."""
        return self._history().alerts.list(kinds=kinds, since=since, limit=limit, after=after)

    @property
    def has_addresses(self) -> bool:
        """Whether alerts are sent anywhere."""
        return bool(self._settings.alert_urls)

    def check(self) -> str:
        """Where alerts go, in a few words. Raises ExtraMissingError, and SettingsError for a bad address."""
        return f"they go to {', '.join(each.name for each in self._targets) or 'nobody'}"

    def deliver(self, *, now: datetime | None = None) -> Delivery:
        """Send what is due. Several processes may do so at the same time: each message is taken by one of them.

        A target that does not take a message gets it again later, for three days; those that took it do not. Raises
        ExtraMissingError and SettingsError; then nothing was taken.
        """
        outbox, sent, failed = self._history().alerts, 0, 0
        hold_s = _HOLD_S + _HOLD_PER_TARGET_S * len(self._targets)
        while self._targets and sent + failed < _AT_ONCE and outbox.is_due(now):
            alert = outbox.claim(hold_s=hold_s, now=now)
            if alert is None:  # another sender was faster
                break
            reached, faults = self._send(alert)
            if faults:
                told = alert.model_copy(update={"reached": reached})
                outbox.not_sent(told, "; ".join(faults), again_in_s=_pause_s(alert.tries), now=now)
                failed += 1
            else:
                outbox.sent(alert, now=now)
                sent += 1
        return Delivery(sent, failed)

    def test(self) -> tuple[Trial, ...]:
        """Send a test message to every target, past the outbox. Raises SettingsError if there is none."""
        if not self._targets:
            raise SettingsError(_NO_ADDRESS)
        at = utc_now()
        alert = Alert(
            id=new_id(),
            kind=AlertKind.TEST,
            cause="test",
            title="test of the alerts",
            body="This is a test. Somebody ran `mediajobs alerts test`.",
            details={"host": self._settings.hostname} if self._settings.hostname else {},
            count=1,
            first_at=at,
            last_at=at,
            due_at=at,
            sent_at=None,
            tries=1,
            error=None,
            reached=(),
        )
        message = message_of(alert)
        reasons = [(target, target.send(message)) for target in self._targets]
        return tuple(Trial(target.name, reason is None, reason) for target, reason in reasons)

    @cached_property
    def _targets(self) -> tuple[Target, ...]:
        return targets_of(self._settings.alert_urls)

    def _send(self, alert: Alert) -> tuple[tuple[str, ...], list[str]]:
        """The marks of the targets that have it now, and what the others said."""
        message, reached, faults = message_of(alert), list(alert.reached), list[str]()
        for target in self._targets:
            if target.mark in reached:
                continue
            if reason := target.send(message):
                faults.append(f"target {target.name}: {reason}")
            else:
                reached.append(target.mark)
        return tuple(reached), faults


def _pause_s(tries: int) -> float:
    return min(_FIRST_PAUSE_S * 2 ** min(tries - 1, 10), _LONGEST_PAUSE_S)
