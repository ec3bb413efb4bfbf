"""Imports timelines of other programs, and exports ours for them, with OpenTimelineIO."""

from mediajobs_dagster.timelines.otio.reading import Imported, read_otio
from mediajobs_dagster.timelines.otio.writing import write_otio

__all__ = ["Imported", "read_otio", "write_otio"]
