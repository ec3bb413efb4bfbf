"""What options accept."""

from __future__ import annotations

import click

from mediajobs_dagster.history import AttemptFilter, DeliveryFilter, JobFilter, UploadFilter
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.choices import PRIORITIES

PRIORITY = click.IntRange(*PRIORITIES)
"""A priority."""


def checked_jobs(media: MediaJobs, chosen: JobFilter) -> JobFilter:
    """`chosen` with the ids of what it names. Raises RequestError, with what there is, and AmbiguousError."""
    return media.choices.jobs(chosen)


def checked_attempts(media: MediaJobs, chosen: AttemptFilter) -> AttemptFilter:
    """`chosen` with the ids of what it names. Raises RequestError, with what there is, and AmbiguousError."""
    return media.choices.attempts(chosen)


def checked_deliveries(media: MediaJobs, chosen: DeliveryFilter) -> DeliveryFilter:
    """`chosen` with the ids of what it names. Raises RequestError, with what there is, and AmbiguousError."""
    return media.choices.deliveries(chosen)


def checked_uploads(media: MediaJobs, chosen: UploadFilter) -> UploadFilter:
    """`chosen` with the ids of what it names. Raises RequestError, with what there is, and AmbiguousError."""
    return media.choices.uploads(chosen)
