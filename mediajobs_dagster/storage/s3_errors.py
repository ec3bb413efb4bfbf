"""Translates the SDK's exceptions into the error tree."""

from __future__ import annotations

from typing import Any, cast

from botocore import exceptions as sdk  # pyright: ignore[reportMissingTypeStubs]  # the SDK has none
from s3transfer import exceptions as transfer  # pyright: ignore[reportMissingTypeStubs]  # the SDK has none

from mediajobs_dagster.errors import StorageDeniedError, StorageError, StorageMissingError, StorageUnavailableError
from mediajobs_dagster.storage.redaction import redact

SDK_ERRORS = (
    sdk.BotoCoreError,
    sdk.ClientError,
    transfer.RetriesExceededError,
    transfer.S3DownloadFailedError,
    transfer.S3CopyFailedError,
    transfer.S3ValidationError,
)
"""What the SDK raises for failures of the server, the network and the credentials."""

# Codes that matter beside the HTTP status, because they come with a 200 (a copy that fails late), a 301 or a 400.
_DENIED_CODES = frozenset(
    {"ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint"}
)
_UNAVAILABLE_CODES = frozenset(
    {"InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling"}
)
_UNAVAILABLE_STATUS = frozenset({408, 409, 429})
_NO_CREDENTIALS = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.ProfileNotFound,
    sdk.TokenRetrievalError,
    sdk.UnauthorizedSSOTokenError,
)
_UNREACHABLE = (sdk.ConnectionError, sdk.HTTPClientError, sdk.IncompleteReadError, transfer.RetriesExceededError)


def storage_error(error: Exception, doing: str, secrets: tuple[str, ...]) -> StorageError:
    """The error to raise for one of SDK_ERRORS; `doing` says what was tried, such as `read s3://bucket/key`."""
    if isinstance(error, sdk.ClientError):
        return _refusal(error, doing, secrets)
    reason = redact(str(error), secrets)
    if isinstance(error, _NO_CREDENTIALS):
        return StorageDeniedError(
            f"Could not {doing}: {reason}. Set MEDIAJOBS_S3_ACCESS_KEY_ID and MEDIAJOBS_S3_SECRET_ACCESS_KEY, or give "
            "this machine a role."
        )
    if isinstance(error, transfer.S3DownloadFailedError):  # raised for this one reason
        return StorageUnavailableError(f"Could not {doing}: it was replaced meanwhile. Try again.")
    if isinstance(error, _UNREACHABLE):
        return StorageUnavailableError(
            f"Could not {doing}: {reason}. Check MEDIAJOBS_S3_ENDPOINT_URL, the network and the S3 server."
        )
    return StorageError(f"Could not {doing}: {reason}. Check MEDIAJOBS_STORAGE_URL and the MEDIAJOBS_S3_… settings.")


def _refusal(error: sdk.ClientError, doing: str, secrets: tuple[str, ...]) -> StorageError:
    answer = cast(dict[str, dict[str, Any]], error.response)  # pyright: ignore[reportUnknownMemberType]  # no types
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    reason = redact(f"{code} (HTTP {status})", secrets)
    if code == "NoSuchBucket":
        return StorageMissingError(f"Could not {doing}: there is no such bucket. Correct MEDIAJOBS_STORAGE_URL.")
    if status == 404:
        return StorageMissingError(f"Could not {doing}: there is no such object, or no such bucket.")
    if status in (412, 416):  # another version than was asked for, or one too short to have that part
        return StorageUnavailableError(f"Could not {doing}: it was replaced meanwhile. Try again.")
    if status in (401, 403) or code in _DENIED_CODES:
        missing = "; without s3:ListBucket, S3 gives this answer for a missing object too"
        return StorageDeniedError(
            f"Could not {doing}: {reason}. Check the MEDIAJOBS_S3_… credentials and region and the bucket's policy"
            f"{missing if doing.startswith('read ') else ''}."
        )
    if status >= 500 or status in _UNAVAILABLE_STATUS or code in _UNAVAILABLE_CODES:
        return StorageUnavailableError(f"Could not {doing}: the server answered {reason}. Try again later.")
    return StorageError(f"Could not {doing}: the server answered {reason}. Check the MEDIAJOBS_S3_… settings.")
