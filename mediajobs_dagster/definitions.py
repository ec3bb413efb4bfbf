"""Dagster's entry point: assets, jobs, sensors and schedules for every job type of the registry."""

import sys

from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.redacted_logs import redact_output
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.logs import is_set_up, log_to_stderr

redact_output()
media = MediaJobs()
# In a process of Dagster's own, or one that was started afresh for runs. Ours has seen to it at its start.
if media.settings.logs_operations and not is_set_up():
    log_to_stderr(media.settings)
# The fork server, which imports `preload` first, serves nobody: its forks execute runs, of whatever day.
defs = build_definitions(media, for_runs="mediajobs_dagster.preload" in sys.modules)
