"""Takes secrets and control characters out of what a process of ours logs, and out of the tracebacks it prints.

A process that is ours from the start calls `redact_output`: the command line, and Dagster's processes that load our
definitions. In a program of somebody else's, logging is left as it is.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from mediajobs_dagster.printable import printable
from mediajobs_dagster.storage.redaction import redact


def redact_output() -> None:
    """From now on, redact each log record of this process, and each traceback of an exception that nobody caught."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, _RedactedRecords):
        logging.setLogRecordFactory(_RedactedRecords(make))
    if sys.excepthook is sys.__excepthook__:  # a debugger or a test runner may have set its own
        sys.excepthook = _print_exception
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _print_exception_of_thread


class _RedactedRecords:
    """Makes log records without secrets. Filters of loggers would not do: they see no records of other loggers."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **more: Any) -> logging.LogRecord:
        record = self._make(*args, **more)
        try:
            said = record.getMessage()
        except Exception:  # noqa: BLE001  # its arguments do not fit: logging itself complains
            return record
        if (shown := printable(redact(said))) != said:
            record.msg, record.args = shown, ()
        if record.exc_info and record.exc_info[1]:
            told = _formatted(record.exc_info[1])
            if (shown := printable(redact(told))) != told:
                # A formatter prints the text where there is one, and does not ask for the exception.
                record.exc_info, record.exc_text = None, shown
        return record


def _print_exception(_kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    sys.stderr.write(f"{printable(redact(_formatted(error)))}\n")


def _print_exception_of_thread(about: threading.ExceptHookArgs) -> None:
    if about.exc_value is not None and not isinstance(about.exc_value, SystemExit):
        name = about.thread.name if about.thread else "unknown"
        sys.stderr.write(f"Exception in thread {name}:\n{printable(redact(_formatted(about.exc_value)))}\n")


def _formatted(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip("\n")
