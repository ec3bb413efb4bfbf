"""Figures over a selection of attempts.

Most are read from totals, which grow with time and not with the number of attempts. The attempts of a trace, a run or a
job are few, so their figures are read from the rows.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from pydantic import Field

from mediajobs_dagster.history.attempts import AttemptFilter
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.figures import SOURCES, Figures, figures_of
from mediajobs_dagster.history.paging import Conditions, newest_of
from mediajobs_dagster.history.schema import job_history, metric_entries, metric_hosts, metric_totals
from mediajobs_dagster.history.spans import (
    CLASS_ERROR,
    SPANS_S,
    Spans,
    by_hours,
    class_of,
    cover,
    duration_of,
    start_of,
)
from mediajobs_dagster.models import AttemptStatus, JsonObject, Value

_HOUR = timedelta(seconds=SPANS_S[0])
_STAGE_SAMPLE = 100
"""Most manifests that are opened: each has tens of kilobytes."""


_MOST_KNOWN = 5_000
"""Attempts whose stages are kept in memory: some hundred bytes each."""

_Stages = tuple[tuple[str, int], ...]
"""The stages of an attempt: name, and duration in milliseconds."""


class Spread(Value):
    """How long something took, milliseconds."""

    average: float = 0.0
    p50: float = 0.0
    p95: float = 0.0


class StageFigures(Value):
    """One stage of the attempts, such as fetch or verify."""

    name: str
    count: int
    average_ms: float
    p95_ms: float


class StatisticsReport(Value):
    """Figures over a selection of attempts. Counts, sums and averages are exact."""

    attempts: int = 0
    by_status: dict[AttemptStatus, int] = Field(description="Every status is listed.")
    success_rate: float = Field(0.0, description="Successes / (successes, failures and lost attempts), 0 to 1.")
    duration_ms: Spread = Field(
        Spread(),
        description=f"Percentiles by nearest rank, at most {CLASS_ERROR:.1%} off; exact for a trace, a run or a job.",
    )
    output_files: int = Field(default=0, description="Files that were made.")
    output_bytes: int = Field(default=0, description="Their bytes.")
    rtf: float | None = Field(
        default=None, description="Media seconds / processing seconds of all attempts that have a real-time factor."
    )
    media_seconds: float = Field(default=0.0, description="Media seconds of the attempts that have a real-time factor.")
    cpu_seconds: float = Field(default=0.0, description="CPU time of all commands.")
    bytes_in: int = Field(default=0, description="Bytes read from the storage.")
    bytes_out: int = Field(default=0, description="Bytes written to the storage.")
    wasted_ms: int = Field(default=0, description="Milliseconds of attempts that failed, were lost or cancelled.")
    errors: dict[str, int] = Field(description="Attempts by error code, the most frequent first.")
    stages: tuple[StageFigures, ...] = Field(
        default=(), description=f"Of the newest {_STAGE_SAMPLE} with a manifest, in order of appearance."
    )
    workers: dict[str, int] = Field(description="Attempts by host, the busiest first.")
    counted_since: datetime | None = Field(
        default=None,
        description="Where counting began, if that is earlier than asked: attempts of the hour that the period begins "
        "in were removed, so the hour is counted as a whole.",
    )
    counted_until: datetime | None = Field(
        default=None, description="Where counting ended, if that is later than asked, for the same reason."
    )


class SpanFigures(Value):
    """What ended in one span of time, of one job type."""

    start: datetime = Field(description="When the span began.")
    job_name: str
    by_status: dict[AttemptStatus, int] = Field(description="Attempts; those with none are left out.")
    errors: dict[str, int] = Field(description="Attempts by error code.")
    rtf_media_ms: int = Field(description="Media milliseconds of the attempts that have a real-time factor.")
    rtf_duration_ms: int = Field(description="Their duration.")


@dataclass
class _Span:
    by_status: Counter[AttemptStatus] = field(default_factory=Counter[AttemptStatus])
    errors: Counter[str] = field(default_factory=Counter[str])
    media_ms: int = 0
    duration_ms: int = 0

    def add(self, status: str, error_code: str | None, attempts: int, figures: tuple[int, int]) -> None:
        self.by_status[AttemptStatus(status)] += attempts
        if error_code:
            self.errors[error_code] += attempts
        self.media_ms += figures[0]
        self.duration_ms += figures[1]


@dataclass
class _Sums:
    """The counts and sums of a report."""

    by_status: Counter[str] = field(default_factory=Counter[str])
    by_error: Counter[str] = field(default_factory=Counter[str])
    by_host: Counter[str] = field(default_factory=Counter[str])
    by_duration: Counter[float] = field(default_factory=Counter[float])
    """Attempts by duration, or by the duration that represents its class, milliseconds."""
    sums: list[int] = field(default_factory=lambda: [0] * len(Figures._fields))
    """The sums, in the order of `Figures`. A list, because every row is added to it."""
    counted_since: datetime | None = None
    counted_until: datetime | None = None

    def add(self, common: tuple[str, str | None], attempts: int, each_ms: float | None, figures: Figures) -> None:
        """Count `attempts` attempts that took `each_ms` each; `common` is their status and error code.

        `figures` are the sums over all of them.
        """
        status, error_code = common
        self.by_status[status] += attempts
        if error_code:
            self.by_error[error_code] += attempts
        if each_ms is not None:
            self.by_duration[each_ms] += attempts
        for index, figure in enumerate(figures):
            self.sums[index] += figure

    def report(self, stages: tuple[StageFigures, ...]) -> StatisticsReport:
        """The figures."""
        figures = Figures(*self.sums)
        ended = sum(self.by_status[each] for each in (AttemptStatus.SUCCESS, AttemptStatus.FAILURE, AttemptStatus.LOST))
        return StatisticsReport(
            attempts=self.by_status.total(),
            by_status={status: self.by_status[status] for status in AttemptStatus},
            success_rate=self.by_status[AttemptStatus.SUCCESS] / ended if ended else 0.0,
            duration_ms=self._spread(),
            output_files=figures.output_files,
            output_bytes=figures.output_bytes,
            rtf=figures.rtf_media_ms / figures.rtf_duration_ms if figures.rtf_duration_ms else None,
            media_seconds=figures.rtf_media_ms / 1000,
            cpu_seconds=figures.cpu_ms / 1000,
            bytes_in=figures.bytes_in,
            bytes_out=figures.bytes_out,
            wasted_ms=figures.wasted_ms,
            errors=dict(sorted(self.by_error.items(), key=_most_frequent_first)),
            stages=stages,
            workers=dict(sorted(self.by_host.items(), key=_most_frequent_first)),
            counted_since=self.counted_since,
            counted_until=self.counted_until,
        )

    def _spread(self) -> Spread:
        timed = self.by_duration.total()
        if not timed:
            return Spread()
        return Spread(
            average=Figures(*self.sums).duration_ms / timed,
            p50=_nearest(self.by_duration, 0.50),
            p95=_nearest(self.by_duration, 0.95),
        )


class Statistics:
    """Reads figures from the history."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database
        self._known_stages: dict[str, _Stages] = {}

    def of(self, filter: AttemptFilter) -> StatisticsReport:
        """The figures over the attempts that match the filter; zeros when there are none.

        An attempt whose row was removed still counts in the totals. The attempts of a trace, a run or a job are counted
        by their rows, so of these only what is left. So are those in the hours that a period cuts at its ends; where
        rows of such an hour were removed, the whole hour is counted, and the report says so.
        """
        sums = _Sums()
        # One snapshot for all queries: between two, an attempt could end, or be folded into the totals.
        with self._database.read(snapshot=True) as connection:
            if filter.trace_id or filter.run_id or filter.job_id:
                _add_rows(connection, sums, [_rows(job_history, filter.conditions())], exact=True)
            else:
                _add_totals(connection, sums, filter)
            stages = self._stages(connection, filter)
        return sums.report(_stage_figures(stages))

    def _stages(self, connection: sa.Connection, filter: AttemptFilter) -> list[_Stages]:
        """The stages of the newest attempts. What an ended attempt did never changes, so it is read once."""
        columns = (job_history.c.id, job_history.c.created_at)
        alternatives = [[*each, job_history.c.manifest.is_not(None)] for each in filter.alternatives()]
        newest = newest_of(connection, job_history, columns, alternatives, limit=_STAGE_SAMPLE)
        ids = [row["id"] for row in newest]
        known = {each: self._known_stages[each] for each in ids if each in self._known_stages}
        if unknown := [each for each in ids if each not in known]:
            # Whole manifests: PostgreSQL cannot take apart JSON that holds a NUL anywhere, and media can bring one.
            asked = sa.select(job_history.c.id, job_history.c.manifest).where(job_history.c.id.in_(unknown))
            read = {row.id: _stages_of(row.manifest) for row in connection.execute(asked)}
            if len(self._known_stages) + len(read) > _MOST_KNOWN:
                self._known_stages = {}
            self._known_stages = {**self._known_stages, **read}
            known |= read
        return [known[each] for each in sorted(known, reverse=True)]

    def by_span(self, since: datetime, span_s: int) -> tuple[SpanFigures, ...]:
        """The attempts that have ended, by the span in which they were begun, since the one that `since` lies in.

        `span_s` is one of `SPANS_S`: an hour, or a day. Read from the totals; oldest first.
        """
        begin, counted = start_of(since, span_s), metric_totals.c
        sums = [sa.func.sum(each) for each in (counted.attempts, counted.rtf_media_ms, counted.rtf_duration_ms)]
        keys = (counted.start, counted.job_name, counted.status, counted.error_code)
        folded = sa.select(*keys, *sums).where(counted.span_s == span_s, counted.start >= begin).group_by(*keys)
        entries = metric_entries.c
        names = (entries.created_at, entries.job_name, *(entries[name] for name in ("status", "error_code", *SOURCES)))
        waiting = sa.select(*names).where(entries.created_at >= begin)
        found: dict[tuple[datetime, str], _Span] = {}
        with self._database.read(snapshot=True) as connection:
            for start, name, status, code, attempts, media_ms, duration_ms in connection.execute(folded):
                span = found.setdefault((start, name), _Span())
                span.add(status, code, int(attempts), (int(media_ms), int(duration_ms)))
            for created_at, name, status, code, *sources in connection.execute(waiting):
                span = found.setdefault((start_of(created_at, span_s), name), _Span())
                figures = figures_of(sources)
                span.add(status, code, 1, (figures.rtf_media_ms, figures.rtf_duration_ms))
        return tuple(
            SpanFigures(
                start=start,
                job_name=name,
                by_status=dict(span.by_status),
                errors=dict(span.errors),
                rtf_media_ms=span.media_ms,
                rtf_duration_ms=span.duration_ms,
            )
            for (start, name), span in sorted(found.items())
        )

    def by_host(self, since: datetime, span_s: int) -> dict[str, int]:
        """The same attempts by the machine that made them; those that never reached one are not counted."""
        begin, folded = start_of(since, span_s), metric_hosts.c
        of_span = (folded.span_s == span_s, folded.start >= begin)
        sums = sa.select(folded.host, sa.func.sum(folded.attempts)).where(*of_span).group_by(folded.host)
        entries = metric_entries.c
        is_waiting = (entries.created_at >= begin, entries.host.is_not(None))
        waiting = sa.select(entries.host, sa.func.count()).where(*is_waiting).group_by(entries.host)
        found: Counter[str] = Counter()
        with self._database.read(snapshot=True) as connection:
            for statement in (sums, waiting):
                for host, attempts in connection.execute(statement):
                    found[host] += int(attempts)
        return dict(found.most_common())


def _add_totals(connection: sa.Connection, sums: _Sums, filter: AttemptFilter) -> None:
    period = cover(filter.since, filter.until)
    whole = [*_same(metric_entries, filter), *_between(metric_entries.c.created_at, period.since, period.until)]
    singles, spans = [_rows(metric_entries, whole)], list(period.whole)
    for since, until in (part for cut in period.cut for part in by_hours(*cut)):
        hour = start_of(since, SPANS_S[0])
        if not _lacks_rows(connection, filter, hour):
            singles.append(_rows(job_history, _ended_in(filter, since, until)))
            continue
        singles.append(_rows(metric_entries, [*_same(metric_entries, filter), *_in_hour(metric_entries, hour)]))
        spans.append(Spans(SPANS_S[0], hour, hour + _HOUR))
        sums.counted_since = hour if hour < since else sums.counted_since
        sums.counted_until = hour + _HOUR if hour + _HOUR > until else sums.counted_until
    # A running attempt has no error. SQLite would look through all attempts with that error to find none.
    if filter.error_code is None and (not filter.statuses or AttemptStatus.RUNNING in filter.statuses):
        running = replace(filter, statuses=(AttemptStatus.RUNNING,))
        singles.append(_rows(job_history, running.conditions()))
    _add_rows(connection, sums, singles, exact=False)
    if spans:
        _add_spans(connection, sums, filter, spans)


def _lacks_rows(connection: sa.Connection, filter: AttemptFilter, hour: datetime) -> bool:
    """Whether more attempts of an hour were counted than it has rows: they were removed."""
    counted = sa.select(sa.func.coalesce(sa.func.sum(metric_totals.c.attempts), 0)).where(
        *_in_spans(metric_totals, filter, Spans(SPANS_S[0], hour, hour + _HOUR))
    )
    waiting = [*_same(metric_entries, filter), *_in_hour(metric_entries, hour)]
    entries = sa.select(sa.func.count()).select_from(metric_entries).where(*waiting)
    rows = sa.select(sa.func.count()).select_from(job_history).where(*_ended_in(filter, hour, hour + _HOUR))
    parts = (each.scalar_subquery() for each in (counted, entries, rows))
    every, unfolded, left = map(int, connection.execute(sa.select(*parts)).one())
    return every + unfolded > left


def _ended_in(filter: AttemptFilter, since: datetime, until: datetime) -> Conditions:
    conditions = replace(filter, since=since, until=until).conditions()
    return [*conditions, job_history.c.status != AttemptStatus.RUNNING]


def _in_hour(table: sa.Table, hour: datetime) -> Conditions:
    return _between(table.c.created_at, hour, hour + _HOUR)


def _add_spans(connection: sa.Connection, sums: _Sums, filter: AttemptFilter, whole: Sequence[Spans]) -> None:
    shape = tuple((spans.since is not None, spans.until is not None) for spans in whole)
    given = {"job_name": filter.job_name, "error_code": filter.error_code, "status": filter.statuses or None}
    same = {name: value for name, value in given.items() if value is not None}
    values: dict[str, Any] = dict(same)
    for number, spans in enumerate(whole):
        values |= {f"span_s_{number}": spans.span_s, f"since_{number}": spans.since, f"until_{number}": spans.until}

    def added_up(table: sa.Table, by: Sequence[str], *counted: str, first_by: Sequence[str] = ()) -> sa.Result[Any]:
        statement = _sums_of(table, shape, tuple(same), by=tuple(by), first_by=tuple(first_by), counted=counted)
        return connection.execute(statement, values)

    # By status and by class in turn: groups of both together would be fifty times as many.
    for status, error_code, attempts, *figures in added_up(
        metric_totals,
        ("status", "error_code"),
        *("attempts", *Figures._fields),
        first_by=("start", "job_name", "status", "error_code"),
    ):
        sums.add((status, error_code), int(attempts), None, Figures(*map(int, figures)))
    for duration_class, attempts in added_up(metric_totals, ("duration_class",), "attempts"):
        if (each_ms := duration_of(duration_class)) is not None:
            sums.by_duration[each_ms] += int(attempts)
    for host, attempts in added_up(metric_hosts, ("host",), "attempts"):
        sums.by_host[host] += int(attempts)


@lru_cache(maxsize=200)
def _sums_of(
    table: sa.Table,
    shape: tuple[tuple[bool, bool], ...],
    same: tuple[str, ...],
    *,
    by: tuple[str, ...],
    first_by: tuple[str, ...],
    counted: tuple[str, ...],
) -> sa.Select[Any]:
    """Columns that the table counts, added up over spans for each group.

    Building the statement takes as long as running it, so it is kept.

    `shape` tells of the spans of each length whether they are bounded at their beginning and at their end, `same` the
    columns that are compared with values of their names.

    Rows that are alike in `first_by` lie side by side in the table. They are added up first, so a few sums are sorted
    by their groups, not a row for each class of duration.
    """
    columns, value = table.c, sa.bindparam
    first = [columns[name] for name in first_by]
    added = [sa.func.sum(columns[name]).label(name) if first else columns[name] for name in counted]
    chosen = sa.select(*(columns[name] for name in by), *added).group_by(*first)
    for name in same:
        is_one_of = name == "status"
        chosen = chosen.where(
            columns[name].in_(value(name, expanding=True)) if is_one_of else columns[name] == value(name)
        )
    # A query for each length: an index has the spans of one length in the order of time.
    parts: list[sa.Select[Any]] = []
    for number, (has_since, has_until) in enumerate(shape):
        part = chosen.where(columns.span_s == value(f"span_s_{number}"))
        part = part.where(columns.start >= value(f"since_{number}")) if has_since else part
        parts.append(part.where(columns.start < value(f"until_{number}")) if has_until else part)
    rows = sa.union_all(*parts).subquery()
    groups = [rows.c[name] for name in by]
    return sa.select(*groups, *(sa.func.sum(rows.c[name]) for name in counted)).group_by(*groups)


def _in_spans(table: sa.Table, filter: AttemptFilter, spans: Spans) -> Conditions:
    return [table.c.span_s == spans.span_s, *_between(table.c.start, spans.since, spans.until), *_same(table, filter)]


def _add_rows(connection: sa.Connection, sums: _Sums, selects: Sequence[sa.Select[Any]], *, exact: bool) -> None:
    for status, error_code, host, *sources in connection.execute(sa.union_all(*selects)):
        duration_ms, figures = sources[0], figures_of(sources)
        # The totals know classes only: an exact duration would sort before or after all others of its class.
        each_ms = duration_ms if exact else duration_of(class_of(duration_ms))
        sums.add((status, error_code), 1, each_ms, figures)
        if host is not None:
            sums.by_host[host] += 1


def _rows(table: sa.Table, conditions: Conditions) -> sa.Select[Any]:
    return sa.select(*(table.c[name] for name in ("status", "error_code", "host", *SOURCES))).where(*conditions)


def _same(table: sa.Table, filter: AttemptFilter) -> Conditions:
    equal = {table.c.job_name: filter.job_name, table.c.error_code: filter.error_code}
    found = [column == value for column, value in equal.items() if value is not None]
    return [*found, table.c.status.in_(filter.statuses)] if filter.statuses else found


def _between(column: sa.Column[datetime], since: datetime | None, until: datetime | None) -> Conditions:
    after = [] if since is None else [column >= since]
    return after if until is None else [*after, column < until]


def _stages_of(manifest: JsonObject) -> _Stages:
    return tuple((stage["name"], stage["durationMs"]) for stage in manifest.get("stages") or ())


def _stage_figures(attempts: Iterable[_Stages]) -> tuple[StageFigures, ...]:
    durations: dict[str, list[int]] = {}
    for name, duration_ms in (stage for stages in attempts for stage in stages):
        durations.setdefault(name, []).append(duration_ms)
    return tuple(
        StageFigures(name=name, count=len(taken), average_ms=statistics.fmean(taken), p95_ms=_p95(taken))
        for name, taken in durations.items()
    )


def _p95(taken: Sequence[int]) -> float:
    return statistics.quantiles(taken, n=20, method="inclusive")[-1] if len(taken) > 1 else float(taken[0])


def _nearest(counted: Counter[float], share: float) -> float:
    """The percentile by nearest rank: the smallest value that at least `share` of all values do not exceed."""
    needed = math.ceil(share * counted.total())
    reached = 0
    for value in sorted(counted):
        reached += counted[value]
        if reached >= needed:
            return float(value)
    return 0.0


def _most_frequent_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
