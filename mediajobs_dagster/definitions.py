"""Dagster's entry point: assets, jobs, sensors and schedules for every job type of the registry."""

from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.system import MediaJobs

defs = build_definitions(MediaJobs())
