"""The log lines of our processes: text for people, or one JSON object a line.

Whoever logs uses `logging`, as ever. `structlog` renders, with what is bound to the present attempt: job, attempt,
trace and run. A line has

    timestamp   ISO 8601, UTC
    level       debug, info, warning, error or critical
    context     the part of the program
    message     a sentence
    data        more, by name
    jobId, attempt, traceId, runId      where the line is about an attempt

Secrets are taken out by `redacted_logs` where a record is made, and from `data` here.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, cast

from structlog.contextvars import merge_contextvars
from structlog.stdlib import ProcessorFormatter
from typing_extensions import override

from mediajobs_dagster.printable import printable, printable_json
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage.redaction import redact, redact_values

OURS = __name__.partition(".")[0]
IDS = ("jobId", "attempt", "traceId", "runId")
"""What a line can be about, and what is bound for the time of an attempt."""

_LONGEST = 4000
"""Bytes of a line. Processes share a pipe, which keeps what is written at once together up to 4,096 bytes."""
_LONGEST_TEXT = 1000
_LONGEST_TRACEBACK = 2500
"""Characters; of a longer one, the end is kept."""

_CLOCK = logging.Formatter()
_Event = MutableMapping[str, Any]


def log_to_stderr(settings: Settings) -> None:
    """Have this process log as the settings say. It must be ours from the start, and is called once."""
    level = settings.log_level.upper()
    logging.getLogger(OURS).setLevel(level)
    if settings.log_format == "text":
        logging.getLogger(OURS).addHandler(_LineHandler(_formatter(_as_text, with_traceback=True)))
        return
    logging.getLogger().addHandler(_JsonHandler(_formatter(_as_json, with_traceback=False)))
    logging.captureWarnings(True)
    sys.excepthook = _log_exception
    threading.excepthook = _log_exception_of_thread
    take_over()


def is_set_up() -> bool:
    """Whether `log_to_stderr` was called."""
    return is_json() or bool(logging.getLogger(OURS).handlers)


def is_json() -> bool:
    """Whether this process logs JSON."""
    return any(isinstance(handler, _JsonHandler) for handler in logging.getLogger().handlers)


def take_over() -> None:
    """Where this process logs JSON: have libraries that set up a handler of their own log the same way."""
    if not is_json():
        return
    for logger in [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                logger.removeHandler(cast("logging.Handler", handler))
                logger.propagate = True
    warnings.showwarning = _log_warning  # Dagster sets one of its own, too


def json_line(level: str, context: str, message: str, data: Mapping[str, Any] | None = None, **ids: object) -> str:
    """One line: a JSON object without secrets."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    found: dict[str, Any] = {
        "timestamp": now,
        "level": level,
        "context": context,
        "message": printable(redact(message)),
        "data": redact_values(dict(data or {})),
        **{name: value for name, value in ids.items() if value is not None},
    }
    line = _encoded(found)
    if len(line.encode(errors="replace")) <= _LONGEST:
        return line
    found["message"], found["data"] = _cut(found["message"]), _shortened(found["data"])
    line = _encoded(found)
    if len(line.encode(errors="replace")) <= _LONGEST:
        return line
    return _encoded({**found, "data": {"event": found["data"].get("event"), "truncated": True}})


def read_line(line: str) -> dict[str, Any] | None:
    """What a line of JSON holds; None if it is none of ours."""
    if not line.startswith('{"timestamp"'):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    is_ours = isinstance(found, dict) and {"level", "context", "message", "data"} <= found.keys()
    return cast("dict[str, Any]", found) if is_ours else None


class _LineHandler(logging.Handler):
    """Writes to the standard error of the process's beginning: Dagster sends the one of a step to a file."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._file = os.dup(2)
        self.setFormatter(formatter)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            os.write(self._file, f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except BrokenPipeError:
            pass  # nobody reads it any more; the work goes on
        except Exception:  # noqa: BLE001  # as every handler of `logging`
            self.handleError(record)


class _JsonHandler(_LineHandler):
    """The one for JSON."""


def _formatter(render: Any, *, with_traceback: bool) -> ProcessorFormatter:
    """`with_traceback`: whether a traceback follows the line."""
    prepare = [merge_contextvars, _add_traceback]
    return ProcessorFormatter(foreign_pre_chain=prepare, processors=[render], keep_exc_info=with_traceback)


def _add_traceback(_logger: object, _method: str, event: _Event) -> _Event:
    event["traceback"] = _traceback_of(event["_record"])  # it is taken off the record next
    return event


def _as_json(_logger: object, _method: str, event: _Event) -> str:
    record: logging.LogRecord = event["_record"]
    data = dict(getattr(record, "data", None) or {})
    if told := event["traceback"]:
        data["traceback"] = told if len(told) <= _LONGEST_TRACEBACK else f"…{told[-_LONGEST_TRACEBACK:]}"
    line_of = {name: getattr(record, name, event.get(name)) for name in IDS}
    return json_line(record.levelname.lower(), context_of(record.name), event["event"], data, **line_of)


def _as_text(_logger: object, _method: str, event: _Event) -> str:
    record: logging.LogRecord = event["_record"]
    known = {name: getattr(record, name, event.get(name)) for name in IDS}
    about = " ".join(f"{name}={value}" for name, value in known.items() if value is not None)
    return f"{_CLOCK.formatTime(record)} {record.levelname} {event['event']}{f' [{about}]' if about else ''}"


def context_of(logger: str) -> str:
    """The part of the program that a logger is of: without the name of the package."""
    return logger.removeprefix(f"{OURS}.")


def _traceback_of(record: logging.LogRecord) -> str | None:
    if record.exc_text:
        return record.exc_text
    error = record.exc_info[1] if record.exc_info else None
    return "".join(traceback.format_exception(error)) if error else None


def _encoded(found: Mapping[str, Any]) -> str:
    return printable_json(json.dumps(found, ensure_ascii=False, default=str))


def _shortened(value: Any) -> Any:
    match value:
        case str():
            return _cut(value)
        case dict():
            return {name: _shortened(each) for name, each in cast("dict[str, Any]", value).items()}
        case list():
            return [_shortened(each) for each in cast("list[Any]", value)[:10]]
        case _:
            return value


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def _log_exception(_kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    said = f"{type(error).__name__}: {error}"
    logging.getLogger(OURS).critical(said, exc_info=error)


def _log_exception_of_thread(about: threading.ExceptHookArgs) -> None:
    if about.exc_value is not None and not isinstance(about.exc_value, SystemExit):
        _log_exception(about.exc_type, about.exc_value, about.exc_traceback)


def _log_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    logging.getLogger("py.warnings").warning("%s: %s (%s:%d)", category.__name__, message, filename, lineno)
