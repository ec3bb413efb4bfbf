"""The use cases of scheduled events: what the sources of the settings have told."""

from __future__ import annotations

from dataclasses import dataclass

from mediajobs_dagster.history import EventFilter, History
from mediajobs_dagster.models import Event
from mediajobs_dagster.services.events.configured import sources_of
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.use_cases.references import References


@dataclass(frozen=True)
class Events:
    """Lists and shows scheduled events. `MediaJobs.events` is one."""

    settings: Settings
    history: History

    def list(self, filter: EventFilter | None = None, *, limit: int = 50, after: str | None = None) -> list[Event]:
        """One page, the earliest first. `after` is the last id of the page before; NotFoundError if unknown."""
        return self.history.events.list(filter or EventFilter(), limit=limit, after=after)

    def show(self, reference: str) -> Event:
        """An event, by its id or the beginning of that, its id at the source, or its title.

        Raises NotFoundError and AmbiguousError.
        """
        return References(self.history).event(reference)

    def sources(self) -> tuple[str, ...]:
        """The names of the sources that the settings describe. Raises SettingsError when they cannot be used."""
        return tuple(source.name for source in sources_of(self.settings))
