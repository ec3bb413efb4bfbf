"""Takes the events of the sources that the settings name into the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from typing_extensions import override

from mediajobs_dagster.errors import (
    CancelledError,
    DeadlineError,
    InternalError,
    JobSettingsError,
    MediaJobsError,
    ServiceAnswerError,
)
from mediajobs_dagster.history import EventChanges, History
from mediajobs_dagster.job_types.base import JobType, Lane, Params, Schedule
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Plan
from mediajobs_dagster.models import JsonObject, SubjectKind, Tick
from mediajobs_dagster.resilience.retry import RetryPolicy
from mediajobs_dagster.services.events.base import Asking, EventSource, Found, Window
from mediajobs_dagster.services.events.configured import sources_of
from mediajobs_dagster.settings import Settings

_DEADLINE_S = 1800.0
_NOTES = 10
"""How many notes a source gets."""


class ScheduleSync(JobType):
    """Stores the events of calendars and APIs: which there are, when, and how they stand."""

    name: ClassVar[str] = "schedule_sync"
    asset: ClassVar[str] = "scheduled_events"
    lane: ClassVar[Lane] = Lane.NETWORK
    subject: ClassVar[SubjectKind] = SubjectKind.TICK
    schedule: ClassVar[Schedule | None] = Schedule("5 * * * *")
    retry: ClassVar[RetryPolicy | None] = RetryPolicy(base_s=30.0, cap_s=600.0, outage_limit_s=3600.0)
    """Not for longer than until the next moment of the schedule."""

    @override
    def is_configured(self, settings: Settings) -> bool:
        """Whether the settings name a source."""
        return bool(settings.calendars or settings.event_sources)

    @override
    def check_settings(self, settings: Settings) -> None:
        sources_of(settings)

    @override
    def measured_names(self, settings: Settings) -> Iterable[str]:
        try:
            own = [source.name for source in sources_of(settings)]
        except JobSettingsError:  # the attempt tells of it
            own = []
        return ("sync", "calendar", "events", *own)

    def plan(self, material: Material, params: Params) -> Plan:
        del params
        tick = Tick.parse(material.subject.id)
        return Plan(steps=(Call("sync", lambda bench: sync(bench, tick), deadline_s=_DEADLINE_S),))


@dataclass
class _Counts:
    """What came of a source, or of all of them. Each event is counted once."""

    changes: EventChanges = field(default_factory=EventChanges)
    removed: int = 0
    errors: int = 0
    """Events that could not be read, and sources that failed."""

    def to_json(self) -> JsonObject:
        """The figures by name."""
        return {
            "added": self.changes.added,
            "updated": self.changes.updated,
            "unchanged": self.changes.unchanged,
            "removed": self.removed,
            "errors": self.errors,
        }

    def add(self, other: _Counts) -> None:
        """Count these too."""
        self.changes += other.changes
        self.removed += other.removed
        self.errors += other.errors


def sync(bench: Bench, tick: Tick) -> None:
    """Ask every source for the time around the tick, and store what it says.

    A source that fails costs the others nothing: it is noted and counted. Raises its error if none of them worked,
    and JobSettingsError if there is none.
    """
    sources = sources_of(bench.installation.settings)
    counts, by_source, failures = _Counts(), dict[str, JsonObject](), dict[str, MediaJobsError]()
    for number, source in enumerate(sources):
        bench.progress(number / len(sources))
        asked_at = bench.installation.history.now()
        asking = Asking(source.window(tick.created_at), bench.service, bench.check)
        answer = _answer_of(source, asking)
        if isinstance(answer, Found):
            _note(bench, source.name, answer)
            own = _store(bench.installation.history, source.name, answer, asking.window, asked_at)
        else:
            bench.note(f"{source.name} failed ({answer.code}): {answer.message}")
            failures[source.name], own = answer, _Counts(errors=1)
        counts.add(own)
        by_source[source.name] = own.to_json()
        bench.report(**counts.to_json(), sources=by_source)
    if len(failures) == len(sources):
        raise _error_of_all(failures)


def _answer_of(source: EventSource, asking: Asking) -> Found | MediaJobsError:
    """What the source answers, or why it does not. Raises only what ends the work as a whole."""
    try:
        found = source.ask(asking)
    except (CancelledError, DeadlineError):
        raise
    except MediaJobsError as error:
        return error
    except Exception as error:  # noqa: BLE001  # whatever a source of another package raises
        return InternalError(f"{type(error).__name__}: {error}")
    if found.faulty and not found.events and not found.error:
        none = f"None of its {found.faulty:,} events can be read." if found.faulty > 1 else "Its event cannot be read."
        return ServiceAnswerError(f"{none} {found.faults[0]}")
    return found


def _store(history: History, source: str, found: Found, window: Window, asked_at: datetime) -> _Counts:
    events = history.events
    outside = {each.external_id for each in found.events if not window.overlaps(each.starts_at, each.ends_at)}
    passed_over = outside - events.known(source, outside)
    told = [each for each in found.events if each.external_id not in passed_over]
    changes = events.upsert(source, told, asked_at=asked_at)
    events.note_seen(source, found.seen, series=found.series, asked_at=asked_at)
    removed = 0
    if found.is_whole:
        since, until = window.since + found.margin, window.until - found.margin
        removed = events.remove_unseen(source, since=since, until=until, asked_at=asked_at)
    return _Counts(changes, removed, found.faulty + (found.error is not None))


def _note(bench: Bench, source: str, found: Found) -> None:
    error = found.error
    failed = [f"It failed in the middle of its answer ({error.code}): {error.message}"] if error else []
    for text in (*failed, *found.faults, *found.notes)[:_NOTES]:
        bench.note(f"{source}: {text}")


def _error_of_all(failures: Mapping[str, MediaJobsError]) -> MediaJobsError:
    """The error of the attempt: one that may pass, if there is one, with the longest pause that was asked for."""
    errors = list(failures.values())
    chosen = next((error for error in errors if error.retryable), errors[0])
    said = " ".join(f"{name}: {error.message}" for name, error in failures.items())
    error = chosen.with_message(said if len(errors) == 1 else f"None of the {len(errors)} sources worked. {said}")
    pauses = [each.retry_after_s for each in errors if each.retry_after_s is not None]
    error.retry_after_s = max(pauses, default=None)
    return error


JOB_TYPE = ScheduleSync()
