"""What options accept."""

from __future__ import annotations

import click

from mediajobs_dagster.use_cases.choices import PRIORITIES, checked_attempts, checked_jobs, checked_uploads

__all__ = ["PRIORITY", "checked_attempts", "checked_jobs", "checked_uploads"]

PRIORITY = click.IntRange(*PRIORITIES)
"""A priority."""
