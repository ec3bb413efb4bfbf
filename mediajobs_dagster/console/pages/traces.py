"""Everything of one trace: its jobs as a tree, and all attempts on one line of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response

from mediajobs_dagster.console.pages.asking import Media
from mediajobs_dagster.console.pages.drawings.waterfall import Line, scaled
from mediajobs_dagster.console.pages.rendering import render
from mediajobs_dagster.console.pages.viewer import page_in_viewer
from mediajobs_dagster.models import AttemptStatus, utc_now
from mediajobs_dagster.use_cases.traces import TraceJob

router = APIRouter(include_in_schema=False)

_DEEPEST = 2
"""Deeper levels are drawn at this one."""
_MOST_TOLD = 3
"""How many failures are told at the top; the tree has them all."""
_MILLISECOND = timedelta(milliseconds=1)


@router.get("/traces/{reference}")
def show_trace(request: Request, media: Media, reference: str) -> Response:
    """The page of a trace."""
    tree = media.trace_tree(reference)
    lines = [line for each in tree.jobs for line in _lines(each, 0, utc_now())]
    return render(
        request,
        "trace.html",
        tree=tree,
        lines=_scaled(lines),
        viewer=page_in_viewer(media, tree.trace_id),
        is_live=any(not status.is_final for status, count in tree.statuses.items() if count),
        failed=[each for each in _all(tree.jobs) if each.named.job.error_code and each.attempts][:_MOST_TOLD],
    )


def _lines(job: TraceJob, level: int, now: datetime) -> Iterator[Line]:
    """Of a job, then of its children: how long it waited for each attempt, and how long that took."""
    depth = min(level, _DEEPEST)
    for each in job.attempts:
        name = f"{job.named.label}, {each.job_name}" + (f", try {each.attempt}" if each.attempt > 1 else "")
        if each.queue_ms:
            start = each.started_at - each.queue_ms * _MILLISECOND
            yield Line(f"{name}: in the queue", depth, "queue", start, each.queue_ms, "ok")
        is_running = each.status is AttemptStatus.RUNNING
        end = each.completed_at or now
        taken = each.duration_ms if each.duration_ms is not None else (end - each.started_at) // _MILLISECOND
        kind, status = ("running", "ok") if is_running else ("attempt", each.error_code or each.status.value)
        yield Line(name, depth, kind, each.started_at, taken, status, address=f"/attempts/{each.id}")
    for child in job.children:
        yield from _lines(child, level + 1, now)


def _scaled(lines: list[Line]) -> list[Line]:
    if not lines:
        return []
    end = max(each.start + each.milliseconds * _MILLISECOND for each in lines)
    return scaled(lines, min(each.start for each in lines), end)


def _all(jobs: tuple[TraceJob, ...]) -> Iterator[TraceJob]:
    for each in jobs:
        yield each
        yield from _all(each.children)
