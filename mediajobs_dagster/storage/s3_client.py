"""The S3 client: how it is set up, and one for each process. The SDK has no types, so its calls are typed here."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol, cast

import boto3.session  # pyright: ignore[reportMissingTypeStubs]  # the SDK has none
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]  # the SDK has none

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.storage.redaction import redact

Response = dict[str, Any]
"""An answer of the SDK, decoded."""

CONCURRENCY = 4
"""Parts of one object that are transferred at once."""
_CONNECTIONS = 8 * CONCURRENCY
"""Most connections kept open: enough for several objects at once, each in parts."""


@dataclass(frozen=True, slots=True)
class S3Access:
    """The S3 server and the credentials for it."""

    region: str
    endpoint_url: str | None = None
    """None: Amazon's own for the region."""
    path_style: bool = False
    access_key_id: str | None = None
    """None: the SDK asks its usual sources (environment, profile, machine role)."""
    secret_access_key: str | None = field(default=None, repr=False)
    max_attempts: int = 5
    timeout_s: float = 20.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return tuple(secret for secret in (self.access_key_id, self.secret_access_key) if secret)


class S3Client(Protocol):
    """The part of boto3's S3 client that is used; arguments and answers are those of the S3 API."""

    def head_object(self, *, Bucket: str, Key: str) -> Response: ...
    def get_object(self, **arguments: str) -> Response: ...
    def list_objects_v2(self, *, Bucket: str, Prefix: str, **page: str) -> Response: ...
    def delete_object(self, *, Bucket: str, Key: str) -> Response: ...
    def get_bucket_versioning(self, *, Bucket: str) -> Response: ...
    def list_multipart_uploads(self, *, Bucket: str, Prefix: str, **page: str) -> Response: ...
    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> Response: ...
    def generate_presigned_url(self, ClientMethod: str, *, Params: Response, ExpiresIn: int) -> str: ...


class ClientPerProcess:
    """Gives each process its own client: a connection made before a fork would be shared with the parent."""

    def __init__(self, make: Callable[[], S3Client]) -> None:
        self._make = make
        self._made: tuple[int, S3Client] | None = None
        # One lock per process: a child would wait for ever for a lock that was held at the fork.
        self._locks: dict[int, Lock] = {}

    def __call__(self) -> S3Client:
        """The client of this process, made at the first call. Clients may be used by several threads at once."""
        process = os.getpid()
        with self._locks.setdefault(process, Lock()):
            if self._made is None or self._made[0] != process:
                self._made = (process, self._make())
            return self._made[1]


def make_client(access: S3Access) -> S3Client:
    """A new client. Raises SettingsError when the settings cannot make one."""
    if (access.access_key_id is None) != (access.secret_access_key is None):
        raise SettingsError("Set both MEDIAJOBS_S3_ACCESS_KEY_ID and MEDIAJOBS_S3_SECRET_ACCESS_KEY, or neither.")
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if access.path_style else "virtual"},
        retries={"mode": "adaptive", "total_max_attempts": access.max_attempts},
        connect_timeout=access.timeout_s,
        read_timeout=access.timeout_s,
        max_pool_connections=_CONNECTIONS,
        # Amazon's newer trailing checksums are unknown to many other S3 servers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        # A session of its own, because the SDK's default one is not safe among threads.
        client = cast(Any, boto3.session.Session()).client(
            "s3",
            region_name=access.region,
            endpoint_url=access.endpoint_url,
            aws_access_key_id=access.access_key_id,
            aws_secret_access_key=access.secret_access_key,
            config=config,
        )
    except ValueError as error:  # it quotes the address, which may hold a password
        raise SettingsError(f"{redact(str(error), access.secrets)}. Correct MEDIAJOBS_S3_ENDPOINT_URL.") from None
    return cast(S3Client, client)
