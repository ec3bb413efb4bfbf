"""The sources of events that the settings name."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError

from mediajobs_dagster.errors import JobSettingsError, MediaJobsError, RequestError, SettingsError
from mediajobs_dagster.fault_lists import listed, plain_words
from mediajobs_dagster.models import JsonObject, Value
from mediajobs_dagster.plugins import EVENT_SOURCES, installed
from mediajobs_dagster.services.events.apis import ApiOptions, JsonApi
from mediajobs_dagster.services.events.base import EventSource, SourceSettings
from mediajobs_dagster.services.events.calendars import CalendarFeed
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.small_files import read_small

_MAX_FILE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FILE = "MEDIAJOBS_EVENT_SOURCES"
_COMMON = ("kind", "name", "timezone", "days_back", "days_ahead")


class CalendarOptions(Value):
    """A calendar, as the settings describe it."""

    address: str = Field(description="Address of the feed.")


def sources_of(settings: Settings) -> list[EventSource]:
    """The sources of the settings, in their order. Nothing is asked yet.

    Raises JobSettingsError, naming what is wrong, and if there is none.
    """
    try:
        found = _sources_of(settings)
    except SettingsError as error:
        raise JobSettingsError(error.message) from error
    if not found:
        raise JobSettingsError("There is no source of events. Set MEDIAJOBS_CALENDARS or MEDIAJOBS_EVENT_SOURCES.")
    return found


def _sources_of(settings: Settings) -> list[EventSource]:
    default = SourceSettings(
        name="",
        zone=ZoneInfo(settings.events_timezone),
        back=timedelta(days=settings.events_days_back),
        ahead=timedelta(days=settings.events_days_ahead),
    )
    found = [_calendar(number, text, default) for number, text in enumerate(settings.calendars, start=1)]
    if settings.event_sources is not None:
        found += _of_file(settings.event_sources, default)
    names = [source.name for source in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"Two sources of events are named {twice[0]}. Give each its own name.")
    return found


def _calendar(number: int, text: str, default: SourceSettings) -> EventSource:
    name, equals, address = text.partition("=")
    # The address is not shown: it may be a secret.
    if not equals or not _NAME.fullmatch(name):
        raise SettingsError(
            f"MEDIAJOBS_CALENDARS: entry {number} is not name=address, such as team=https://example.com/calendar.ics."
        )
    if not re.match(r"(?:https?|webcals?)://.", address, re.IGNORECASE):
        raise SettingsError(
            f"MEDIAJOBS_CALENDARS: what {name} is given is no address. It begins with https://, http:// or webcal://."
        )
    return CalendarFeed(replace(default, name=name), address)


def _of_file(path: Path, default: SourceSettings) -> Iterator[EventSource]:
    try:
        content = read_small(path, _MAX_FILE, "a file of sources")
        parsed = json.loads(content) if path.suffix.lower() == ".json" else tomllib.loads(content.decode())
    except RequestError as error:
        raise SettingsError(f"{_FILE}: {error.message}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{_FILE}: {path.name} is not valid TOML or JSON: {error}.") from error
    sources: Any = cast("JsonObject", parsed).get("source") if isinstance(parsed, dict) else None
    if not isinstance(sources, list):
        raise SettingsError(f"{_FILE}: {path.name} has no list `source`. Begin each source with [[source]].")
    for number, source in enumerate(cast("list[Any]", sources), start=1):
        if not isinstance(source, dict):
            raise SettingsError(f"{_FILE}: source {number} is not a table.")
        yield _of_table(number, cast("JsonObject", source), default)


def _of_table(number: int, table: JsonObject, default: SourceSettings) -> EventSource:
    name = table.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SettingsError(
            f"{_FILE}: source {number} needs a `name` of letters, digits, `_`, `-` and `.`, at most 64 of them."
        )
    options = {key: value for key, value in table.items() if key not in _COMMON}
    try:
        common = _common(name, table, default)
        return _maker_of(str(table.get("kind")))(common, options)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        said = listed(
            f"{'.'.join(map(str, fault['loc']))}: {plain_words(fault['type'], fault['msg'])}" for fault in faults
        )
        raise SettingsError(f"{_FILE}: source {name}: {said}.") from error
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise SettingsError(f"{_FILE}: source {name}: {error}.") from error


def _common(name: str, table: JsonObject, default: SourceSettings) -> SourceSettings:
    def days(key: str, given: timedelta) -> timedelta:
        value = table.get(key)
        if value is None:
            return given
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 366:
            raise ValueError(f"{key} has to be a number of days from 0 to 366")
        return timedelta(days=value)

    zone = table.get("timezone")
    try:
        own = default.zone if zone is None else ZoneInfo(str(zone))
    except (ValueError, OSError, KeyError):
        raise ValueError(f"{zone!r} is not a time zone such as Europe/Berlin") from None
    return SourceSettings(name, own, days("days_back", default.back), days("days_ahead", default.ahead))


_Maker = Callable[[SourceSettings, JsonObject], EventSource]


def _maker_of(kind: str) -> _Maker:
    known: dict[str, _Maker] = {
        "calendar": lambda common, options: CalendarFeed(common, CalendarOptions.model_validate(options).address),
        "api": lambda common, options: JsonApi(common, ApiOptions.model_validate(options)),
    }
    if kind in known:
        return known[kind]
    points = installed(EVENT_SOURCES)
    for point in points:
        if point.name == kind:
            return _guarded(point.name, point.load)
    kinds: Sequence[str] = (*known, *(point.name for point in points))
    raise ValueError(f"there is no kind {kind!r}; known are {', '.join(kinds)}")


def _guarded(kind: str, load: Callable[[], _Maker]) -> _Maker:
    """What another package brings, whose errors become ours."""

    def make(common: SourceSettings, options: JsonObject) -> EventSource:
        try:
            return load()(common, options)
        except MediaJobsError:
            raise
        except Exception as error:  # whatever another package raises
            raise SettingsError(f"{_FILE}: source {common.name}: {kind} refuses its settings: {error}.") from error

    return make
