"""A listener that logs every operation on a job: its beginning and its end."""

from __future__ import annotations

import logging

from structlog.contextvars import bind_contextvars, unbind_contextvars

from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.records import AttemptStarted, Record
from mediajobs_dagster.telemetry.lines import line_of
from mediajobs_dagster.telemetry.logs import IDS, OURS


def log_record(record: Record) -> None:
    """Log a record. What else the thread of an attempt logs, until its end, is about that attempt too."""
    line = line_of(record)
    if line is None:
        return
    if isinstance(record, AttemptStarted):
        bind_contextvars(**line.ids)
    extra = {"data": {"event": line.event, **line.data}, **line.ids}
    logging.getLogger(f"{OURS}.{line.context}").log(line.level, line.message, extra=extra)
    if isinstance(record, AttemptEnded):
        unbind_contextvars(*IDS)
