"""Takes stock: walks through the whole storage, and compares it with what the history names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

from mediajobs_dagster.errors import StorageUnavailableError
from mediajobs_dagster.history import History
from mediajobs_dagster.history.named_objects import NamedObject
from mediajobs_dagster.history.storage_snapshots import Snapshot
from mediajobs_dagster.inventory.claims import judge
from mediajobs_dagster.inventory.ledger import Ledger
from mediajobs_dagster.inventory.report import GB, Amount, PrefixFigures, StorageReport
from mediajobs_dagster.inventory.tally import Tally
from mediajobs_dagster.models import StorageOp, new_id
from mediajobs_dagster.storage import Storage
from mediajobs_dagster.storage.storage_map import StorageMap

AT_ONCE = 1000
"""How many objects are looked at between two reports of progress, and asked about at once."""
_ASKED_AGAIN = 1000
"""How many missing objects are asked for, one by one."""
_SKEW = timedelta(minutes=5)
"""How far the clocks of workers may differ from ours."""
_WALK, _NAMES = 0.7, 0.85
"""The share of the time that is over once the storage, and then the history, have been gone through; by experience."""

OnProgress = Callable[[float | None], None]
"""Called now and then with the share that is done, from 0 to 1; None: unknown. What it raises ends the work."""

Item = TypeVar("Item")


@dataclass
class StockTaking:
    """One report in the making."""

    storage: Storage
    history: History
    storage_map: StorageMap
    price_gb_month: float | None
    folder: Path
    """For working files: some 350 bytes an object."""
    now: datetime
    progress: OnProgress = lambda _: None
    _requests: int = field(init=False, default=0)

    def take(self) -> StorageReport:
        """Walk, compare, and store the report. Nothing is stored unless everything could be listed.

        Raises StorageError when a listing fails, also half-way, and when the storage itself is not there although the
        history names objects in it.
        """
        began, tally = time.monotonic(), Tally(self.storage_map, self.now)
        self.storage = self.storage.observed(self._count)
        before = self._before()
        with Ledger(self.folder) as ledger:
            self._walk(ledger, tally, expected=before.objects if before else None)
            self._read_names(ledger)
            is_checked = self._compare(ledger, tally)
        report = self._report(tally, before, seconds=time.monotonic() - began, is_checked=is_checked)
        self.history.storage_snapshots.add(
            Snapshot(new_id(), report.taken_at, report.objects, report.bytes, report.to_json())
        )
        return report

    def _before(self) -> StorageReport | None:
        found = self.history.storage_snapshots.latest(self.storage.url)
        return found and StorageReport.model_validate(found.report)

    def _walk(self, ledger: Ledger, tally: Tally, *, expected: int | None) -> None:
        done = 0
        for page in batches(self.storage.walk()):
            for find in page:
                tally.add(find)
                ledger.add_find(find)
            done += len(page)
            self.progress(_WALK * min(1.0, done / expected) if expected else None)
        ledger.end_finds()

    def _read_names(self, ledger: Ledger) -> None:
        # After the walk: what was named before it, and still is, was there all the time.
        for page in batches(self.history.named_objects.all()):
            for named in page:
                ledger.add_name(named)
            self.progress(_WALK)
            self._refuse_absence()
        self.progress(_NAMES)

    def _compare(self, ledger: Ledger, tally: Tally) -> bool:
        """Judge what one side lacks; returns whether each object that is missing was asked for once more."""
        doubted: list[NamedObject] = []
        is_checked = True
        for part in ledger.differences():
            for stat in part.named:
                tally.add_named(stat)
            for page in batches(iter(part.unnamed)):
                tally.add_judged(judge(page, self.history, now=self.now))
            doubted += [name for name in part.missing if name.since < self.now - _SKEW]
            if len(doubted) > _ASKED_AGAIN:
                is_checked = False
                tally.add_missing(doubted)
                doubted = []
            self.progress(_NAMES)
        for page in batches(ledger.unfinished()):
            tally.add_judged(judge(page, self.history, now=self.now))
        tally.add_missing(name for name in doubted if self._is_missing(name))
        return is_checked

    def _is_missing(self, name: NamedObject) -> bool:
        # An export that was made again has a new key under an old name, which may be younger than the walk.
        self.progress(_NAMES)
        return self.storage.find(name.key) is None

    def _refuse_absence(self) -> None:
        if not self.storage.is_there:
            raise StorageUnavailableError(
                f"{self.storage.url} is not there, although the history names objects in it: is its disk mounted? "
                "Then try again."
            )

    def _count(self, _: StorageOp) -> None:
        self._requests += 1

    def _report(self, tally: Tally, before: StorageReport | None, *, seconds: float, is_checked: bool) -> StorageReport:
        earlier = {each.prefix: each for each in before.prefixes} if before else {}
        prefixes = tuple(each.figures(earlier.get(each.prefix)) for each in tally.all())
        objects, size = sum(each.objects for each in prefixes), sum(each.bytes for each in prefixes)
        price = self.price_gb_month
        return StorageReport(
            storage=self.storage.url,
            taken_at=self.now,
            seconds=round(seconds, 3),
            requests=self._requests,
            objects=objects,
            bytes=size,
            since=before and before.taken_at,
            growth=before and Amount(objects=objects - before.objects, bytes=size - before.bytes),
            price_gb_month=price,
            cost_month=None if price is None else round(size / GB * price, 4),
            past_retention=_total(prefixes, "past_retention"),
            past_retention_named=_total(prefixes, "past_retention_named"),
            left_over=_total(prefixes, "left_over"),
            not_in_history=_total(prefixes, "not_in_history"),
            misfit=_total(prefixes, "misfit"),
            unfinished=sum(each.unfinished for each in prefixes),
            oldest_unfinished=tally.oldest_unfinished,
            missing=sum(each.missing for each in prefixes),
            is_missing_checked=is_checked,
            unknown_prefixes=sum(not each.is_known for each in prefixes),
            prefixes=prefixes,
            examples=tally.examples(),
        )


def batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    """The items, a thousand at a time."""
    while page := list(islice(items, AT_ONCE)):
        yield page


def _total(prefixes: tuple[PrefixFigures, ...], name: str) -> Amount:
    amounts: list[Amount] = [getattr(each, name) for each in prefixes]
    return Amount(objects=sum(each.objects for each in amounts), bytes=sum(each.bytes for each in amounts))
