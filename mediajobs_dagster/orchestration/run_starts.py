"""When Dagster started runs, for traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg


def run_starts_of(instance: dg.DagsterInstance) -> Callable[[Sequence[str]], Mapping[str, datetime]]:
    """Tells of runs, by their ids, when they were started; those that are gone, or never were, are missing."""

    def starts(run_ids: Sequence[str]) -> dict[str, datetime]:
        records = instance.get_run_records(dg.RunsFilter(run_ids=list(run_ids)))
        return {
            record.dagster_run.run_id: datetime.fromtimestamp(record.start_time, UTC)
            for record in records
            if record.start_time is not None
        }

    return starts
