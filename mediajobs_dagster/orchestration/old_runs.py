"""Removes old runs from Dagster, with their events and what they printed, and old ticks of schedules and sensors.

Only runs of our job types, and ticks of our code location: the instance may serve other code as well. A run stays that
holds the latest materialization of its asset's day: with it, the day would look as if it had never been made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.orchestration.defaults import LOCATION
from mediajobs_dagster.orchestration.embedded import give_back
from mediajobs_dagster.orchestration.internals.core import PARTITION_NAME_TAG
from mediajobs_dagster.resilience.retention import Removed

RUNS, TICKS = "runs", "ticks"
_AT_ONCE = 50
_TICKS_AT_ONCE = 1_000
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_OURS = "mediajobs/"
"""How the tags begin that our runs have."""


@dataclass(frozen=True)
class OldRuns:
    """A `Sweeper` of a Dagster instance."""

    instance: dg.DagsterInstance
    registry: Registry
    kinds: tuple[str, ...] = (RUNS, TICKS)
    _latest: dict[tuple[dg.AssetKey, str | None], str | None] = field(
        default_factory=dict[tuple[dg.AssetKey, str | None], str | None]
    )

    def sweep(self, kind: str, before: datetime, *, dry_run: bool) -> Iterator[Removed]:
        """Remove runs that ended before a moment, or ticks of before it."""
        if kind == TICKS:
            yield from self._ticks(before, dry_run=dry_run)
            return
        yield from self._runs(before, dry_run=dry_run)
        if not dry_run:
            give_back(self.instance)

    def _runs(self, before: datetime, *, dry_run: bool) -> Iterator[Removed]:
        old = dg.RunsFilter(statuses=_ENDED, updated_before=before)
        cursor: str | None = None
        while page := self.instance.get_run_records(old, limit=_AT_ONCE, ascending=True, cursor=cursor):
            going = [each.dagster_run for each in page if self._may_go(each.dagster_run)]
            gone = {run.run_id for run in going}
            for run in going if not dry_run else []:
                # What it printed first: without the run, nothing leads there.
                self.instance.compute_log_manager.delete_logs(prefix=[run.run_id])
                self.instance.delete_run(run.run_id)
            yield Removed(kind=RUNS, rows=len(going), bytes=0)
            # Dagster finds its place by a run that is still there.
            kept = [each.dagster_run.run_id for each in page if dry_run or each.dagster_run.run_id not in gone]
            cursor = kept[-1] if kept else cursor

    def _may_go(self, run: dg.DagsterRun) -> bool:
        is_ours = any(tag.startswith(_OURS) for tag in run.tags) or run.job_name in {
            each.name for each in self.registry
        }
        return is_ours and not any(self._is_latest(run, key) for key in self._assets_of(run))

    def _assets_of(self, run: dg.DagsterRun) -> set[dg.AssetKey]:
        if run.asset_selection:
            return set(run.asset_selection)
        try:
            return {dg.AssetKey(self.registry[run.job_name].asset)}
        except RequestError:  # of a job type that is not installed any more
            return set()

    def _is_latest(self, run: dg.DagsterRun, asset: dg.AssetKey) -> bool:
        day = run.tags.get(PARTITION_NAME_TAG)
        if (asset, day) not in self._latest:
            of_day = dg.AssetRecordsFilter(asset, asset_partitions=[day] if day else None)
            found = self.instance.fetch_materializations(of_day, limit=1).records
            self._latest[asset, day] = found[0].run_id if found else None
        return self._latest[asset, day] == run.run_id

    def _ticks(self, before: datetime, *, dry_run: bool) -> Iterator[Removed]:
        for state in self.instance.all_instigator_state():
            if state.origin.repository_origin.code_location_origin.location_name != LOCATION:
                continue  # another code location's
            ids, count = (state.instigator_origin_id, state.selector_id), 0
            until = before.timestamp()
            while found := self.instance.get_ticks(*ids, before=until, limit=_TICKS_AT_ONCE):
                count, until = count + len(found), found[-1].timestamp
            if count and not dry_run:
                self.instance.purge_ticks(*ids, before=before.timestamp())
            yield Removed(kind=TICKS, rows=count, bytes=0)
