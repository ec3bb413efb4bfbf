"""The sensors: one dispatcher a job type, and the recovery of jobs whose worker died."""

# Dagster's decorators are typed in part:
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from mediajobs_dagster.history import Dispatch
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.models import utc_now
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.assets import UPLOADS
from mediajobs_dagster.orchestration.dispatching import run_request_of, take_next
from mediajobs_dagster.orchestration.recovery import recover_runs
from mediajobs_dagster.orchestration.redacted_errors import redacted_errors
from mediajobs_dagster.system import MediaJobs

SOON_S = 5
"""How often a dispatch sensor is evaluated where nothing else starts runs, seconds."""
SAFETY_NET_S = 30
"""The same beside our daemon: each evaluation takes 40 ms of CPU, and there is one for each job type."""


def dispatch_sensor_of(job_type: JobType, media: MediaJobs, every_s: int = SOON_S) -> dg.SensorDefinition:
    """Starts runs for the queued jobs of a type, unless its breaker is open.

    Our own daemon does the same at once, and this sensor is its safety net. Under Dagster's own daemon, only this
    sensor starts runs.
    """

    @dg.sensor(
        name=tags.sensor_of(job_type),
        job_name=job_type.name,
        minimum_interval_seconds=every_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts runs for queued {job_type.name} jobs; skips while the breaker is open.",
    )
    def dispatch(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        requested: list[str] = []
        with redacted_errors():
            while isinstance(found := take_next(media, context.instance, job_type, requested=requested), Dispatch):
                yield run_request_of(found, job_type, media)
                requested.append(found.trace_id)
            if not requested:
                yield dg.SkipReason(found.reason)

    return dispatch


def recovery_sensor(media: MediaJobs) -> dg.SensorDefinition:
    """Puts the jobs of dead workers back into the queue, and looks through the storage, slowly, for what they left."""

    @dg.sensor(
        name="lease_recovery",
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Records the attempts of workers that died as lost, puts their jobs back into the queue, and "
        "removes what they left in the storage.",
    )
    def lease_recovery(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        with redacted_errors():
            recovered, swept = recover_runs(media, context.instance), media.sweep_storage()
            return dg.SkipReason(f"{recovered.summary} {swept} leftover objects were removed.")

    return lease_recovery


def uploads_sensor(media: MediaJobs) -> dg.SensorDefinition:
    """Observes the asset of the uploads: how many a day, their bytes and seconds of media."""

    @dg.sensor(
        name="observe_uploads",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Records count, bytes and seconds of media of the day's uploads whenever they change.",
    )
    def observe_uploads(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        today = utc_now().date()
        seen: dict[str, list[float]] = json.loads(context.cursor or "{}")
        # Yesterday too: uploads from just before midnight are counted, and probed, after it.
        days = (today - timedelta(days=1), today)
        with redacted_errors():
            found = {day.isoformat(): media.history.uploads.day_summary(day) for day in days}
        figures = {day: [each.count, each.bytes, each.seconds] for day, each in found.items()}
        changed = [day for day, each in figures.items() if each != seen.get(day, [0, 0, 0.0])]
        if not changed:
            return dg.SkipReason("No upload since the last observation.")
        observations = [
            dg.AssetObservation(
                asset_key=UPLOADS,
                partition=day,
                metadata={"count": found[day].count, "bytes": found[day].bytes, "seconds": found[day].seconds},
            )
            for day in changed
        ]
        return dg.SensorResult(asset_events=observations, cursor=json.dumps(figures))

    return observe_uploads
