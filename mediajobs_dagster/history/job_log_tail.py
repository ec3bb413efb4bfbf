"""Where the whole part of a job log ends, and whether what follows is an append that was cut short.

An append writes `,` newline, entry, newline `]` newline over the three bytes of the old closing. Killed at any byte it
leaves a beginning of that, with what it had not yet overwritten of the closing behind it. Anything else is not our
doing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from mediajobs_dagster.errors import JobLogError

EMPTY = b"[\n]\n"
CLOSING = b"\n]\n"
HEAD_END = 1
"""Where a log without entries ends: behind its bracket."""

_ENTRY_HEAD = b'{"format":"mediajobs.job_log/1",'
_HEAD = b"[\n" + _ENTRY_HEAD
_FIRST_WINDOW = 64 * 1024


def whole_end(file: int, path: Path) -> int:
    """The offset behind the last whole entry of an open file; a file of no bytes counts as an empty log.

    Takes constant time unless the last append was cut short. Raises JobLogError for a file that is no job log, or one
    whose damage no append of ours can have done. Writes nothing.
    """
    size = os.fstat(file).st_size
    if size == 0:
        return HEAD_END
    head = os.pread(file, len(_HEAD), 0)
    if head == _HEAD and os.pread(file, 1 + len(CLOSING), size - 1 - len(CLOSING)) == b"}" + CLOSING:
        return size - len(CLOSING)
    is_ours = head.startswith(b"[") and (head == _HEAD or size <= len(_HEAD))
    if not is_ours:
        raise JobLogError(f"{path} is not a job log, so it was left as it is. Name another file.")
    end = _behind_last_whole_entry(file, size)
    if not _is_cut_append(os.pread(file, size - end, end), is_first=end == HEAD_END):
        raise JobLogError(
            f"{path} is damaged behind byte {end} in a way no append does, so it was left as it is. "
            "Mend it by hand, or move it away."
        )
    return end


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
    if not line.startswith(_ENTRY_HEAD):
        return False
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _is_cut_append(rest: bytes, *, is_first: bool) -> bool:
    # A file system may fill what it had promised, but not yet written, with zeros when the power goes.
    rest = rest.rstrip(b"\x00")
    separator = b"\n" if is_first else b",\n"
    begun = separator + _ENTRY_HEAD
    if CLOSING.startswith(rest) or begun.startswith(rest):
        return True
    if any(rest == begun[:written] + CLOSING[written:] for written in range(1, len(CLOSING))):
        return True
    return rest.startswith(begun) and b"\n" not in rest[len(separator) :]
