"""Removes objects that nobody needs: those of attempts that came to nothing, and those past their retention.

An object goes only for a reason that is known of it. What the history does not know stays, whatever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import Field

from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.history import History
from mediajobs_dagster.inventory.claims import Find, Judged, Verdict, judge
from mediajobs_dagster.inventory.ledger import Ledger
from mediajobs_dagster.inventory.report import Amount
from mediajobs_dagster.inventory.taking import OnProgress, batches
from mediajobs_dagster.inventory.tally import YOUNG, age_from, is_past_retention
from mediajobs_dagster.models import Value, new_id
from mediajobs_dagster.printable import counted
from mediajobs_dagster.storage import ObjectStat, Storage, Undo, Unfinished
from mediajobs_dagster.storage.storage_map import StorageMap
from mediajobs_dagster.storage.trash import trashed_at

_NEWS = timedelta(hours=1)
"""How far the clock of whoever registers an upload may be behind ours."""


class Leaving(Value):
    """An object, or the parts of one, that may go."""

    key: str
    bytes: int | None = Field(description="Null for parts of an object.")
    at: datetime = Field(description="When it was written.")
    reason: str = Field(description="Why it may go, for people.")
    fault: str | None = Field(default=None, description="Why it was not removed, for people; null: nothing failed.")


class Collected(Value):
    """What was removed, or would be."""

    storage: str
    prefix: str
    older_than_s: float = Field(description="Only what is older was looked at, seconds.")
    is_dry: bool = Field(description="Whether nothing was removed.")
    looked_at: int = Field(description="How many objects were looked at.")
    gone: Amount = Field(description="Objects that were removed, or would be.")
    unfinished: int = Field(description="Parts of unfinished objects that were removed, or would be.")
    reasons: dict[str, Amount] = Field(description="By the reason.")
    failed: int = Field(description="Objects that the storage did not let go.")
    kept: int = Field(description="Objects that changed, or that somebody needed, by the time they were to go.")
    undo: Undo = Field(description="Whether objects can be brought back.")
    removal_id: str | None = Field(description="Names this removal for --restore; null: nothing was removed.")
    objects: tuple[Leaving, ...] = Field(description="The first of them.")


@dataclass
class Collection:
    """One collection of what nobody needs."""

    storage: Storage
    history: History
    storage_map: StorageMap
    folder: Path
    """For working files."""
    now: Callable[[], datetime]
    prefix: str = ""
    older_than: timedelta = YOUNG
    progress: OnProgress = lambda _: None
    limit: int = 50
    """How many objects the answer lists."""
    id: str = field(default_factory=new_id)
    """Names the removal."""
    _gone: Amount = field(init=False, default=Amount())
    _reasons: dict[str, Amount] = field(init=False, default_factory=dict[str, Amount])
    _unfinished: int = field(init=False, default=0)
    _failed: int = field(init=False, default=0)
    _kept: int = field(init=False, default=0)
    _looked_at: int = field(init=False, default=0)
    _listed: list[Leaving] = field(init=False, default_factory=list[Leaving])

    def look(self) -> Collected:
        """What would be removed now. Raises StorageError when the storage cannot be listed."""
        for page in self._candidates(self.now()):
            for find, reason in self._leaving(page, self.now(), set()):
                self._note(find, reason)
        return self.collected(is_dry=True)

    def remove(self) -> None:
        """Remove it; `collected` tells what was removed, even if this is interrupted. Raises as `look` does."""
        began = self.now()
        for page in self._candidates(began):
            # Right before each page, for what has changed since the storage was gone through.
            news = self.history.named_objects.registered_since(began - _NEWS)
            for find, reason in self._leaving(page, self.now(), news):
                self._remove(find, reason)

    def collected(self, *, is_dry: bool) -> Collected:
        """What was noted so far."""
        is_empty = not (self._gone.objects or self._unfinished)
        return Collected(
            storage=self.storage.url,
            prefix=self.prefix,
            older_than_s=self._least_age.total_seconds(),
            is_dry=is_dry,
            looked_at=self._looked_at,
            gone=self._gone,
            unfinished=self._unfinished,
            reasons=self._reasons,
            failed=self._failed,
            kept=self._kept,
            undo=self.storage.undo(),
            removal_id=None if is_dry or is_empty else self.id,
            objects=tuple(self._listed),
        )

    @property
    def _least_age(self) -> timedelta:
        return max(YOUNG, self.older_than)

    def _candidates(self, began: datetime) -> Iterator[Sequence[Find]]:
        """What is old enough and what the history does not name, page by page."""
        with Ledger(self.folder) as ledger:
            for page in batches(self.storage.walk(self.prefix)):
                self._looked_at += len(page)
                for find in page:
                    if began - age_from(find) >= self._least_age:
                        ledger.add_find(find)
                self.progress(None)
            ledger.end_finds()
            for names in batches(self.history.named_objects.all()):
                for name in names:
                    if name.key.startswith(self.prefix):
                        ledger.add_name(name)
                self.progress(None)
            for part in ledger.differences():
                yield from batches(iter(part.unnamed))
            yield from batches(ledger.unfinished())

    def _leaving(self, page: Sequence[Find], now: datetime, news: set[str]) -> Iterator[tuple[Find, str]]:
        """Those of a page that may go, each with the reason."""
        for judged in judge(page, self.history, now=now):
            self.progress(None)
            if judged.find.key not in news and (reason := self._reason(judged, now)):
                yield judged.find, reason

    def _reason(self, judged: Judged, now: datetime) -> str | None:
        """Why an object may go; None: it stays."""
        find, entry = judged.find, self.storage_map.entry_for(judged.find.key)
        if judged.verdict in (Verdict.LIVE, Verdict.STANDING):
            return None
        is_past = is_past_retention(find, entry, now)
        if judged.verdict is Verdict.LEFT_OVER:
            is_held = isinstance(find, ObjectStat) and entry and entry.retention_days is not None and not is_past
            return None if is_held else judged.reason
        if isinstance(find, ObjectStat) and is_past and entry:
            return f"it is past the {counted(entry.retention_days or 0, 'day')} of {entry.prefix} in the storage map"
        return None

    def _remove(self, find: Find, reason: str) -> None:
        try:
            if self._has_changed(find):
                self._kept += 1
                return
            if isinstance(find, ObjectStat) and trashed_at(find.key) is None:
                self.storage.set_aside(find.key, self.id)
            else:
                self.storage.discard(find)
        except MediaJobsError as error:
            self._failed += 1
            self._list(find, reason, error.message)
            return
        self._note(find, reason)

    def _has_changed(self, find: Find) -> bool:
        """Whether an object is another one than was listed, or gone."""
        if isinstance(find, Unfinished):
            return False
        stat = self.storage.find(find.key)
        return stat is None or (stat.etag, stat.bytes, stat.modified) != (find.etag, find.bytes, find.modified)

    def _note(self, find: Find, reason: str) -> None:
        if isinstance(find, ObjectStat):
            self._gone = self._gone.plus(find.bytes)
            self._reasons[reason] = self._reasons.get(reason, Amount()).plus(find.bytes)
        else:
            self._unfinished += 1
            self._reasons[reason] = self._reasons.get(reason, Amount()).plus(0)
        self._list(find, reason)

    def _list(self, find: Find, reason: str, fault: str | None = None) -> None:
        if len(self._listed) < self.limit:
            size = find.bytes if isinstance(find, ObjectStat) else None
            self._listed.append(Leaving(key=find.key, bytes=size, at=age_from(find), reason=reason, fault=fault))
