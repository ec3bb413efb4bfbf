"""Builds Dagster's definitions from the registry of job types."""

from __future__ import annotations

import dagster as dg

from mediajobs_dagster.models import utc_now
from mediajobs_dagster.orchestration.assets import asset_of, job_of, uploads_asset, worker_resource
from mediajobs_dagster.orchestration.partitions import any_day, days_of
from mediajobs_dagster.orchestration.schedules import Clock, overlooked_sensor, schedule_of
from mediajobs_dagster.orchestration.sensors import SOON_S, dispatch_sensor_of, recovery_sensor, uploads_sensor
from mediajobs_dagster.orchestration.stage_ops import RELAYS, WORKER, relays_resource
from mediajobs_dagster.system import MediaJobs


def build_definitions(
    media: MediaJobs, *, for_runs: bool = False, dispatch_every_s: int = SOON_S, clock: Clock = utc_now
) -> dg.Definitions:
    """An asset, a job and a dispatch sensor for each job type of `media.registry`, and a schedule where it has one.

    With `for_runs` they are for a process that only executes runs, now and later. It takes any day, because a run may
    be about one that was not known when it loaded them. The dispatch sensors are evaluated every `dispatch_every_s`
    seconds. `clock` tells schedules the time.
    """
    registry, days = media.registry, any_day() if for_runs else days_of(media)
    return dg.Definitions(
        assets=[uploads_asset(days), *(asset_of(job_type, media, days) for job_type in registry)],
        jobs=[job_of(job_type) for job_type in registry],
        sensors=[
            *(dispatch_sensor_of(job_type, media, dispatch_every_s) for job_type in registry),
            recovery_sensor(media),
            overlooked_sensor(media, clock),
            uploads_sensor(media),
        ],
        schedules=[
            schedule_of(each, found, media, clock) for each, found in registry.schedules(media.settings).items()
        ],
        resources={WORKER: worker_resource(media), RELAYS: relays_resource()},
        # Also for runs over several assets: parallel step processes would share one scratch folder and one lane.
        executor=dg.in_process_executor,
    )
