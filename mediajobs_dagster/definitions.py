"""Dagster's entry point: gathers what the orchestration folder defines, for every job type of the registry."""

from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.orchestration.parts import Parts

defs = build_definitions(Parts(Registry.standard()))
