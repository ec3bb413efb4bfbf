"""The job type that fetches videos."""

from mediajobs_dagster.job_types.ingest_video.job_type import IngestVideo

JOB_TYPE = IngestVideo()
