"""Finds the uploads that a timeline refers to: by id, by file name, or by origin."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from mediajobs_dagster.errors import KeyRefusedError, RequestError, StorageDeniedError, StorageMissingError
from mediajobs_dagster.history.uploads import Uploads
from mediajobs_dagster.models import Upload, Value
from mediajobs_dagster.timelines.model import Timeline

Part = TypeVar("Part")

_MOST_STEMS = 1000
"""More names than any timeline that can be rendered has; to look for a stem is to look through all uploads."""
_LISTED = 5
"""How many uploads with the same name a fault lists."""


@dataclass(frozen=True)
class Unresolved:
    """Why there is no upload for a reference."""

    reference: str
    message: str
    """What is wrong, and what to do."""


Found = Mapping[str, Upload | Unresolved]
"""The upload of each reference, or why there is none."""


@dataclass(frozen=True)
class References:
    """Looks references up: as an id, as a file name, as a path or address, as a file name without its suffix."""

    uploads: Uploads
    origin_of: Callable[[str], str]
    """Returns the origin (see `Upload.origin`) of what is at a path or `s3://` address. Raises as intake's search."""

    def resolve(self, names: Iterable[str]) -> Found:
        """The upload for each name, or why there is none.

        A path, a `file://` or an `s3://` address stands for the upload that was made from the content that is there
        now. Raises StorageUnavailableError when the storage is out of reach.
        """
        wanted = list(dict.fromkeys(names))
        fit = [name for name in wanted if _is_storable(name)]
        by_id = self.uploads.with_ids(fit)
        by_name = self.uploads.named([name for name in fit if name not in by_id], limit=_LISTED)
        places = {name: place for name in fit if name not in by_id | by_name and (place := _place(name)) is not None}
        by_place = self._at(places)
        known = (by_id, by_name, by_place)
        rest = [name for name in fit if "://" not in name and not any(name in found for found in known)]
        by_stem = self.uploads.with_stems(rest[:_MOST_STEMS], limit=_LISTED) if rest else {}
        return {
            name: by_id.get(name)
            or _chosen(name, by_name.get(name))
            or by_place.get(name)
            or _chosen(name, by_stem.get(name))
            or _unknown(name)
            for name in wanted
        }

    def _at(self, places: Mapping[str, str]) -> Found:
        """The uploads at `places`, by name."""
        found: dict[str, Upload | Unresolved] = {}
        origins: dict[str, str] = {}
        for name, place in places.items():
            try:
                origins[name] = self.origin_of(place)
            except (RequestError, StorageMissingError, StorageDeniedError, KeyRefusedError) as error:
                found[name] = Unresolved(
                    name, f"{error.message} If it was added, name it by its upload's id or file name."
                )
            except (OSError, RuntimeError) as error:  # not a usable path: too long, or the home of an unknown user
                found[name] = Unresolved(name, f"{name!r} is not a path that this machine can use: {error}.")
        known = self.uploads.known(list(origins.values()))
        for name, origin in origins.items():
            found[name] = known.get(origin) or Unresolved(
                name,
                f"{places[name]} was not added, or changed since. Add it: mediajobs add {shlex.quote(places[name])}",
            )
        return found


def with_references(timeline: Timeline, uploads: Mapping[str, Upload]) -> Timeline:
    """The timeline with each reference replaced by the id of the upload that it stands for."""
    return _replaced(timeline, {name: upload.id for name, upload in uploads.items()})


_FIELDS = ("source", "transcript")
"""The names of the fields of a timeline that hold a reference, and of no other fields; a test checks this."""


def _replaced(part: Part, ids: Mapping[str, str]) -> Part:
    if isinstance(part, tuple):
        return tuple(_replaced(each, ids) for each in part)  # pyright: ignore  # of the same types as before
    if not isinstance(part, Value):
        return part
    values = {name: getattr(part, name) for name in type(part).model_fields}
    changed = {name: ids[value] if name in _FIELDS else _replaced(value, ids) for name, value in values.items()}
    # An unchanged value is returned as it is, so that fields that were left out stay unset.
    news = {name: value for name, value in changed.items() if value != values[name]}
    return part.model_copy(update=news) if news else part


def _chosen(name: str, contents: list[Upload] | None) -> Upload | Unresolved | None:
    """The upload with that file name; `contents` has the newest upload of each content, newest first."""
    if not contents:
        return None
    if len(contents) == 1:
        return contents[0]
    listed = ", ".join(f"{each.id} ({each.filename} of {each.created_at:%Y-%m-%d %H:%M} UTC)" for each in contents)
    more = " and older ones" if len(contents) == _LISTED else ""
    return Unresolved(
        name, f"{name!r} is the file name of uploads with different content: {listed}{more}. Give the id of one."
    )


def _place(name: str) -> str | None:
    """The path or `s3://` address that a reference names; None if it cannot be one."""
    if "://" not in name:
        return name if "/" in name else None
    try:
        address = urlsplit(name)
    except ValueError:  # a broken one
        return None
    if address.scheme == "file":
        return unquote(address.path) if address.netloc in ("", "localhost") else None
    return name if address.scheme == "s3" else None


def _unknown(name: str) -> Unresolved:
    if "://" in name and _place(name) is None:
        return Unresolved(name, f"{name!r} cannot be reached from here. Download it, and add it: mediajobs add FILE")
    file = shlex.quote(Path(name).name)
    return Unresolved(name, f"No upload has the id or the file name {name!r}. Add the file first: mediajobs add {file}")


def _is_storable(name: str) -> bool:
    """Whether a name can be stored in a database, or be a path."""
    try:
        return "\0" not in name and bool(name.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
