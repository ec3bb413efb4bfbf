"""Dagster's entry point: assets, jobs, sensors and schedules for every job type of the registry."""

from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.redacted_logs import redact_output
from mediajobs_dagster.system import MediaJobs

redact_output()
defs = build_definitions(MediaJobs())
