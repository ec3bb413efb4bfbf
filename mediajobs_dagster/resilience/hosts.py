"""The breaker of a machine: one whose jobs keep failing while others do the same jobs well stops claiming.

It has no state of its own either: everything follows from the job history. A job type counts against a machine

    as long as it has failed there by system or external faults since it last succeeded there, and
    while another machine stands well: there it succeeded within the window, and has not failed since.

With `failures` such jobs, of whatever types, the machine is quarantined. It claims nothing for a cool-down after its
latest failure; then it is half open: one job at a time, whose success takes its type off the list. Where a job type
fails everywhere, no machine stands well, none is quarantined, and the breaker of the job type opens. A machine that is
the only one is never quarantined, except by a person.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mediajobs_dagster.history import History
from mediajobs_dagster.history.switches import Switch, SwitchScope
from mediajobs_dagster.history.witnesses import HostFailure, HostSuccess
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.resilience.states import BreakerState, moment_words
from mediajobs_dagster.settings import Settings

HostFailures = dict[str, list[HostFailure]]


@dataclass(frozen=True, kw_only=True)
class Quarantine:
    """A machine that claims no jobs, or one at a time."""

    host: str
    state: BreakerState
    """Open or half open."""
    at: datetime
    """When this was found out."""
    since: datetime
    """When the first of the jobs failed that it is quarantined for, or a person opened its breaker."""
    error_codes: tuple[str, ...] = ()
    """What its jobs failed by, the most frequent first."""
    jobs: int = 0
    """How many jobs failed."""
    retry_at: datetime | None = None
    """When it may try one; None: when a person closes its breaker."""
    by_hand: Switch | None = None
    """Set if a person opened its breaker."""

    @property
    def reason(self) -> str:
        """All of it in a sentence. Times are UTC, with their date if it is not the day on which this was found."""
        since = moment_words(self.since, self.at)
        if self.by_hand:
            why = f", for: {self.by_hand.reason}" if self.by_hand.reason else ""
            return (
                f"{self.host} claims no jobs: {self.by_hand.who} opened its breaker at {since}{why}. "
                f"`mediajobs breaker close {self.host} --host` lets it claim again."
            )
        codes = f" ({', '.join(self.error_codes)})" if self.error_codes else ""
        assert self.retry_at  # no person opened it
        next_try = (
            "one job at a time is tried on it now"
            if self.state is BreakerState.HALF_OPEN
            else f"next try {moment_words(self.retry_at, self.at)}"
        )
        return (
            f"{self.host} is quarantined: {self.jobs} jobs have failed there since {since}{codes}, of types that other "
            f"machines do well; {next_try}."
        )

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "host": self.host,
            "state": self.state,
            "since": self.since.isoformat(),
            "errorCodes": list(self.error_codes),
            "jobs": self.jobs,
            "retryAt": self.retry_at.isoformat() if self.retry_at else None,
            "byHand": self.by_hand.to_json() if self.by_hand else None,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class HostBreaker:
    """The rule that quarantines machines."""

    failures: int = 3
    window_s: float = 3600.0
    cooldown_s: float = 300.0

    @classmethod
    def of(cls, settings: Settings) -> HostBreaker:
        """The rule that the settings ask for: that of job types."""
        return cls(settings.breaker_failures, settings.breaker_window_s, settings.breaker_cooldown_s)

    def all(self, history: History, *, now: datetime) -> dict[str, Quarantine]:
        """Every machine that is quarantined, by its name. One or three queries."""
        switches = history.switches.all(SwitchScope.HOST)
        found = {host: _by_hand(switch, now) for host, switch in switches.items() if switch.is_open}
        since = now - timedelta(seconds=self.window_s)
        failed: HostFailures = defaultdict(list)
        for failure in history.witnesses.failures(since=since):
            switch = switches.get(failure.host)
            if switch is None or (switch.closed_at and failure.at > switch.closed_at):
                failed[failure.host].append(failure)
        # Nearly always no machine has failed so often, and there is no need to ask who succeeded.
        if any(self._suffice(failures) for failures in failed.values()):
            successes = history.witnesses.successes(since=since)
            for host, failures in failed.items():
                counting = _counting(host, failures, failed, successes)
                if host not in found and self._suffice(counting):
                    found[host] = self._quarantine(host, counting, now)
        return found

    def of_host(self, history: History, host: str, *, now: datetime) -> Quarantine | None:
        """The quarantine of one machine; None: it may claim."""
        return self.all(history, now=now).get(host)

    def _suffice(self, failures: Iterable[HostFailure]) -> bool:
        return len({failure.job for failure in failures}) >= self.failures

    def _quarantine(self, host: str, failures: list[HostFailure], now: datetime) -> Quarantine:
        retry_at = max(failure.at for failure in failures) + timedelta(seconds=self.cooldown_s)
        codes = Counter(failure.error_code for failure in failures)
        return Quarantine(
            host=host,
            state=BreakerState.OPEN if now < retry_at else BreakerState.HALF_OPEN,
            at=now,
            since=min(failure.at for failure in failures),
            error_codes=tuple(code for code, _ in codes.most_common() if code),
            jobs=len({failure.job for failure in failures}),
            retry_at=retry_at,
        )


def _by_hand(switch: Switch, now: datetime) -> Quarantine:
    return Quarantine(host=switch.name, state=BreakerState.OPEN, at=now, since=switch.since, by_hand=switch)


def _counting(
    host: str, failures: list[HostFailure], failed: HostFailures, successes: tuple[HostSuccess, ...]
) -> list[HostFailure]:
    """Those failures of a machine that count against it: others do well what it fails at."""
    last_success = {each.job_type: each.at for each in successes if each.host == host}
    others = {each.job_type for each in successes if each.host != host and _stands_well(each, failed)}
    return [
        failure
        for failure in failures
        if failure.job_type in others and failure.at > last_success.get(failure.job_type, _EVER)
    ]


def _stands_well(success: HostSuccess, failed: HostFailures) -> bool:
    """Whether a machine has not failed at a job type since it succeeded in it."""
    return not any(
        failure.job_type == success.job_type and failure.at > success.at for failure in failed.get(success.host, ())
    )


_EVER = datetime.min.replace(tzinfo=UTC)
