"""Dagster's entry point: gathers what the orchestration folder defines, for every job type of the registry."""

from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.system import MediaJobs

defs = build_definitions(MediaJobs())
