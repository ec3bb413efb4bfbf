"""The use cases of scheduled events."""

from __future__ import annotations

from dataclasses import dataclass

from mediajobs_dagster.history import EventFilter, History
from mediajobs_dagster.models import Event
from mediajobs_dagster.use_cases.references import References


@dataclass(frozen=True)
class Events:
    """Lists and shows scheduled events. `MediaJobs.events` is one."""

    history: History

    def list(self, filter: EventFilter | None = None, *, limit: int = 50, after: str | None = None) -> list[Event]:
        """One page, the earliest first. `after` is the last id of the page before; NotFoundError if unknown."""
        return self.history.events.list(filter or EventFilter(), limit=limit, after=after)

    def show(self, reference: str) -> Event:
        """An event, by its id or the beginning of that, its id at the source, or its title.

        Raises NotFoundError and AmbiguousError.
        """
        return References(self.history).event(reference)
