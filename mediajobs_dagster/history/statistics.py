"""Figures over a selection of attempts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from pydantic import Field

from mediajobs_dagster.history.attempts import AttemptFilter
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.paging import newest_first
from mediajobs_dagster.history.schema import job_history
from mediajobs_dagster.models import AttemptStatus, JsonObject, Value

Frame = Any  # pandas ships no types
Column = Any

_DURATION_SAMPLE = 5_000
_STAGE_SAMPLE = 500
"""Manifests run to tens of kilobytes each: only so many are opened."""


class Spread(Value):
    """How long something took, milliseconds."""

    average: float = 0.0
    p50: float = 0.0
    p95: float = 0.0


class StageFigures(Value):
    """One stage of the attempts, such as download or verify."""

    name: str
    count: int
    average_ms: float
    p95_ms: float


class StatisticsReport(Value):
    """Totals are exact; percentiles and stages are those of the newest attempts of the selection."""

    attempts: int = 0
    by_status: dict[AttemptStatus, int] = Field(description="Every status is named.")
    success_rate: float = Field(
        0.0, description="Successes among the attempts that ran to an end of their own, 0 to 1."
    )
    duration_ms: Spread = Field(
        Spread(), description=f"The average of all; percentiles of the newest {_DURATION_SAMPLE}."
    )
    output_files: int = Field(default=0, description="Files that were made.")
    output_bytes: int = Field(default=0, description="Their bytes.")
    errors: dict[str, int] = Field(description="Attempts by error code, the most frequent first.")
    stages: tuple[StageFigures, ...] = Field(
        default=(), description=f"Of the newest {_STAGE_SAMPLE}, in order of appearance."
    )
    workers: dict[str, int] = Field(description="Attempts by host, the busiest first.")


class Statistics:
    """Reads figures from the history."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def of(self, filter: AttemptFilter) -> StatisticsReport:
        """The figures over the attempts that the filter means; zeros when there are none."""
        pd = _pandas()
        with self._database.read() as connection:
            totals: Frame = pd.DataFrame(connection.execute(_totals(filter)).mappings().all(), columns=_TOTAL_NAMES)
            durations: Column = pd.Series(connection.scalars(_durations(filter)).all(), dtype="float64")
            manifests = connection.scalars(_stages(filter)).all()
        by_status = {status: _sum(totals[totals["status"] == status], "attempts") for status in AttemptStatus}
        ended = sum(by_status[status] for status in (AttemptStatus.SUCCESS, AttemptStatus.FAILURE, AttemptStatus.LOST))
        timed = _sum(totals, "timed")
        return StatisticsReport(
            attempts=_sum(totals, "attempts"),
            by_status=by_status,
            success_rate=by_status[AttemptStatus.SUCCESS] / ended if ended else 0.0,
            duration_ms=Spread(
                average=_sum(totals, "duration_ms") / timed if timed else 0.0,
                p50=_quantile(durations, 0.5),
                p95=_quantile(durations, 0.95),
            ),
            output_files=_sum(totals, "output_files"),
            output_bytes=_sum(totals, "output_bytes"),
            errors=_attempts_by(totals, "error_code"),
            stages=_stage_figures([stage for stages in manifests for stage in stages or ()]),
            workers=_attempts_by(totals, "host"),
        )


def _pandas() -> Any:
    # It takes half a second to import, which a worker that needs no statistics should not pay.
    import pandas  # pyright: ignore[reportMissingTypeStubs]  # it ships none, and what it infers is no use

    return pandas


_TOTAL_NAMES = ["status", "error_code", "host", "attempts", "timed", "duration_ms", "output_files", "output_bytes"]


def _totals(filter: AttemptFilter) -> sa.Select[Any]:
    # The database adds up; what comes back is one row for each combination of status, error and host.
    columns = job_history.c
    groups = (columns.status, columns.error_code, columns.host)
    figures = (
        sa.func.count().label("attempts"),
        sa.func.count(columns.duration_ms).label("timed"),
        *(
            sa.func.coalesce(sa.func.sum(columns[name]), 0).label(name)
            for name in ("duration_ms", "output_files", "output_bytes")
        ),
    )
    return sa.select(*groups, *figures).where(*filter.conditions()).group_by(*groups)


def _durations(filter: AttemptFilter) -> sa.Select[Any]:
    statement = sa.select(job_history.c.duration_ms).where(*filter.conditions(), job_history.c.duration_ms.is_not(None))
    return newest_first(job_history, statement, limit=_DURATION_SAMPLE)


def _stages(filter: AttemptFilter) -> sa.Select[Any]:
    # The database takes the stages out of the manifest, so that the rest of it need not travel.
    statement = sa.select(job_history.c.manifest["stages"]).where(*filter.conditions())
    return newest_first(job_history, statement, limit=_STAGE_SAMPLE)


def _stage_figures(stages: list[JsonObject]) -> tuple[StageFigures, ...]:
    if not stages:
        return ()
    groups: Any = _pandas().DataFrame(stages).groupby("name", sort=False)["durationMs"]
    return tuple(
        StageFigures(name=str(name), count=len(taken), average_ms=float(taken.mean()), p95_ms=_quantile(taken, 0.95))
        for name, taken in groups
    )


def _attempts_by(totals: Frame, column: str) -> dict[str, int]:
    counted = totals.groupby(column)["attempts"].sum().sort_values(ascending=False, kind="stable")
    return {str(name): int(count) for name, count in counted.items()}


def _sum(frame: Frame, column: str) -> int:
    return int(frame[column].sum())


def _quantile(values: Column, share: float) -> float:
    return float(values.quantile(share)) if len(values) else 0.0
