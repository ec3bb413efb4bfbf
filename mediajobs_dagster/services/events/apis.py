"""Events of a paged JSON API. What it is asked, and how its answers are read, stands in a file of settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from pydantic import Field

from mediajobs_dagster.errors import CancelledError, DeadlineError, MediaJobsError, ServiceAnswerError
from mediajobs_dagster.models import Value
from mediajobs_dagster.services.events.base import MAX_EVENTS, Asking, EventFault, Found, SourceSettings, Window
from mediajobs_dagster.services.events.mapping import Mapping, at_path
from mediajobs_dagster.services.http import HttpClient

_MARGIN = timedelta(days=1)
"""An API that is asked for days may mean days of another time zone than we do."""


class Paging(Value):
    """How the next page is asked for."""

    parameter: str = Field(description="The parameter of the query that names a page.")
    next_cursor: str | None = Field(
        default=None,
        description="Path to what names the next page. Without one, pages are counted, until one is empty.",
    )
    first: int = Field(default=1, description="The number of the first page, if pages are counted.")
    most: int = Field(default=100, gt=0, description="The most pages that are asked for.")


class ApiOptions(Value):
    """An API, as the settings describe it."""

    address: str = Field(description="Address of the list. It is the operator's, so it may be in a private network.")
    headers: dict[str, str] = Field(default_factory=dict[str, str], description="Headers to send, such as a key.")
    query: dict[str, str | int | float | tuple[str | int | float, ...]] = Field(
        default_factory=dict[str, "str | int | float | tuple[str | int | float, ...]"],
        description="Parameters of the query. In texts, {from_day} and {to_day} are the days of the window, {from} and "
        "{to} its moments.",
    )
    paging: Paging | None = Field(default=None, description="How it pages; without, all is on one page.")
    events: Mapping = Field(description="How an item is read as an event.")


@dataclass(frozen=True)
class JsonApi:
    """An API that lists events as JSON."""

    settings: SourceSettings
    options: ApiOptions

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self.settings.name

    def window(self, now: datetime) -> Window:
        """The time that it is to be asked for at `now`."""
        return self.settings.window(now)

    def ask(self, asking: Asking) -> Found:
        """The events of all pages. If a later page fails, those before it are returned with the error.

        Raises ServiceError and its kinds, and RequestError for an address that is not valid.
        """
        found = Found(margin=_MARGIN)
        count = 0
        try:
            for items in self._pages(asking, found):
                count += len(items)
                if count > MAX_EVENTS:
                    _cut_off(found, f"The source has more than {MAX_EVENTS:,} events; the rest was left out.")
                    break
                self._take(items, asking.window.now, found)
        except (CancelledError, DeadlineError):
            raise
        except MediaJobsError as error:
            if not found.events:
                raise
            found.error, found.is_whole = error, False
        return found

    def _pages(self, asking: Asking, found: Found) -> Iterator[list[Any]]:
        """The items of one page after the other."""
        paging = self.options.paging
        page: Any = paging.first if paging and paging.next_cursor is None else None
        asked: set[str] = set()
        for _ in range(paging.most if paging else 1):
            asking.check()
            answer = self._ask_page(asking, (paging and page is not None and {paging.parameter: page}) or {})
            items = self._items_of(answer)
            yield items
            asked.add(str(page))
            page = _following(paging, page, items, answer)
            if page is None:
                return
            if str(page) in asked:
                _cut_off(found, "The source names the same page again and again; the rest was left out.")
                return
        if paging:
            _cut_off(found, f"The source has more than {paging.most} pages; the rest was left out.")

    def _ask_page(self, asking: Asking, page: dict[str, Any]) -> Any:
        options, window = self.options, asking.window
        days = [each.astimezone(self.settings.zone).date().isoformat() for each in (window.since, window.until)]
        moments = [f"{each.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for each in (window.since, window.until)]
        values = {"{from_day}": days[0], "{to_day}": days[1], "{from}": moments[0], "{to}": moments[1]}
        query = {name: _filled(value, values) for name, value in options.query.items()} | page
        client = asking.service(HttpClient)
        answer = client.request(
            *("GET", options.address),
            service=self.name,
            op="events",
            params=query,
            headers={"Accept": "application/json", **options.headers},
            trusted=True,
        )
        return answer.json()

    def _items_of(self, answer: Any) -> list[Any]:
        items = at_path(answer, self.options.events.items)
        if not isinstance(items, list):
            raise ServiceAnswerError(
                f"The answer of {self.name} has no list at `{self.options.events.items}`. Correct `items` in its "
                "settings, or its address."
            )
        return cast("list[Any]", items)

    def _take(self, items: list[Any], now: datetime, found: Found) -> None:
        mapping = self.options.events
        for item in items:
            try:
                found.events.append(mapping.event_of(item, self.settings.zone, now))
            except EventFault as fault:
                external_id = mapping.id_of(item)
                found.add_fault(external_id or "An event without id", fault, external_id)


def _following(paging: Paging | None, page: Any, items: list[Any], answer: Any) -> Any:
    """What names the page after `page`; None: there is none."""
    if paging is None:
        return None
    if paging.next_cursor is None:
        return page + 1 if items else None
    cursor = at_path(answer, paging.next_cursor)
    return cursor if isinstance(cursor, str | int) and cursor != "" else None


def _cut_off(found: Found, note: str) -> None:
    found.is_whole = False
    found.notes.append(note)


def _filled(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, tuple):
        return [_filled(each, values) for each in cast("tuple[Any, ...]", value)]
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace(name, text)
    return value
