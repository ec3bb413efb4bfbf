"""What Dagster tells of runs, lanes and daemons, for the answer to why a job waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.dispatching import runs_elsewhere
from mediajobs_dagster.use_cases.why import LaneUse, RunSign, RunStage

_FRESH_S = 60.0
"""How old the latest sign of life of a daemon may be, seconds. They give one every few seconds."""
_LISTED = 50
_SAME_DISPATCH = 20
_STAGES = {
    dg.DagsterRunStatus.NOT_STARTED: RunStage.QUEUED,
    dg.DagsterRunStatus.QUEUED: RunStage.QUEUED,
    dg.DagsterRunStatus.STARTING: RunStage.STARTING,
    dg.DagsterRunStatus.STARTED: RunStage.STARTED,
    dg.DagsterRunStatus.CANCELING: RunStage.STARTED,
}
_AT_WORK = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


@dataclass(frozen=True)
class DagsterSigns:
    """The port of `why`, on a Dagster instance."""

    instance: dg.DagsterInstance
    up: Callable[[], str | None]
    """Who has `mediajobs up` running on this home, in its own words."""

    def run_of(self, dispatch_id: str) -> RunSign | None:
        """The run of a batch, not one that repeats it; None: there is none."""
        found = self.instance.get_run_records(dg.RunsFilter(tags={tags.DISPATCH: dispatch_id}), limit=_SAME_DISPATCH)
        record = next((each for each in found if tags.PARENT_RUN not in each.dagster_run.tags), None)
        return record and self._sign(record)

    def lane(self, lane: str) -> LaneUse:
        """How full a lane is."""
        at_work = self.instance.get_run_records(dg.RunsFilter(statuses=_AT_WORK, tags={tags.LANE: lane}), limit=_LISTED)
        waiting = self.instance.get_runs_count(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED], tags={tags.LANE: lane})
        )
        return LaneUse(lane, tuple(map(self._sign, at_work)), waiting, self._limit(lane))

    def starter(self) -> str | None:
        """`mediajobs up` on this home, or a daemon that has given a sign of life within a minute."""
        if up := self.up():
            return f"mediajobs up ({up})"
        beats = self.instance.get_daemon_heartbeats().values()
        latest = max((beat.timestamp for beat in beats), default=0.0)
        return "Dagster's daemon" if time.time() - latest < _FRESH_S else None

    def _sign(self, record: dg.RunRecord) -> RunSign:
        run = record.dagster_run
        is_far = runs_elsewhere(self.instance)
        return RunSign(
            run.run_id,
            _STAGES.get(run.status, RunStage.OVER),
            record.create_timestamp.astimezone(UTC) if record.create_timestamp else _moment(record.start_time),
            run.tags.get(tags.FILE),
            "+".join(filter(None, (run.tags.get(tags.LANE), run.tags.get(tags.NEEDS)))) if is_far else None,
        )

    def _limit(self, lane: str) -> int | None:
        config = self.instance.get_concurrency_config().run_queue_config
        limits = config.tag_concurrency_limits if config else ()
        found = (each["limit"] for each in limits if each.get("key") == tags.LANE and each.get("value") == lane)
        return next((int(limit) for limit in found), None)


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
