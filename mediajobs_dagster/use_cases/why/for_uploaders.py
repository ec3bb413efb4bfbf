"""What the person whose file it is may be told, by status and error code: one sentence or two, and nothing internal."""

from __future__ import annotations

from mediajobs_dagster import errors
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.models import Job, JobStatus

OURS = "Something went wrong on our side, not with your file."
_AGAIN = " We will try again."
_CLOSED = "The site of this video does not hand it out to us. Please upload the video itself."
_LATER = "A service that we need does not answer at the moment. This is not because of your file."

WORDS: dict[type[MediaJobsError], str] = {
    MediaJobsError: OURS,
    errors.RequestError: "What was asked for cannot be done as it was asked. Please check it and ask again.",
    errors.TooManyClientsError: OURS,
    errors.SettingsError: OURS,
    errors.ExtraMissingError: OURS,
    errors.ParametersError: "One of the options that were chosen cannot be used. Please choose another.",
    errors.TimelineError: "This edit cannot be rendered as it is. Please correct what is marked in it.",
    errors.InputError: "We cannot use this file. Please upload another version of it.",
    errors.InputEmptyError: "This file is empty. Please upload it again.",
    errors.InputUnreadableError: "This file cannot be read any more. Please upload it again.",
    errors.InputNotMediaError: "This file is neither a video nor a sound recording. Please upload one that is.",
    errors.InputRefusedError: "Files of this kind are not accepted. Please upload the video or the sound itself.",
    errors.InputEncryptedError: "This file is copy-protected. Please upload a copy that is not.",
    errors.InputTruncatedError: "This file is incomplete: its end is missing. Please upload it again.",
    errors.InputCorruptError: "This file is damaged. Please export it again and upload the new file.",
    errors.InputNoVideoError: "This file has no picture. Please upload a video.",
    errors.InputNoAudioError: "This file has no sound and no subtitles, so there is nothing to write down.",
    errors.HdrUnsupportedError: "HDR video cannot be used here. Please export it in standard dynamic range (SDR).",
    errors.InputTooLargeError: "The picture of this video is too large. Please export it in a smaller size.",
    errors.InputTooLongError: "This video is too long. Please upload it in parts.",
    errors.InputUnsupportedError: "This format cannot be read. Please export the file as MP4 and upload the new file.",
    errors.InputUnprocessableError: "This file could not be processed. Please export it again and upload the new file.",
    errors.VideoUnavailableError: "There is no video at this address any more. Please check the address.",
    errors.VideoPrivateError: _CLOSED,
    errors.VideoLoginNeededError: _CLOSED,
    errors.VideoAgeRestrictedError: _CLOSED,
    errors.VideoRegionBlockedError: _CLOSED,
    errors.VideoProtectedError: _CLOSED,
    errors.VideoRefusedError: _CLOSED,
    errors.VideoLiveError: "This video is live, or has not begun. Please ask for it again when it is over.",
    errors.AddressIsListError: "This is the address of a list of videos. Please give the address of one video.",
    errors.KeyRefusedError: "This name cannot be used. Please choose another.",
    errors.ServiceError: _LATER,
    errors.QuotaExhaustedError: "This cannot be done today: the daily limit of a service is reached.",
    errors.StorageUnavailableError: _LATER,
    errors.CancelledError: "This was cancelled.",
}
"""By error. One that is not listed has the words of what it is a kind of."""

_OF_STATUS = {
    JobStatus.QUEUED: "This is waiting for its turn.",
    JobStatus.PROCESSING: "This is being worked on.",
    JobStatus.COMPLETED: "This is done.",
    JobStatus.SKIPPED: "This is done.",
    JobStatus.CANCELLED: WORDS[errors.CancelledError],
}


def words_of_error(kind: type[MediaJobsError]) -> str:
    """The words for an error, or for what it is a kind of."""
    return next(WORDS[each] for each in kind.__mro__ if each in WORDS)


def words_of_job(job: Job) -> str:
    """The words for a job as it stands."""
    if job.status is JobStatus.SKIPPED and job.error_code == errors.QuotaExhaustedError.code:
        return WORDS[errors.QuotaExhaustedError]
    if job.status in _OF_STATUS:
        return _OF_STATUS[job.status]
    kinds = (kind for kind in errors.all_errors() if kind.code == job.error_code)
    said = words_of_error(next(kinds, MediaJobsError))
    return said + _AGAIN if job.status is JobStatus.FAILED else said
