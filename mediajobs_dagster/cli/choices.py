"""What options accept, where more than one command has them."""

from __future__ import annotations

import click

PRIORITY = click.IntRange(-1_000_000, 1_000_000)
"""Databases and Dagster take no number of any size."""
