"""The viewer in which a collector of traces shows them."""

from __future__ import annotations

from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.trace_context import otel_trace_id


def page_in_viewer(media: MediaJobs, trace_id: str | None) -> str | None:
    """The address of a trace there; None where no viewer is set."""
    page = media.settings.traces_page
    return page.replace("{traceId}", otel_trace_id(trace_id)) if page and trace_id else None
