"""Removes what is older than it has to be: rows of the history, and what others keep, such as Dagster's runs.

It goes through everything in small batches, with a pause as long as the batch after each, so that others get their
turn. Nothing is noted of how far it came: what is removed is gone, and the next clean-up finds the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Protocol

from pydantic import Field

from mediajobs_dagster.history import History
from mediajobs_dagster.history.removing import Batch, Mark
from mediajobs_dagster.models import Value
from mediajobs_dagster.settings import Settings

AT_ONCE = 100
"""Rows of one batch. One of attempts with large manifests takes some hundredths of a second."""
_LONGEST_PAUSE_S = 0.5
_SHORTEST_PAUSE_S = 0.005

Check = Callable[[], None]
"""Raises to end a clean-up, as when its job is cancelled."""
NextBatch = Callable[[Mark | None], Batch]


class Removed(Value):
    """What was removed of one kind."""

    kind: str = Field(description="Such as attempts, jobs, timelines or runs.")
    rows: int = Field(description="How many; with --dry-run, how many would be.")
    bytes: int = Field(description="Bytes of their values, without indexes; of files, their size.")


class CleanUp(Value):
    """What a clean-up did."""

    is_dry_run: bool = Field(description="Whether it only looked.")
    removed: tuple[Removed, ...] = Field(description="Each kind, also those of which nothing was old enough.")
    bytes_before: int = Field(description="Size of the history database before, indexes included.")
    bytes_after: int = Field(description="And after.")
    space: str = Field(description="What was done to give room back, in a sentence.")
    took_s: float = Field(description="How long it took, seconds.")

    @property
    def rows(self) -> int:
        """Everything that was removed."""
        return sum(each.rows for each in self.removed)


class Sweeper(Protocol):
    """Removes what is kept outside of the history database."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it removes."""
        ...

    def sweep(self, kind: str, before: datetime, *, dry_run: bool) -> Iterator[Removed]:
        """Remove what is of before a moment, a batch after the other; yields what each batch removed."""
        ...


@dataclass(frozen=True)
class Retention:
    """How long things are kept, and the removal of what is older."""

    settings: Settings
    history: History
    sweepers: Sequence[Sweeper] = ()

    def before(self, name: str, now: datetime) -> datetime | None:
        """The moment before which things of a job type, or of a kind, are old; None: they are kept for ever."""
        days = self.settings.retention_of(name)
        return now - timedelta(days=days) if days else None

    def clean_up(
        self,
        *,
        now: datetime,
        dry_run: bool = False,
        check: Check = lambda: None,
        on_progress: Callable[[Removed], None] = lambda _: None,
        at_once: int = AT_ONCE,
    ) -> CleanUp:
        """Remove all that is old at `now`; `on_progress` is told what is removed of each kind so far.

        With `dry_run` nothing is changed. Raises what `check` raises; what is removed by then stays removed.
        """
        began, size = time.monotonic(), self.history.space.bytes()
        turns = _Turns(check)
        if not dry_run:  # first: totals outlive the rows
            turns.until_none(self.history.removing.fold_totals)
            turns.until_none(self.history.trace_outbox.forget_old)
        removed: list[Removed] = []
        given_back = 0
        for kind, batches in self._kinds(now, dry_run=dry_run, at_once=at_once):
            total = Removed(kind=kind, rows=0, bytes=0)
            for batch in turns.each(batches):
                total = Removed(kind=kind, rows=total.rows + batch.rows, bytes=total.bytes + batch.bytes)
                on_progress(total)
                if batch.rows and not dry_run:
                    given_back += self.history.space.give_back_some()
            removed.append(total)
        space = "Nothing to give back."
        if any(each.rows for each in removed) and not dry_run:
            space = self.history.space.give_back(turns.pause, given_back=given_back)
        return CleanUp(
            is_dry_run=dry_run,
            removed=tuple(removed),
            bytes_before=size,
            bytes_after=self.history.space.bytes(),
            space=space,
            took_s=round(time.monotonic() - began, 3),
        )

    def _kinds(self, now: datetime, *, dry_run: bool, at_once: int) -> Iterator[tuple[str, Iterator[Batch | Removed]]]:
        removing, names = self.history.removing, self.history.removing.names()
        options = {"limit": at_once, "dry_run": dry_run}

        def of_types(batch: Callable[..., Batch]) -> Iterator[Batch]:
            for name in names:
                if (before := self.before(name, now)) is not None:
                    yield from _batches(lambda mark, n=name, b=before: batch(n, b, after=mark, **options))

        def of_kind(kind: str, batch: Callable[..., Batch]) -> Iterator[Batch]:
            if (before := self.before(kind, now)) is not None:
                yield from _batches(lambda mark: batch(before, after=mark, **options))

        yield "attempts", of_types(removing.attempts)
        yield "jobs", of_types(removing.jobs)
        for kind in ("timelines", "alerts", "actions", "events", "snapshots"):
            yield kind, of_kind(kind, getattr(removing, kind))
        yield "webhooks", chain(of_kind("webhooks", removing.deliveries), of_kind("webhooks", removing.callbacks))
        if (before := self.before("quota", now)) is not None:
            yield "quota", iter([removing.quota(before, dry_run=dry_run)])
        for sweeper in self.sweepers:
            for kind in sweeper.kinds:
                before = self.before(kind, now)
                yield kind, iter(()) if before is None else sweeper.sweep(kind, before, dry_run=dry_run)


def _batches(batch: NextBatch) -> Iterator[Batch]:
    mark: Mark | None = None
    while True:
        done = batch(mark)
        yield done
        if (mark := done.mark) is None:
            return


@dataclass
class _Turns:
    """Lets others have their turn: a pause after each batch as long as the batch took."""

    check: Check
    _began: float = field(default_factory=time.monotonic)

    def each(self, batches: Iterator[Batch | Removed]) -> Iterator[Batch | Removed]:
        """The batches, with pauses between them."""
        self._began = time.monotonic()
        for batch in batches:
            yield batch
            self.pause()

    def until_none(self, step: Callable[[], int]) -> None:
        """Repeat a step until it finds nothing."""
        self._began = time.monotonic()
        while step():
            self.pause()

    def pause(self) -> None:
        """Wait, and end if that is asked for."""
        self.check()
        time.sleep(min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S, time.monotonic() - self._began)))
        self._began = time.monotonic()
