"""Sums over all attempts of each job type, from the totals: read by every scrape, so never from the rows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.figures import SOURCES, Figures, figures_of
from mediajobs_dagster.history.schema import metric_entries, metric_totals
from mediajobs_dagster.history.spans import SPANS_S, start_of
from mediajobs_dagster.models import AttemptStatus

_LAST = timedelta(hours=24)


@dataclass
class TypeSums:
    """What all attempts of a type come to, those included whose rows are gone."""

    by_status: dict[AttemptStatus, int] = field(default_factory=lambda: defaultdict[AttemptStatus, int](int))
    sums: list[int] = field(default_factory=lambda: [0] * len(Figures._fields))

    @property
    def figures(self) -> Figures:
        """The sums, by name."""
        return Figures(*self.sums)

    def add(self, status: AttemptStatus, attempts: int, figures: Figures) -> None:
        """Add attempts."""
        self.by_status[status] += attempts
        self.sums = [mine + more for mine, more in zip(self.sums, figures, strict=True)]


SumsByType = dict[str, TypeSums]


class ByType:
    """Reads the sums."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def all(self) -> SumsByType:
        """Of all time: of a few spans of 64 days."""
        return self._sums(SPANS_S[-1], since=None)

    def last_day(self, now: datetime) -> SumsByType:
        """Of the attempts that began within the last 24 hours, to the hour."""
        return self._sums(SPANS_S[0], since=start_of(now - _LAST, SPANS_S[0]))

    def _sums(self, span_s: int, since: datetime | None) -> SumsByType:
        totals, entries = metric_totals.c, metric_entries.c
        key = (totals.job_name, totals.status)
        folded = sa.select(*key, sa.func.sum(totals.attempts), *(sa.func.sum(totals[name]) for name in Figures._fields))
        folded = folded.where(totals.span_s == span_s).group_by(*key)
        recent = sa.select(entries.job_name, entries.status, *(entries[name] for name in SOURCES))
        if since is not None:
            folded, recent = folded.where(totals.start >= since), recent.where(entries.created_at >= since)
        found: SumsByType = defaultdict(TypeSums)
        # One moment for both: what is folded between two looks would count twice, or not at all.
        with self._database.read(snapshot=True) as connection:
            for name, status, attempts, *sums in connection.execute(folded):
                found[name].add(AttemptStatus(status), int(attempts), Figures(*map(int, sums)))
            for name, status, *sources in connection.execute(recent):
                found[name].add(AttemptStatus(status), 1, figures_of(sources))
        return dict(found)
