"""Lines of a log: what they hold, that programs can read every one of them, and that none holds a secret."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from mediajobs_dagster.telemetry.logs import json_line, read_line

ADDRESS = "https://me:hunter2@host/clip.mp4?X-Amz-Signature=hunter3"

PROGRAM = f"""
import logging, os, threading, warnings
from structlog.contextvars import bind_contextvars
from mediajobs_dagster.redacted_logs import redact_output
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.telemetry.logs import log_to_stderr, take_over

redact_output()
foreign = logging.getLogger("dagster")
foreign.addHandler(logging.StreamHandler())
foreign.propagate = False
log_to_stderr(Settings.load(_env_file=None, log_format=FORMAT))
ours = logging.getLogger("mediajobs_dagster.attempts.attempt")
ours.info("read %s", "{ADDRESS}")
ours.debug("not told")
foreign.warning("a foreign\\nline")
logging.getLogger("urllib3").info("not told")
bind_contextvars(jobId="job-1", attempt=2, traceId="trace-1", runId="run-1")
ours.warning("within", extra={{"data": {{"event": "tried", "apiKey": "hunter4", "at": "{ADDRESS}"}}}})
os.close(2)  # as where Dagster keeps what a step prints
os.open(os.devnull, os.O_WRONLY)
try:
    raise KeyError("{ADDRESS}")
except KeyError:
    ours.exception("failed")
ours.info("x" * 100_000, extra={{"data": {{"event": "long", "text": "\\u00e9" * 9000, "list": ["y" * 99] * 999}}}})
warnings.warn("old", DeprecationWarning)
threading.Thread(target=lambda: 1 / 0, name="worker-1").start()
"""


def run(log_format: str) -> list[str]:
    code = PROGRAM.replace("FORMAT", repr(log_format))
    ended = subprocess.run([sys.executable, "-W", "always", "-c", code], check=True, capture_output=True)
    assert not ended.stdout
    return ended.stderr.decode().splitlines()


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """What a process of ours writes in JSON."""
    return run("json")


def test_every_line_is_one_object(lines: list[str]) -> None:
    """Whoever logs: we, a library with a handler of its own, Python's warnings, a thread that failed."""
    found: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [(each["level"], each["context"], each["message"][:9]) for each in found] == [
        ("info", "attempts.attempt", "read http"),
        ("warning", "dagster", "a foreign"),
        ("warning", "attempts.attempt", "within"),
        ("error", "attempts.attempt", "failed"),
        ("info", "attempts.attempt", "xxxxxxxxx"),
        ("warning", "py.warnings", "Deprecati"),
        ("critical", "mediajobs_dagster", "ZeroDivis"),
    ]
    assert all(list(each)[:5] == ["timestamp", "level", "context", "message", "data"] for each in found)
    assert all(each["timestamp"].endswith("Z") for each in found)


def test_what_is_bound_is_in_every_line_after_it(lines: list[str]) -> None:
    """Job, attempt, trace and run, whichever module of ours or others logs; and not before."""
    before, _, within, failed, *_ = map(json.loads, lines)
    assert "jobId" not in before
    ids = {"jobId": "job-1", "attempt": 2, "traceId": "trace-1", "runId": "run-1"}
    assert ids.items() <= within.items()
    assert ids.items() <= failed.items()


def test_no_line_holds_a_secret(lines: list[str]) -> None:
    """Messages, data and tracebacks."""
    assert not any("hunter" in line for line in lines)
    _, _, within, failed, *_ = map(json.loads, lines)
    assert within["data"] == {
        "event": "tried",
        "apiKey": "<redacted>",
        "at": "https://<redacted>@host/clip.mp4?<redacted>",
    }
    assert "KeyError: 'https://<redacted>@host" in failed["data"]["traceback"]


def test_no_line_is_longer_than_what_a_pipe_keeps_together(lines: list[str]) -> None:
    """Several processes write into one; a line that is cut would be two that nobody can read."""
    assert max(len(line.encode()) for line in lines) < 4096
    long = json.loads(lines[4])
    assert long["data"]["event"] == "long"
    assert json.loads(json_line("info", "x", "y", {"event": "z", **{str(n): "w" * 900 for n in range(9)}}))["data"] == {
        "event": "z",
        "truncated": True,
    }


def test_text_is_for_people() -> None:
    """Date, level and message as ever; what it is about in brackets; loggers of others are left as they were."""
    found = run("text")
    first, within, failed, *_ = [line for line in found if line[:1].isdigit()]
    assert first[10] == " "
    assert first.endswith("INFO read https://<redacted>@host/clip.mp4?<redacted>")
    assert within.endswith("WARNING within [jobId=job-1 attempt=2 traceId=trace-1 runId=run-1]")
    assert " ERROR failed [" in failed
    assert "\n".join(found).count("KeyError: 'https://<redacted>@host") == 1
    assert "a foreign" in found


def test_only_our_own_lines_are_read_as_such() -> None:
    """Text, JSON of others and half a line are none."""
    line = json_line("info", "up", "ready", jobId="job-1", runId=None)
    assert read_line(line) == json.loads(line)
    assert "runId" not in json.loads(line)
    for other in ("ready", '{"timestamp": 1}', line[:-3], "[]", '{"level": "info"}'):
        assert read_line(other) is None
