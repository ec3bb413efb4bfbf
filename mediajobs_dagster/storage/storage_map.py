"""The storage map: which prefixes exist, what is below each, who makes it and how long it is kept.

The map itself is `storage_map.json` beside this module, unless MEDIAJOBS_STORAGE_MAP names another.
"""

from __future__ import annotations

import itertools
import re
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from mediajobs_dagster.errors import KeyRefusedError, RequestError, SettingsError
from mediajobs_dagster.fault_lists import listed
from mediajobs_dagster.models import Value
from mediajobs_dagster.small_files import read_small
from mediajobs_dagster.storage.keys import check_key

OUR_MAP = Path(__file__).with_name("storage_map.json")
"""The map that the package brings."""
_MAX_BYTES = 1 << 20
_PLACEHOLDERS = {
    "{id}": r"[A-Za-z0-9_-]{1,64}",
    "{uuid}": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "{yyyy-mm}": r"\d{4}-(?:0[1-9]|1[0-2])",
    "{key}": r".+",
    "{dd}": r"(?:0[1-9]|[12]\d|3[01])",
}


class Entry(Value):
    """All objects below one prefix."""

    prefix: str = Field(description="Ends with a slash; never lies inside the prefix of another entry.")
    purpose: str = Field(min_length=1)
    job_type: str | None = Field(
        description="The job type that makes these objects; null: people, or mediajobs itself."
    )
    patterns: tuple[str, ...] = Field(
        min_length=1, description="What the keys look like: {id}, {uuid}, {yyyy-mm}, {dd} and {key} are placeholders."
    )
    examples: tuple[str, ...] = Field(min_length=1, description="Whole keys that fit a pattern.")
    retention_days: int | None = Field(ge=0, description="Days after which an object may go; null: it is kept.")
    retention: str = Field(min_length=1, description="What happens to the objects, for people.")

    @model_validator(mode="after")
    def _fits_together(self) -> Entry:
        if not self.prefix.endswith("/"):
            raise ValueError(f"prefix: {self.prefix} does not end with a slash")
        for pattern in self.patterns:
            if not pattern.startswith(self.prefix):
                raise ValueError(f"patterns: {pattern} does not lie below {self.prefix}")
            unknown = set(re.findall(r"\{.*?\}", pattern)) - _PLACEHOLDERS.keys()
            if unknown:
                raise ValueError(f"patterns: {pattern} has the unknown placeholder {min(unknown)}")
        for example in self.examples:
            try:
                check_key(example)
            except KeyRefusedError as error:
                raise ValueError(f"examples: {error.message}") from error
            if not self.fits(example):
                raise ValueError(f"examples: {example} fits none of the patterns")
        return self

    def fits(self, key: str) -> bool:
        """Whether `key` looks like one of the patterns."""
        return any(_expression(pattern).fullmatch(key) for pattern in self.patterns)


class StorageMap(Value):
    """Every prefix that mediajobs knows."""

    version: Literal[1]
    entries: tuple[Entry, ...]

    @model_validator(mode="after")
    def _prefixes_lie_apart(self) -> StorageMap:
        # In sorted order, a prefix comes right before the first prefix inside of it.
        prefixes = sorted(entry.prefix for entry in self.entries)
        for outer, inner in itertools.pairwise(prefixes):
            if inner.startswith(outer):
                raise ValueError(f"entries: the prefix {inner} lies inside {outer}")
        return self

    def entry_for(self, key: str) -> Entry | None:
        """The entry whose prefix `key` begins with; None when there is none."""
        return next((entry for entry in self.entries if key.startswith(entry.prefix)), None)

    def matches(self, entry: Entry, key: str) -> bool:
        """Whether `key` belongs to `entry` and looks like one of its patterns."""
        return self.entry_for(key) == entry and entry.fits(key)


def load_storage_map(path: Path) -> StorageMap:
    """Read and check a storage map. Raises SettingsError, saying where in the file the fault is."""
    try:
        return StorageMap.model_validate_json(read_small(path, _MAX_BYTES, "a storage map"), strict=True)
    except RequestError as error:
        raise SettingsError(f"The storage map {error.message}") from error
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        faults = listed(f"{_json_path(fault['loc'])}: {fault['msg']}" for fault in found)
        raise SettingsError(f"The storage map {path} is not valid. {faults}. Correct the file.") from error


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\{.*?\})", pattern)
    return re.compile("".join(_PLACEHOLDERS[part] if part in _PLACEHOLDERS else re.escape(part) for part in parts))


def _json_path(location: tuple[int | str, ...]) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
