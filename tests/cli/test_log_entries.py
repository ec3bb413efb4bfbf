"""Which lines of the processes below `mediajobs up` are passed on."""

from __future__ import annotations

from mediajobs_dagster.cli.log_entries import LogEntries
from mediajobs_dagster.telemetry.logs import json_line

STARTED = "2026-03-04 05:06:07,089 INFO The daemon has started."
OUTAGE = """2026-03-04 05:06:08 +0000 - dagster.daemon - \x1b[31mERROR\x1b[0m - Sensor tick caught an error
Traceback (most recent call last):
  File "base.py", line 1388, in _checkout
psycopg2.OperationalError: connection refused
\tIs the server running?

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
mediajobs_dagster.errors.DatabaseUnavailableError: The history database cannot be reached.""".splitlines()
EVENT = """2026-03-04 05:06:08 +0000 - dagster - DEBUG - __ASSET_JOB - 0d1c - 42 - thumbnail - STEP_FAILURE - Failed.

dagster.Failure: talk.mp4 is no media file.
Stack Trace:""".splitlines()
BUG = """2026-03-04 05:06:09,089 ERROR Not dispatched
Traceback (most recent call last):
  File "daemon.py", line 88, in core_loop
ZeroDivisionError: division by zero""".splitlines()


def test_a_database_that_does_not_answer_is_told_elsewhere_and_a_fault_is_whole() -> None:
    """However often it is logged, and by however many processes; the lines of a fault stay together."""
    said: list[tuple[str, str]] = []
    reasons: list[str] = []
    entries = LogEntries(lambda name, line: said.append((name, line)), reasons.append)
    entries.add("daemon", STARTED)
    assert said == [("daemon", STARTED)]  # at once
    for line in [*OUTAGE, *OUTAGE, *BUG]:
        entries.add("daemon", line)
    for line in OUTAGE:
        entries.add("code", line)
    entries.end_complete()
    assert said == [("daemon", STARTED)]  # what may go on is held back for a moment
    entries.end_complete(at_once=True)
    assert said == [("daemon", line) for line in [STARTED, *BUG]]
    assert reasons == ["OperationalError: connection refused"] * 3


def test_lines_of_json_are_entries_of_their_own() -> None:
    """Passed on as they are, also in the middle of a text; an outage of the database is told elsewhere too."""
    said: list[str] = []
    reasons: list[str] = []
    entries = LogEntries(lambda _, line: said.append(line), reasons.append)
    line = json_line("info", "orchestration", "The daemon has started.")
    outage = json_line("error", "dagster", "Not dispatched", {"traceback": "\n".join(OUTAGE[1:4])})
    fault = json_line("error", "dagster", "no such column", {"traceback": BUG[-1]})
    for each in (*BUG, line, outage, fault):
        entries.add("daemon", each)
    assert said == [*BUG, line, fault]
    assert reasons == ["OperationalError: connection refused"]


def test_events_of_runs_are_not_passed_on() -> None:
    """Dagster prints those of runs that its UI started; what is logged before and after is passed on."""
    said: list[str] = []
    entries = LogEntries(lambda _, line: said.append(line), lambda _: None)
    for line in (*EVENT, STARTED, *EVENT, *BUG, *EVENT):
        entries.add("code", line)
    entries.end_complete(at_once=True)
    assert said == [STARTED, *BUG]


def test_a_fault_that_only_sounds_like_an_outage_is_passed_on() -> None:
    """A missing column is no database that is away."""
    said: list[str] = []
    reasons: list[str] = []
    entries = LogEntries(lambda _, line: said.append(line), reasons.append)
    fault = ["2026-03-04 05:06:09,089 ERROR Not dispatched", "sqlite3.OperationalError: no such column: jobs.turn"]
    locked = ["2026-03-04 05:06:09,089 ERROR Not dispatched", "sqlite3.OperationalError: database is locked"]
    for line in (*fault, *locked):
        entries.add("daemon", line)
    entries.end_complete(at_once=True)
    assert said == fault
    assert reasons == ["OperationalError: database is locked"]
