"""Adds up what a walk through the storage finds, prefix by prefix. Its size does not grow with what is found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mediajobs_dagster.history.named_objects import NamedObject
from mediajobs_dagster.inventory.claims import Find, Judged, Verdict
from mediajobs_dagster.inventory.report import Amount, Example, Finding, PrefixFigures
from mediajobs_dagster.printable import counted, printable
from mediajobs_dagster.storage import ObjectStat, Unfinished
from mediajobs_dagster.storage.storage_map import Entry, StorageMap
from mediajobs_dagster.storage.trash import trashed_at

YOUNG = timedelta(days=1)
"""An object younger than this may be about to be named, so it is neither judged nor removed."""
OTHERS = "(others)"
"""Stands for the prefixes beyond the first hundred that the map does not know."""
_PREFIXES = 100
_EXAMPLES = 20


@dataclass
class _Sum:
    objects: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        self.objects += 1
        self.bytes += size

    def amount(self) -> Amount:
        return Amount(objects=self.objects, bytes=self.bytes)


@dataclass
class PrefixTally:
    """What lies below one prefix."""

    prefix: str
    entry: Entry | None
    all: _Sum = field(default_factory=_Sum)
    past_retention: _Sum = field(default_factory=_Sum)
    past_retention_named: _Sum = field(default_factory=_Sum)
    left_over: _Sum = field(default_factory=_Sum)
    not_in_history: _Sum = field(default_factory=_Sum)
    misfit: _Sum = field(default_factory=_Sum)
    unfinished: int = 0
    missing: int = 0

    def figures(self, before: PrefixFigures | None) -> PrefixFigures:
        """The sums as a value, beside those of the report before."""
        return PrefixFigures(
            prefix=self.prefix,
            is_known=self.entry is not None,
            objects=self.all.objects,
            bytes=self.all.bytes,
            growth=before and Amount(objects=self.all.objects - before.objects, bytes=self.all.bytes - before.bytes),
            retention_days=self.entry.retention_days if self.entry else None,
            past_retention=self.past_retention.amount(),
            past_retention_named=self.past_retention_named.amount(),
            left_over=self.left_over.amount(),
            not_in_history=self.not_in_history.amount(),
            misfit=self.misfit.amount(),
            unfinished=self.unfinished,
            missing=self.missing,
        )


class Tally:
    """The sums of all prefixes, and examples of what is odd."""

    def __init__(self, storage_map: StorageMap, now: datetime) -> None:
        self._map, self._now = storage_map, now
        self.prefixes = {entry.prefix: PrefixTally(entry.prefix, entry) for entry in storage_map.entries}
        self._others: dict[str, PrefixTally] = {}
        self._examples: dict[Finding, list[Example]] = {finding: [] for finding in Finding}
        self.oldest_unfinished: datetime | None = None

    def add(self, find: Find) -> None:
        """Count what was found."""
        at = self._at(find.key)
        if isinstance(find, Unfinished):
            at.unfinished += 1
            self.oldest_unfinished = min(find.since, self.oldest_unfinished or find.since)
            self._note(Finding.UNFINISHED, find, "its writer has not finished it")
            return
        at.all.add(find.bytes)
        if at.entry and not at.entry.fits(find.key):
            at.misfit.add(find.bytes)
            self._note(Finding.MISFIT, find, f"it looks like no pattern of {at.prefix} in the storage map")

    def add_named(self, stat: ObjectStat) -> None:
        """Count an object that the history names, among those of its prefix: it may be past its retention."""
        at = self._at(stat.key)
        if is_past_retention(stat, at.entry, self._now):
            at.past_retention.add(stat.bytes)
            at.past_retention_named.add(stat.bytes)

    def add_judged(self, judged: Iterable[Judged]) -> None:
        """Count objects, and parts of some, that the history does not name."""
        for each in judged:
            find = each.find
            at, size = self._at(find.key), find.bytes if isinstance(find, ObjectStat) else 0
            is_object = isinstance(find, ObjectStat)
            if is_object and is_past_retention(find, at.entry, self._now):
                at.past_retention.add(size)
                days = counted((at.entry and at.entry.retention_days) or 0, "day")
                self._note(Finding.PAST_RETENTION, find, f"it is past the {days} of {at.prefix} in the storage map")
            if not is_object or self._now - age_from(find) < YOUNG:
                continue
            if each.verdict is Verdict.LEFT_OVER:
                at.left_over.add(size)
                self._note(Finding.LEFT_OVER, find, each.reason)
            elif each.verdict is Verdict.UNKNOWN and at.entry and at.entry.retention_days is None:
                at.not_in_history.add(size)
                self._note(Finding.NOT_IN_HISTORY, find, "the history knows neither an upload nor an attempt of it")

    def add_missing(self, names: Iterable[NamedObject]) -> None:
        """Count objects that are not there."""
        for name in names:
            self._at(name.key).missing += 1
            reason = f"{name.by} names it"
            self._keep(Example(finding=Finding.MISSING, key=name.key, bytes=None, at=None, reason=reason))

    def all(self) -> list[PrefixTally]:
        """The prefixes of the map in its order, then the others in theirs."""
        return [*self.prefixes.values(), *(self._others[name] for name in sorted(self._others))]

    def examples(self) -> tuple[Example, ...]:
        """Some of each finding."""
        return tuple(each for found in self._examples.values() for each in found)

    def _at(self, key: str) -> PrefixTally:
        entry = self._map.entry_for(key)
        if entry:
            return self.prefixes[entry.prefix]
        head, slash, _ = key.partition("/")
        prefix = printable(f"{head}/") if slash else "(no prefix)"
        if prefix not in self._others and len(self._others) >= _PREFIXES:
            prefix = OTHERS
        return self._others.setdefault(prefix, PrefixTally(prefix, None))

    def _note(self, finding: Finding, find: Find, reason: str) -> None:
        size = find.bytes if isinstance(find, ObjectStat) else None
        self._keep(Example(finding=finding, key=printable(find.key), bytes=size, at=age_from(find), reason=reason))

    def _keep(self, example: Example) -> None:
        if len(kept := self._examples[example.finding]) < _EXAMPLES:
            kept.append(example)


def age_from(find: Find) -> datetime:
    """The moment from which the age of a find counts: in the trash its removal, else when it was written."""
    return trashed_at(find.key) or (find.since if isinstance(find, Unfinished) else find.modified)


def is_past_retention(stat: Find, entry: Entry | None, now: datetime) -> bool:
    """Whether the storage map says that an object may go by now."""
    days = entry.retention_days if entry else None
    return days is not None and now - age_from(stat) >= timedelta(days=days)
