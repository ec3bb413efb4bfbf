"""What a process of ours logs, and the tracebacks it prints, hold no secret, whoever logs."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Generator

import pytest

from mediajobs_dagster.redacted_logs import redact_output

ADDRESS = "https://me:hunter2@host/clip.mp4?X-Amz-Signature=hunter3"
SHOWN = "https://<redacted>@host/clip.mp4?<redacted>"


@pytest.fixture
def logged() -> Generator[io.StringIO]:
    """What a handler of a foreign logger writes once `redact_output` was called; everything is put back afterwards."""
    before = logging.getLogRecordFactory(), sys.excepthook, threading.excepthook
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    logger = logging.getLogger("somebody.else")
    logger.addHandler(handler)
    logger.propagate = False
    redact_output()
    yield written
    logger.removeHandler(handler)
    logger.propagate = True
    logging.setLogRecordFactory(before[0])
    sys.excepthook, threading.excepthook = before[1:]


def test_messages_arguments_and_tracebacks_are_redacted(logged: io.StringIO) -> None:
    """Of any logger: a filter of ours would not see them."""
    logger = logging.getLogger("somebody.else")
    logger.error("read " + ADDRESS)
    logger.error("read %s and %s", ADDRESS, {"password": "hunter2"})
    try:
        raise ValueError(ADDRESS)
    except ValueError:
        logger.exception("It failed")
    told = logged.getvalue()
    assert "hunter" not in told
    assert told.count(SHOWN) == 3
    assert "ValueError: " + SHOWN in told


def test_control_characters_are_shown(logged: io.StringIO) -> None:
    """In messages and in tracebacks; lines stay."""
    logger = logging.getLogger("somebody.else")
    logger.error("read %s\nand more", "a\x1b[31m\u202e.mp4")
    try:
        raise ValueError("b\x1b[2J\x9b.mp4")
    except ValueError:
        logger.exception("It failed")
    told = logged.getvalue()
    assert r"read a\x1b[31m\u202e.mp4" + "\nand more" in told
    assert r"ValueError: b\x1b[2J\x9b.mp4" in told
    assert not any(character in told for character in "\x1b\x9b\u202e")


def test_what_holds_no_secret_is_left_as_it_is(logged: io.StringIO) -> None:
    """Its arguments too, which other handlers may want; and arguments that do not fit are logging's own matter."""
    make = logging.getLogRecordFactory()
    record = make("x", logging.INFO, "x.py", 1, "%d of %s", (3, "clips"), None)
    assert (record.msg, record.args, record.exc_info) == ("%d of %s", (3, "clips"), None)
    assert make("x", logging.INFO, "x.py", 1, "%d", ("three",), None).args == ("three",)


def test_it_is_done_once(logged: io.StringIO) -> None:
    """However often it is asked for."""
    make = logging.getLogRecordFactory()
    redact_output()
    assert logging.getLogRecordFactory() is make


@pytest.mark.parametrize("how", ["main", "thread"])
def test_a_traceback_that_nobody_caught_is_redacted(how: str) -> None:
    """Of the program, and of a thread."""
    code = f"""
import threading
from mediajobs_dagster.redacted_logs import redact_output
redact_output()
def fail():
    try:
        raise KeyError("{ADDRESS}")
    except KeyError as error:
        raise ValueError("again") from error
if {how!r} == "main":
    fail()
threading.Thread(target=fail, name="worker-1").start()
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "ValueError: again" in ended.stderr
    assert f"KeyError: '{SHOWN}'" in ended.stderr
    assert "hunter" not in ended.stderr.replace(f'raise KeyError("{ADDRESS}")', "")
    assert ("worker-1" in ended.stderr) == (how == "thread")
