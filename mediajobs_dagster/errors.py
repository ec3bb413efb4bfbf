"""Every fault mediajobs can name, as one tree.

Each class carries a stable `code` (for machines), a `blame` (whose fault it is) and whether a further attempt can help
(`retryable`). The docstring of a class is its message when none is given; a message says what happened, to what, and
what to do about it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Self


class Blame(StrEnum):
    """Whose fault a failure is."""

    INPUT = "input"
    """The file or the request is at fault. Operators need not act, and another attempt cannot help."""
    SYSTEM = "system"
    """Our machine, our configuration or our code is at fault."""
    EXTERNAL = "external"
    """A service that we call is at fault."""
    CANCELLED = "cancelled"
    """Somebody asked for the work to stop."""

    @property
    def concerns_operators(self) -> bool:
        """Whether operators have to act. Such a failure counts for the breaker and turns its run red."""
        return self in (Blame.SYSTEM, Blame.EXTERNAL)


class MediaJobsError(Exception):
    """Something went wrong in mediajobs."""

    code: ClassVar[str] = "INTERNAL"
    blame: ClassVar[Blame] = Blame.SYSTEM
    retryable: ClassVar[bool] = True
    is_outage: ClassVar[bool] = False
    """Whether it takes minutes or hours to mend, and no job is at fault: then a job is tried for hours."""
    is_interruption: ClassVar[bool] = False
    """Whether the worker ended, not the work. Such an attempt does not use up one of the job's."""
    is_retried_alone: ClassVar[bool] = False
    """Whether the job is tried once more, with half of the threads, while nothing else is tried on its machine."""
    may_be_input: ClassVar[bool] = False
    """Whether a bad input can cause it as well as a bad machine. Then evidence decides: `attempts/evidence.py`."""
    opens_breakers: ClassVar[bool] = True
    """Whether jobs that fail by it count for breakers, if it concerns operators. A wrong setting is told at once."""
    retry_after_s: float | None = None
    """Shortest wait before the next attempt, seconds; None: no wait was asked for."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        """What happened, to what, and what to do."""
        return str(self)

    def with_message(self, message: str) -> Self:
        """A copy of this error with another message. It keeps its other attributes, but not its traceback or cause."""
        # Not copy.copy: it calls the constructor, which may take other arguments in an error of another package.
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.args = (message,)
        return twin


# --- requests --------------------------------------------------------------------------------------------------------


class RequestError(MediaJobsError):
    """The request is not valid."""

    code = "REQUEST_INVALID"
    blame = Blame.INPUT
    retryable = False


class NotFoundError(RequestError):
    """There is nothing with that id."""

    code = "NOT_FOUND"


class AmbiguousError(RequestError):
    """What was named can be several things."""

    code = "AMBIGUOUS"


class SettingsError(RequestError):
    """A setting is missing or has a value that cannot be used."""

    code = "SETTINGS_INVALID"
    blame = Blame.SYSTEM
    retryable = True  # an attempt that meets it may succeed on a machine that is set up right


class JobSettingsError(SettingsError):
    """The settings that a job works with cannot be used. Correct them; `mediajobs doctor` checks them."""

    code = "JOB_SETTINGS_INVALID"
    retryable = False
    opens_breakers = False


class ExtraMissingError(RequestError):
    """The request needs an optional part of mediajobs that is not installed."""

    code = "EXTRA_MISSING"
    blame = Blame.SYSTEM
    retryable = True  # another machine may have it

    @classmethod
    def of(cls, what: str, extra: str) -> ExtraMissingError:
        """The error for a missing extra. `what` begins its message, such as "--reload needs"."""
        return cls(f"{what} a package that is not installed here. Install it with: pip install 'mediajobs[{extra}]'")


class AddressRefusedError(RequestError):
    """The address leads into a private network, or to this machine."""

    code = "ADDRESS_REFUSED"


class CallbackInvalidError(RequestError):
    """The callback address cannot be used."""

    code = "CALLBACK_INVALID"


class AlreadyRunningError(RequestError):
    """mediajobs already runs on this data folder."""

    code = "ALREADY_RUNNING"


class PortTakenError(RequestError):
    """The port is taken by another process."""

    code = "PORT_TAKEN"


class StartError(MediaJobsError):
    """A part of mediajobs did not start."""

    code = "START_FAILED"
    retryable = False


class RequestTooLargeError(RequestError):
    """The request is larger than its limit."""

    code = "REQUEST_TOO_LARGE"


class RangeError(RequestError):
    """The part that was asked for lies beyond the end."""

    code = "RANGE_UNSATISFIABLE"


class KeyReusedError(RequestError):
    """The idempotency key came with another request before. Use a new key for each request."""

    code = "IDEMPOTENCY_KEY_REUSED"


class KeyBusyError(RequestError):
    """The request with this idempotency key is still at work. Send it again in a moment."""

    code = "IDEMPOTENCY_KEY_BUSY"
    retry_after_s = 2.0


class TooManyClientsError(RequestError):
    """As many clients follow the events as one server takes. Try again later, or ask for the state instead."""

    code = "TOO_MANY_CLIENTS"
    blame = Blame.SYSTEM
    retryable = True


class LoginNeededError(RequestError):
    """This needs a login. Programs send a token in the header Authorization: Bearer, then the token."""

    code = "LOGIN_NEEDED"


class LoginRefusedError(RequestError):
    """Name and password do not fit."""

    code = "LOGIN_REFUSED"


class LoginPausedError(RequestError):
    """There were too many wrong passwords. Wait a moment, and try again."""

    code = "LOGIN_PAUSED"

    @classmethod
    def for_s(cls, seconds: float) -> LoginPausedError:
        """The error for a pause of so many seconds."""
        wait_s = max(1, math.ceil(seconds))
        told = "a second" if wait_s == 1 else f"{wait_s} seconds"
        error = cls(f"There were too many wrong passwords. Try again in {told}.")
        error.retry_after_s = float(wait_s)
        return error


class NotAllowedError(RequestError):
    """A viewer can change nothing. Ask an operator."""

    code = "NOT_ALLOWED"


class CrossSiteError(RequestError):
    """A browser has to say that a page of this server asks, by Origin or Sec-Fetch-Site. Programs send a token."""

    code = "CROSS_SITE"


class NotEncryptedError(RequestError):
    """Browsers keep a login only at https:// and at localhost, unless MEDIAJOBS_WEB_INSECURE_COOKIES is set to true."""

    code = "NOT_ENCRYPTED"


class NoUsersError(SettingsError):
    """The console asks for a login, and nobody could log in. Add a user with `mediajobs user add NAME`."""

    code = "USERS_MISSING"


class IllegalTransitionError(RequestError):
    """A job cannot go from its present status to the one asked for."""

    code = "ILLEGAL_TRANSITION"


class ParametersError(RequestError):
    """The parameters do not fit the job type."""

    code = "PARAMETERS_INVALID"


class PrerequisiteMissingError(RequestError):
    """What the job works on was not made yet. Have it made first."""

    code = "PREREQUISITE_MISSING"


class TimelineError(RequestError):
    """The timeline has faults."""

    code = "TIMELINE_INVALID"
    faults: tuple[dict[str, str], ...] = ()
    """The first hundred, each with its JSON `path` and a `message`."""
    more_faults: int = 0
    """How many there are besides."""


# --- the file is at fault --------------------------------------------------------------------------------------------


class InputError(MediaJobsError):
    """The input file cannot be used."""

    code = "INPUT_INVALID"
    blame = Blame.INPUT
    retryable = False


class InputEmptyError(InputError):
    """The input file has no bytes. Upload it again."""

    code = "INPUT_EMPTY"


class InputUnreadableError(InputError):
    """The input file cannot be read: it is gone, access to it is denied, or its disk fails."""

    code = "INPUT_UNREADABLE"


class InputNotMediaError(InputError):
    """The input is not a media file in any container that is accepted here."""

    code = "INPUT_NOT_MEDIA"


class InputRefusedError(InputError):
    """The input is a picture, a playlist or a script; only video and sound in one self-contained file are accepted."""

    code = "INPUT_REFUSED"


class InputTruncatedError(InputError):
    """The input file ends before its media does: its upload was cut off. Upload it again."""

    code = "INPUT_TRUNCATED"


class InputCorruptError(InputError):
    """The input file's media data cannot be decoded."""

    code = "INPUT_CORRUPT"


class InputEncryptedError(InputError):
    """The input is encrypted (DRM), so it cannot be decoded. Upload a copy that is not."""

    code = "INPUT_ENCRYPTED"


class InputNoVideoError(InputError):
    """The input has no moving picture; cover art does not count."""

    code = "INPUT_NO_VIDEO"


class InputNoAudioError(InputError):
    """The input has no sound, and no subtitles: there is nothing to make a transcript of."""

    code = "INPUT_NO_AUDIO"


class HdrUnsupportedError(InputError):
    """The input is HDR, and this ffmpeg cannot tone-map it."""

    code = "HDR_UNSUPPORTED"


class InputTooLargeError(InputError):
    """The input declares a picture larger than the limit, or takes more memory than it is granted."""

    code = "INPUT_TOO_LARGE"


class InputTooLongError(InputError):
    """The input is longer than the limit, or takes longer to work on than its size and length allow."""

    code = "INPUT_TOO_LONG"


class InputUnsupportedError(InputError):
    """The input uses a codec, or a feature of its container, that this ffmpeg cannot read."""

    code = "INPUT_UNSUPPORTED"


class TranscriptEmptyError(InputError):
    """Nothing is said in the recording."""

    code = "TRANSCRIPT_EMPTY"


class InputUnprocessableError(InputError):
    """The input makes the work fail, and other inputs do not. It is damaged or very unusual: export it again."""

    code = "INPUT_UNPROCESSABLE"

    @classmethod
    def of(cls, error: MediaJobsError, reason: str) -> InputUnprocessableError:
        """The error that explains `error`; `reason` is a clause that says how it is known."""
        return cls(
            f"The work fails on this input, but {reason}. Export it again from where it came. ({error.code}: "
            f"{error.message})"
        )


# --- the machine, or the code, is at fault ---------------------------------------------------------------------------


class FfmpegMissingError(MediaJobsError):
    """ffmpeg or ffprobe was not found. Set MEDIAJOBS_FFMPEG_PATH and MEDIAJOBS_FFPROBE_PATH, or install ffmpeg."""

    code = "FFMPEG_MISSING"


class FfmpegFailedError(MediaJobsError):
    """ffmpeg failed for an unknown reason. Its last lines are in the attempt's manifest."""

    code = "FFMPEG_FAILED"
    may_be_input = True


class FfmpegCrashedError(MediaJobsError):
    """ffmpeg crashed. Its input may be made for that, or this ffmpeg has a fault."""

    code = "FFMPEG_CRASHED"
    may_be_input = True


class FfmpegKilledError(MediaJobsError):
    """ffmpeg was killed by a signal that mediajobs did not send."""

    code = "FFMPEG_KILLED"


class OutOfMemoryError(MediaJobsError):
    """The process ran out of memory. Give the worker more, or lower its concurrency."""

    code = "OUT_OF_MEMORY"
    is_retried_alone = True


class DiskFullError(MediaJobsError):
    """The scratch disk is full. Free some space, or point MEDIAJOBS_SCRATCH_DIR at a larger disk."""

    code = "DISK_FULL"
    is_outage = True


class StalledError(MediaJobsError):
    """ffmpeg made no progress for longer than the stall limit and was stopped."""

    code = "STALLED"


class DeadlineError(MediaJobsError):
    """The work took longer than its time limit and was stopped."""

    code = "TIMEOUT"


class OutputInvalidError(MediaJobsError):
    """The output did not pass verification, so it was not published."""

    code = "OUTPUT_INVALID"
    may_be_input = True


class TypesettingError(MediaJobsError):
    """A document cannot be set in type."""

    code = "TYPESETTING_FAILED"
    may_be_input = True


class WorkerLostError(MediaJobsError):
    """The worker died, or lost its connection to the database, during the attempt."""

    code = "WORKER_LOST"
    is_interruption = True


class RunFailedError(MediaJobsError):
    """A run failed before it claimed a job. Its log in Dagster says why."""

    code = "RUN_FAILED"


class DatabaseBusyError(MediaJobsError):
    """The history database did not answer within its time limit."""

    code = "DATABASE_BUSY"
    is_outage = True
    opens_breakers = False  # without the database nothing is claimed; when it is back, nothing need be held back


class DatabaseUnavailableError(MediaJobsError):
    """The history database cannot be reached. Check MEDIAJOBS_DATABASE_URL and that the server runs."""

    code = "DATABASE_UNAVAILABLE"
    is_outage = True
    opens_breakers = False  # as above


class DagsterVersionError(MediaJobsError):
    """mediajobs does not support the installed Dagster. Install the version that mediajobs is locked to."""

    code = "DAGSTER_VERSION"
    retryable = False


class InternalError(MediaJobsError):
    """An unexpected exception; its traceback is in the attempt's log."""

    code = "INTERNAL_ERROR"


class JobLogError(MediaJobsError):
    """The file is not a job log, or it is damaged beyond automatic repair. It was not changed."""

    code = "JOB_LOG_FOREIGN"
    retryable = False


# --- storage ---------------------------------------------------------------------------------------------------------


class StorageError(MediaJobsError):
    """The object storage refused an operation."""

    code = "STORAGE_FAILED"


class StorageMissingError(StorageError):
    """The object does not exist."""

    code = "STORAGE_MISSING"


class StorageDeniedError(StorageError):
    """The object storage denied access. Check the credentials and the bucket's policy."""

    code = "STORAGE_DENIED"
    is_outage = True


class StorageUnavailableError(StorageError):
    """The object storage did not answer, or answered that it is out of service."""

    code = "STORAGE_UNAVAILABLE"
    is_outage = True
    blame = Blame.EXTERNAL


class KeyRefusedError(StorageError):
    """An object cannot have this key: it is empty, absolute, leads out of its root or has a forbidden character."""

    code = "KEY_REFUSED"
    blame = Blame.INPUT
    retryable = False


# --- schedules -------------------------------------------------------------------------------------------------------


class ScheduleMissedError(MediaJobsError):
    """A schedule was due, and nothing was running that could have asked for its job."""

    code = "SCHEDULE_MISSED"
    retryable = False


# --- outside services ------------------------------------------------------------------------------------------------


class ServiceError(MediaJobsError):
    """An outside service did not do what was asked."""

    code = "SERVICE_FAILED"
    blame = Blame.EXTERNAL
    was_sent: bool = True
    """False: no connection could be made, so the service has not seen the request and does not count it."""

    def __init__(
        self,
        message: str | None = None,
        *,
        http_status: int | None = None,
        retry_after_s: float | None = None,
        answer: str = "",
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        """The status of its answer; None: there was no answer."""
        self.retry_after_s = retry_after_s
        self.answer = answer
        """The beginning of its answer, where a service may give its reasons. Not redacted yet."""


class ServiceUnavailableError(ServiceError):
    """The service cannot be reached, or answered that it is out of service."""

    code = "SERVICE_UNAVAILABLE"
    is_outage = True


class ServiceTimeoutError(ServiceError):
    """The service did not answer within the time limit of the call."""

    code = "SERVICE_TIMEOUT"


class ServiceRefusedError(ServiceError):
    """The service refused the request. Check its address, its credentials and what was asked for."""

    code = "SERVICE_REFUSED"
    retryable = False


class ServiceKeyError(ServiceRefusedError):
    """The service does not accept the key. Correct the setting that has it, or what the key is allowed."""

    code = "SERVICE_KEY_REFUSED"
    blame = Blame.SYSTEM


class ServiceLimitedError(ServiceError):
    """The service got too many requests. Send fewer, or have its limit raised."""

    code = "SERVICE_LIMITED"


class ServiceAnswerError(ServiceError):
    """The service's answer is invalid or was cut off."""

    code = "SERVICE_ANSWER_INVALID"


class ServiceTooLargeError(ServiceError):
    """The service's answer is larger than the limit of the call."""

    code = "SERVICE_ANSWER_TOO_LARGE"
    retryable = False


class ModelAnswerError(ServiceAnswerError):
    """The language model's answer does not have the form that was asked for."""

    code = "LLM_ANSWER_INVALID"


class ModelCutOffError(ServiceAnswerError):
    """The language model's answer was cut off at its limit. Raise MEDIAJOBS_LLM_ANSWER_TOKENS."""

    code = "LLM_ANSWER_CUT_OFF"
    retryable = False
    opens_breakers = False


class ModelRefusedError(ServiceError):
    """The language model refuses to write about the talk. Use another writer for it."""

    code = "LLM_REFUSED"
    retryable = False
    opens_breakers = False


class QuotaExhaustedError(MediaJobsError):
    """Too little is left of the quota of a service. The work is not started, or not gone on with."""

    code = "QUOTA_EXHAUSTED"
    blame = Blame.EXTERNAL
    retryable = False

    def __init__(
        self,
        message: str | None = None,
        *,
        bucket: str = "",
        left: int = 0,
        needed: int = 0,
        resets_at: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.bucket = bucket
        """The name of the quota."""
        self.left = left
        """Units that are left."""
        self.needed = needed
        """Units that the work needs."""
        self.resets_at = resets_at
        """When it is full again."""


# --- videos at their sites -------------------------------------------------------------------------------------------


class VideoUnavailableError(InputError):
    """The video is not there: it was removed, or the address is wrong."""

    code = "VIDEO_UNAVAILABLE"


class VideoPrivateError(InputError):
    """The video is private. Ask its owner for the file."""

    code = "VIDEO_PRIVATE"


class VideoLoginNeededError(InputError):
    """The site shows the video only to people who have logged in. Name a file of cookies: MEDIAJOBS_INGEST_COOKIES."""

    code = "VIDEO_LOGIN_NEEDED"


class VideoAgeRestrictedError(InputError):
    """The site shows the video only to people of an age. Name a file of cookies: MEDIAJOBS_INGEST_COOKIES."""

    code = "VIDEO_AGE_RESTRICTED"


class VideoRegionBlockedError(InputError):
    """The site does not show the video in the country that this machine is in."""

    code = "VIDEO_REGION_BLOCKED"


class VideoLiveError(InputError):
    """The video is live, or has not begun. Ask for it again when it is over."""

    code = "VIDEO_LIVE"


class VideoProtectedError(InputError):
    """The video is protected against copies (DRM)."""

    code = "VIDEO_PROTECTED"


class VideoRefusedError(InputError):
    """The site does not hand the video out. Check the address, and whether it may be fetched without a login."""

    code = "VIDEO_REFUSED"


class AddressIsListError(InputError):
    """The address is a list of videos. Ask for it with `mediajobs ingest`, which makes a job of each."""

    code = "ADDRESS_IS_LIST"


class SiteUnavailableError(ServiceUnavailableError):
    """The site of the video cannot be reached, or is out of service."""

    code = "SITE_UNAVAILABLE"
    opens_breakers = False  # one site must not hold back the videos of others


class SiteAnswerError(ServiceAnswerError):
    """The answer of the video's site is invalid or was cut off."""

    code = "SITE_ANSWER_INVALID"
    opens_breakers = False  # as above


class SitePausedError(ServiceLimitedError):
    """The site wants fewer requests, so nobody asks it for a while. The job waits; none of its attempts is used up."""

    code = "SITE_PAUSED"
    is_outage = True
    opens_breakers = False  # as above


class ExtractorFailedError(ServiceError):
    """yt-dlp could not read what the site sent. If the site has changed, a newer yt-dlp may help."""

    code = "EXTRACTOR_FAILED"
    opens_breakers = False  # as above


# --- cancelled -------------------------------------------------------------------------------------------------------


class CancelledError(MediaJobsError):
    """The attempt was cancelled."""

    code = "CANCELLED"
    is_interruption = True
    blame = Blame.CANCELLED
    retryable = False


def codes_without_breaker() -> tuple[str, ...]:
    """The codes of faults that no breaker counts."""
    return tuple(kind.code for kind in all_errors() if not kind.opens_breakers)


def faults_of_input() -> frozenset[str]:
    """The codes of faults of an input: the same file fails the same way."""
    return frozenset(kind.code for kind in all_errors() if issubclass(kind, InputError))


def all_errors() -> Iterator[type[MediaJobsError]]:
    """Every error of the tree and of other packages that are loaded; each comes after what it is a kind of."""
    due: list[type[MediaJobsError]] = [MediaJobsError]
    while due:
        kind = due.pop(0)
        yield kind
        due += kind.__subclasses__()
