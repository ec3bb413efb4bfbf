"""Turns what yt-dlp raises into an error of the error tree."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from mediajobs_dagster.errors import (
    AddressRefusedError,
    DiskFullError,
    ExtractorFailedError,
    InputNotMediaError,
    InputTooLargeError,
    MediaJobsError,
    SiteAnswerError,
    SitePausedError,
    SiteUnavailableError,
    VideoAgeRestrictedError,
    VideoLiveError,
    VideoLoginNeededError,
    VideoPrivateError,
    VideoProtectedError,
    VideoRefusedError,
    VideoRegionBlockedError,
    VideoUnavailableError,
)
from mediajobs_dagster.services.downloads.bounds import TooMuchError
from mediajobs_dagster.services.faults import retry_after_s
from mediajobs_dagster.storage.redaction import redact, redact_address

_SHOWN = 300
_FULL = (errno.ENOSPC, errno.EDQUOT)
_GONE = (404, 410)
_LATER = (408, 425)
_STATUS = re.compile(r"HTTP Error (\d{3})")
_CUT_OFF = re.compile(r"more expected|incomplete ?read|downloaded \d+ bytes, expected \d+", re.IGNORECASE)
_BROKEN = re.compile(r"Got error:|unable to continue", re.IGNORECASE)
_ROBOT = re.compile(r"not a (?:bot|robot)|captcha|too many requests|rate.?limit", re.IGNORECASE)
_SAID: tuple[tuple[re.Pattern[str], type[MediaJobsError]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"confirm your age|age.?restrict|inappropriate for some users", VideoAgeRestrictedError),
        (r"\bprivate\b", VideoPrivateError),
        (r"\bdrm\b", VideoProtectedError),
        (r"(?:in|from) your (?:country|region|location)|geo.?restrict", VideoRegionBlockedError),
        (r"live (?:event|stream)|premieres? (?:in|will)|not currently live|will begin", VideoLiveError),
        (r"members?.only|join this channel|log ?in|sign in|registered users|--cookies", VideoLoginNeededError),
        (r"unavailable|removed|no longer|does not exist|not available|not found|terminated", VideoUnavailableError),
    )
)
"""What sites say, as yt-dlp quotes it, and what it means: the first that fits."""


def fault_of(error: BaseException, address: str) -> MediaJobsError:
    """The fault behind an exception that yt-dlp raised; `address` is for the message, without secrets."""
    chain = list(_chain(error))
    told = f"{address}: {_told(chain)}"
    for each in chain:
        if isinstance(each, MediaJobsError):
            return each
        if isinstance(each, TooMuchError):
            return InputTooLargeError(f"{address}: {each}. Give the address of the video itself.")
        if isinstance(each, OSError) and each.errno in _FULL:
            return DiskFullError()
    names = {kind.__name__ for each in chain for kind in type(each).__mro__}
    if "GeoRestrictedError" in names:
        return VideoRegionBlockedError(f"{VideoRegionBlockedError.__doc__} {told}")
    if "UserNotLive" in names:
        return VideoLiveError(f"{VideoLiveError.__doc__} {told}")
    if "UnsupportedError" in names:
        return InputNotMediaError(f"{address} has no video that can be fetched. Give the address of a video.")
    if _ROBOT.search(told):
        return SitePausedError(f"The site takes us for a robot, or got too many requests. {told}")
    answer: Any = next((each for each in chain if type(each).__name__ == "HTTPError"), None)
    if answer is not None:
        return _of_answer(answer, address)
    # Of what goes wrong in the middle of a download only words are left.
    if found := _STATUS.search(told):
        return _of_status(int(found[1]), None, f"A part of {address}")
    if names & {"IncompleteRead", "ContentTooShortError"} or _CUT_OFF.search(told):
        return SiteAnswerError(f"{address}: the answer was cut off. ({_told(chain)})")
    if "RequestError" in names and not names & {"TransportError", "HTTPError"}:
        return AddressRefusedError(f"{address} leads to something other than http:// and https://. ({_told(chain)})")
    is_broken = "TransportError" in names or _BROKEN.search(told)
    if is_broken or ("OSError" in names and "ExtractorError" not in names):
        return SiteUnavailableError(f"{address}: the site cannot be reached, or broke off. ({_told(chain)})")
    for pattern, kind in _SAID:
        if pattern.search(told):
            return kind(f"{kind.__doc__} ({told})")
    if any(getattr(each, "expected", False) for each in chain) or "DownloadError" in names:
        return VideoUnavailableError(f"The site does not give the video. ({told})")
    return ExtractorFailedError(f"{ExtractorFailedError.__doc__} ({told})")


def _of_answer(answer: Any, address: str) -> MediaJobsError:
    if answer.redirect_loop:
        return VideoUnavailableError(f"{address} redirects in a circle, or too often. Correct the address.")
    asked = redact_address(answer.response.url)
    what = address if asked == address else f"{asked}, which belongs to {address},"
    return _of_status(answer.status, answer.response.headers.get("Retry-After"), what)


def _of_status(status: int, retry_after: str | None, what: str) -> MediaJobsError:
    said = f"{what} was answered with {status}."
    if status == 429:
        wait_s = retry_after_s(retry_after, datetime.now(UTC))
        return SitePausedError(f"{said} The site wants fewer requests.", http_status=status, retry_after_s=wait_s)
    if status >= 500 or status in _LATER:
        return SiteUnavailableError(f"{said} The site has a problem. Try again later.", http_status=status)
    if status in _GONE:
        return VideoUnavailableError(f"{said} {VideoUnavailableError.__doc__}")
    if status >= 400:
        return VideoRefusedError(f"{said} {VideoRefusedError.__doc__}")
    return SiteAnswerError(f"{said} That is no valid answer.", http_status=status)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and all that it was caused by, in any of the ways in which yt-dlp keeps that."""
    due, seen = [error], set[int]()
    while due:
        each = due.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        told: Any = getattr(each, "exc_info", None) or (None, None)
        due += [told[1], getattr(each, "cause", None), each.__cause__, each.__context__]
        due += getattr(each, "unexpected_errors", ())


def _told(chain: list[BaseException]) -> str:
    """What the site said, in short and without what yt-dlp asks its own users to do."""
    text = str(getattr(chain[0], "msg", None) or chain[0])
    text = text.removeprefix("ERROR: ").partition("; please report this issue")[0].partition(" (caused by")[0]
    text = text.partition(" Use --")[0]
    return " ".join(redact(text).split())[:_SHOWN]
