"""Dagster's entry point: assets, jobs, sensors and schedules for every job type of the registry."""

import sys

from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.orchestration.sensors import SAFETY_NET_S, SOON_S
from mediajobs_dagster.redacted_logs import redact_output
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.logs import is_set_up, log_to_stderr

redact_output()
media = MediaJobs()
# In a process of Dagster's own, or one that was started afresh for runs. Ours has seen to it at its start.
if media.settings.logs_operations and not is_set_up():
    log_to_stderr(media.settings)
# The fork server, which imports `preload` first, serves nobody: its forks execute runs, of whatever day.
is_preloaded = "mediajobs_dagster.preload" in sys.modules
# Our own code server stands beside our own daemon, which starts runs without being asked by a sensor.
is_ours = "mediajobs_dagster.orchestration.serving.code_server" in sys.modules
defs = build_definitions(media, for_runs=is_preloaded, dispatch_every_s=SAFETY_NET_S if is_ours else SOON_S)
