"""The job type that finds the videos of events."""

from mediajobs_dagster.job_types.video_discovery.job_type import VideoDiscovery

JOB_TYPE = VideoDiscovery()
