"""Decides whose fault a failure is that can come from a bad input as well as from a bad machine.

Such a failure is the input's, and final, if one of these holds:

- other jobs of its type succeeded on this machine while the attempt ran,
- the same work succeeds on a small test clip, on this machine, right after the failure,
- such jobs cannot be tried on a clip, and an earlier attempt at the same content failed in the same way.

If the work fails on the test clip too, the machine is at fault, however often the input fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mediajobs_dagster.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    InputUnprocessableError,
    MediaJobsError,
)
from mediajobs_dagster.history import Claim, History
from mediajobs_dagster.storage import redact

CONTENT = "content"
"""In the input summary of a manifest: identifies the content of all sources together."""

_VARIES = re.compile(r"0x[0-9a-f]+|\d+")
"""Addresses, moments and counts differ from one attempt to the next."""


def judged(
    error: MediaJobsError, claim: Claim, history: History, *, content: str, rehearse: Callable[[], bool | None]
) -> MediaJobsError:
    """`error` itself, or an InputUnprocessableError that explains it.

    `content` identifies the content of all sources. `rehearse` tries the same work on a test clip; it returns None if
    that is not possible.
    """
    reason = _evidence(error, claim, history, content, rehearse) if error.may_be_input else None
    return error if reason is None else InputUnprocessableError.of(error, reason)


def _evidence(
    error: MediaJobsError, claim: Claim, history: History, content: str, rehearse: Callable[[], bool | None]
) -> str | None:
    if _found(lambda: history.attempts.others_succeeded(claim.attempt)):
        return "other jobs of its type succeeded on this machine meanwhile"
    works = rehearse()
    if works:
        return "it succeeds on a test clip on this machine"
    if works is None and _found(lambda: _has_failed_so_before(error, claim, history, content)):
        return "this is not the machine's fault: it failed in the same way before"
    return None


def _found(look: Callable[[], bool]) -> bool:
    """What a look into the history finds. A database that is away must not hide what failed: then there is nothing."""
    try:
        return look()
    except (DatabaseBusyError, DatabaseUnavailableError):
        return False


def _has_failed_so_before(error: MediaJobsError, claim: Claim, history: History, content: str) -> bool:
    earlier = (each for each in history.attempts.of_job(claim.job.id) if each.attempt < claim.attempt.attempt)
    return any(
        each.error_code == error.code
        and _gist(each.error or "") == _gist(redact(error.message))  # as it is recorded
        and (each.manifest or {}).get("inputSummary", {}).get(CONTENT) == content
        for each in earlier
    )


def _gist(message: str) -> str:
    return _VARIES.sub("", message)
