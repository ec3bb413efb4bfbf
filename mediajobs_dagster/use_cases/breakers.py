"""The breakers of job types and machines: how they stand, and how a person opens and closes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.history import AttemptFilter, History, this_person
from mediajobs_dagster.history.switches import Switch, SwitchScope, SwitchState
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.records import HostBreakerChanged
from mediajobs_dagster.resilience.dispatch import Dispatcher
from mediajobs_dagster.resilience.held import Held
from mediajobs_dagster.resilience.hosts import Quarantine
from mediajobs_dagster.resilience.states import BreakerState
from mediajobs_dagster.settings import Settings

_RECENT = 1000
"""How many of the latest attempts are looked at for the names of machines."""


@dataclass(frozen=True, kw_only=True)
class BreakerStanding:
    """How one breaker stands."""

    scope: SwitchScope
    name: str
    """The job type, or the machine."""
    state: BreakerState
    failures: int
    """How many jobs failed that count against it."""
    error_codes: tuple[str, ...]
    """What they failed by, the most frequent first."""
    since: datetime | None
    """When it opened; None: it is closed."""
    retry_at: datetime | None
    """When an open one lets a job try; None: it is closed, or stays open until a person closes it."""
    switch: Switch | None
    """How a person has set it last; None: nobody has."""
    reason: str | None
    """Why it is not closed, in a sentence."""

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "scope": self.scope,
            "name": self.name,
            "state": self.state,
            "failures": self.failures,
            "errorCodes": list(self.error_codes),
            "since": self.since.isoformat() if self.since else None,
            "retryAt": self.retry_at.isoformat() if self.retry_at else None,
            "switch": self.switch.to_json() if self.switch else None,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Breakers:
    """Reads and sets breakers."""

    history: History
    registry: Registry
    settings: Settings
    dispatcher: Dispatcher
    listeners: Listeners
    seen_hosts: dict[str, BreakerState] = field(default_factory=dict[str, BreakerState])
    """The state in which this process last saw the machines that were quarantined."""

    def all(self) -> tuple[BreakerStanding, ...]:
        """Of every job type, then of every machine whose breaker is not closed or was set by a person.

        Those that are not closed are the first.
        """
        names = {*(each.name for each in self.registry), *self.history.switches.all(SwitchScope.JOB_TYPE)}
        now = self.history.now()
        found = (*(self._of_type(name, now) for name in sorted(names)), *self._of_hosts(now))
        return tuple(sorted(found, key=lambda each: each.state is BreakerState.CLOSED))

    def quarantines(self) -> tuple[Quarantine, ...]:
        """The machines that claim no jobs, or one at a time, by their names."""
        found = self.dispatcher.hosts.all(self.history, now=self.history.now())
        return tuple(found[host] for host in sorted(found))

    def quarantine_of(self, host: str) -> Quarantine | None:
        """The quarantine of one machine; None: it may claim."""
        return self.dispatcher.hosts.of_host(self.history, host, now=self.history.now())

    def open(self, name: str, *, host: bool = False, reason: str = "") -> BreakerStanding:
        """Hold all jobs of a type, or all claims of a machine (`host`), until somebody closes the breaker.

        Raises RequestError for a name that is not known.
        """
        return self._set(name, SwitchState.OPEN, host=host, reason=reason)

    def close(self, name: str, *, host: bool = False, reason: str = "") -> BreakerStanding:
        """Let jobs start again: failures until now do not count any more. Raises RequestError."""
        return self._set(name, SwitchState.CLOSED, host=host, reason=reason)

    def passed_over(self, job_type: str) -> Held | None:
        """Whether a schedule should pass a moment over: its breaker is not closed, and a job of it waits already.

        So a failing system job leaves one job that waits, not one for each moment of an outage. None: it should not.
        """
        return self.dispatcher.held(job_type)

    def tell_changes(self) -> None:
        """Tell listeners which breakers have changed since this process last looked."""
        now = self.history.now()
        for job_type in self.registry:
            self.dispatcher.look(job_type.name, now=now)
        found = self.dispatcher.hosts.all(self.history, now=now)
        for host in sorted({*found, *self.seen_hosts}):
            self._tell_host(host, found.get(host))

    def _tell_host(self, host: str, quarantine: Quarantine | None) -> None:
        before = self.seen_hosts.pop(host, BreakerState.CLOSED)
        after = quarantine.state if quarantine else BreakerState.CLOSED
        if quarantine:
            self.seen_hosts[host] = after
        if before is not after:
            reason = quarantine.reason if quarantine else f"{host} claims jobs again."
            self.listeners.tell(
                HostBreakerChanged(
                    host=host,
                    before=before,
                    after=after,
                    reason=reason,
                    since=quarantine.since if quarantine else None,
                    error_codes=quarantine.error_codes if quarantine else (),
                )
            )

    def _set(self, name: str, state: SwitchState, *, host: bool, reason: str) -> BreakerStanding:
        name = self._known_host(name) if host else self._known_type(name)
        scope, now = SwitchScope.HOST if host else SwitchScope.JOB_TYPE, self.history.now()
        self.history.switches.set(
            Switch(scope=scope, name=name, state=state, since=now, reason=reason, who=this_person())
        )
        self.tell_changes()
        if not host:
            return self._of_type(name, now)
        return next(each for each in self._of_hosts(now) if each.name == name)

    def _known_type(self, name: str) -> str:
        # One that is not installed any more may still have an open breaker.
        return name if name in self.history.switches.all(SwitchScope.JOB_TYPE) else self.registry.name_of(name)

    def _known_host(self, name: str) -> str:
        recent = self.history.attempts.list(AttemptFilter(), limit=_RECENT)
        known = {each.host for each in recent if each.host} | {self.settings.host}
        if name in known or name in self.history.switches.all(SwitchScope.HOST):
            return name
        raise RequestError(
            f"No machine called {name} has made an attempt lately. Known are: {', '.join(sorted(known))}."
        )

    def _of_type(self, name: str, now: datetime) -> BreakerStanding:
        reading = self.dispatcher.breaker.read(self.history, name, now=now)
        is_closed = reading.state is BreakerState.CLOSED
        return BreakerStanding(
            scope=SwitchScope.JOB_TYPE,
            name=name,
            state=reading.state,
            failures=len(reading.failures),
            error_codes=reading.error_codes,
            since=reading.opened_at,
            retry_at=reading.retry_at,
            switch=self.history.switches.get(SwitchScope.JOB_TYPE, name),
            reason=None if is_closed else self.dispatcher.told(reading, now).cause,
        )

    def _of_hosts(self, now: datetime) -> list[BreakerStanding]:
        quarantines = self.dispatcher.hosts.all(self.history, now=now)
        switches = self.history.switches.all(SwitchScope.HOST)
        return [
            self._of_host(host, quarantines.get(host), switches.get(host)) for host in sorted({*quarantines, *switches})
        ]

    @staticmethod
    def _of_host(host: str, quarantine: Quarantine | None, switch: Switch | None) -> BreakerStanding:
        return BreakerStanding(
            scope=SwitchScope.HOST,
            name=host,
            state=quarantine.state if quarantine else BreakerState.CLOSED,
            failures=quarantine.jobs if quarantine else 0,
            error_codes=quarantine.error_codes if quarantine else (),
            since=quarantine.since if quarantine else None,
            retry_at=quarantine.retry_at if quarantine else None,
            switch=switch,
            reason=quarantine.reason if quarantine else None,
        )
