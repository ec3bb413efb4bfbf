"""Timelines of other programs, by OpenTimelineIO: read into ours, and ours written for them."""

from mediajobs_dagster.timelines.otio.reading import Imported, read_otio
from mediajobs_dagster.timelines.otio.writing import write_otio

__all__ = ["Imported", "read_otio", "write_otio"]
