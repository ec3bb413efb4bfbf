"""Finds the end of the last whole entry of a job log, and tells an append that was cut short from other damage.

An append writes `,` newline, entry, newline `]` newline over the three bytes of the old closing. If it is killed, the
file ends with a beginning of that, followed by the bytes of the old closing that it had not overwritten yet. Any other
ending has another cause.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from mediajobs_dagster.errors import JobLogError
from mediajobs_dagster.history.job_log_entry import KEYS

EMPTY = b"[\n]\n"
CLOSING = b"\n]\n"
HEAD_END = 1
"""The offset where a log without entries ends: after its bracket."""

_OPENING = b"[\n"
_MARKS = tuple(f'{{"{KEYS[0]}":' if number == 0 else f',"{key}":' for number, key in enumerate(KEYS[:4]))
"""What an entry begins with, less the values in between. No other program writes these keys in this order."""
_HEAD = tuple(mark.encode() for mark in _MARKS)
_HEAD_WINDOW = 8 * 1024
"""More than the first three values can take, escaped."""
_VALUE = re.compile(rb'null|"(?:[^"\\\n]|\\.)*"')
_CUT_VALUE = re.compile(rb'n|nu|nul|(?:"(?:[^"\\\n]|\\.)*\\?)?')
_FIRST_WINDOW = 64 * 1024


def whole_end(file: int, path: Path) -> int:
    """The offset after the last whole entry of an open file; a file of no bytes counts as an empty log.

    Takes constant time unless the last append was cut short. Raises JobLogError for a file that is not a job log, and
    for damage that no append can cause. Writes nothing.
    """
    size = os.fstat(file).st_size
    if size == 0:
        return HEAD_END
    head = os.pread(file, _HEAD_WINDOW, 0)
    is_ours = head.startswith(_OPENING) and begins_entry(head[len(_OPENING) :])
    last = b"}" + CLOSING
    if is_ours and os.pread(file, len(last), max(0, size - len(last))) == last:
        return size - len(CLOSING)
    # Without an entry, what comes behind the bracket is judged below.
    if not (is_ours or (head.startswith(b"[") and size <= len(_OPENING + _HEAD[0]))):
        raise JobLogError(f"{path} is not a job log, so it was left as it is. Name another file.")
    end = _behind_last_whole_entry(file, size)
    if not _is_cut_append(os.pread(file, size - end, end), is_first=end == HEAD_END):
        raise JobLogError(
            f"{path} is damaged after byte {end}, and not by an append that was cut short, so it was left as it is. "
            "Repair it by hand, or move it away."
        )
    return end


def begins_entry(data: bytes) -> bool:
    """Whether `data` is an entry, or the beginning of one, however short."""
    for number, mark in enumerate(_HEAD):
        if not data.startswith(mark):
            return mark.startswith(data)
        data = data[len(mark) :]
        if number == len(_HEAD) - 1:
            return True
        value = _VALUE.match(data)
        if value is None:
            return _CUT_VALUE.fullmatch(data) is not None
        data = data[value.end() :]
    return True


def _behind_last_whole_entry(file: int, size: int) -> int:
    window = _FIRST_WINDOW
    while True:
        start = max(0, size - window)
        found = _last_whole_entry(os.pread(file, size - start, start))
        if found is not None:
            return start + found
        if start == 0:
            return HEAD_END
        window *= 2


def _last_whole_entry(data: bytes) -> int | None:
    stop = len(data)
    while (newline := data.rfind(b"\n", 0, stop)) >= 0:
        line = data[newline + 1 : stop]
        entry = line[: line.rfind(b"}") + 1]
        if _is_entry(entry):
            return newline + 1 + len(entry)
        stop = newline
    return None


def _is_entry(line: bytes) -> bool:
    if not (line.startswith(_HEAD[0]) and begins_entry(line)):
        return False
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _is_cut_append(rest: bytes, *, is_first: bool) -> bool:
    # After a loss of power, a file system may show zeros where it had allocated space but not written it.
    rest = rest.rstrip(b"\x00")
    separator = b"\n" if is_first else b",\n"
    begun = separator + _HEAD[0]
    if CLOSING.startswith(rest) or begun.startswith(rest):
        return True
    if any(rest == begun[:written] + CLOSING[written:] for written in range(1, len(CLOSING))):
        return True
    entry = rest[len(separator) :]
    return rest.startswith(begun) and b"\n" not in entry and begins_entry(entry)
