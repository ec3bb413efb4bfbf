"""Everything Dagster has to know, from one registry of job types."""

from __future__ import annotations

import dagster as dg

from mediajobs_dagster.orchestration.assets import WORKER, asset_of, job_of, uploads_asset, worker_resource
from mediajobs_dagster.orchestration.schedules import schedule_of
from mediajobs_dagster.orchestration.sensors import dispatch_sensor_of, recovery_sensor, uploads_sensor
from mediajobs_dagster.system import MediaJobs


def build_definitions(media: MediaJobs) -> dg.Definitions:
    """One asset, one job and one dispatch sensor a job type of `media.registry`, and a schedule where it has one."""
    registry = media.registry
    return dg.Definitions(
        assets=[uploads_asset(), *(asset_of(job_type, media) for job_type in registry)],
        jobs=[job_of(job_type) for job_type in registry],
        sensors=[
            *(dispatch_sensor_of(job_type, media) for job_type in registry),
            recovery_sensor(media),
            uploads_sensor(media),
        ],
        schedules=[schedule_of(each, each.schedule, media) for each in registry if each.schedule],
        resources={WORKER: worker_resource(media)},
        # Also for runs over several assets at once: parallel step processes would share one scratch and one lane.
        executor=dg.in_process_executor,
    )
