"""Dagster's entry point: assets, jobs, sensors and schedules for every job type of the registry."""

import sys

from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.redacted_logs import redact_output
from mediajobs_dagster.system import MediaJobs

redact_output()
# The fork server, which imports `preload` first, serves nobody: its forks execute runs, of whatever day.
defs = build_definitions(MediaJobs(), for_runs="mediajobs_dagster.preload" in sys.modules)
