"""Moves objects to and from S3, large ones in parts. The SDK has no types, so its calls are typed here."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from botocore import exceptions as sdk  # pyright: ignore[reportMissingTypeStubs]  # the SDK has none
from s3transfer import exceptions as transfer  # pyright: ignore[reportMissingTypeStubs]  # the SDK has none
from s3transfer.manager import (  # pyright: ignore[reportMissingTypeStubs]  # the SDK has none
    TransferConfig,
    TransferManager,
)
from s3transfer.subscribers import BaseSubscriber  # pyright: ignore[reportMissingTypeStubs]  # the SDK has none

from mediajobs_dagster.storage.base import MiB, ObjectStat, OnBytes
from mediajobs_dagster.storage.s3_client import CONCURRENCY, Response, S3Client

_PART_BYTES = 8 * MiB
_COPY_PART_BYTES = 128 * MiB
"""Parts of a copy do not pass through this machine, so they may be large, but each is done within the read timeout."""
_IO_QUEUE_CHUNKS = 64
"""Chunks of 256 KiB that may wait for a slow disk: 16 MiB at the most."""


_BROKEN_OFF = (sdk.ReadTimeoutError, sdk.IncompleteReadError, sdk.ResponseStreamingError)
"""Errors in the middle of an answer; the SDK does not try again after these."""


class _Future(Protocol):
    meta: Any

    def result(self) -> None: ...
    def cancel(self) -> None: ...


class _Body(Protocol):
    def read(self) -> bytes: ...
    def close(self) -> None: ...


class _Transfers(Protocol):
    def download(self, bucket: str, key: str, fileobj: BinaryIO, *, subscribers: list[Any]) -> _Future: ...
    def upload(
        self, fileobj: str, bucket: str, key: str, *, extra_args: dict[str, str], subscribers: list[Any]
    ) -> _Future: ...
    def copy(self, copy_source: dict[str, str], bucket: str, key: str) -> _Future: ...


class _BodyClosingClient:
    """A client that can close the bodies it returned: a download that fails leaves its body open."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self._bodies: list[_Body] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    def get_object(self, **arguments: str) -> Response:
        answer = self._client.get_object(**arguments)
        self._bodies.append(answer["Body"])
        return answer

    def close_bodies(self) -> None:
        for body in self._bodies:
            body.close()


class _Progress(BaseSubscriber):  # pyright: ignore[reportUntypedBaseClass]  # the SDK has no types
    """Reports the bytes of all threads to one callback, one call at a time. Stops the transfer when it raises."""

    def __init__(self, moved: OnBytes) -> None:
        self.fault: Exception | None = None
        self._moved = moved
        self._lock = threading.Lock()

    def on_progress(self, future: _Future, bytes_transferred: int, **_: object) -> None:
        with self._lock:
            if self.fault:
                return
            try:
                self._moved(bytes_transferred)
            except Exception as error:  # noqa: BLE001 - `_result` raises it to the caller
                self.fault = error
                future.cancel()


class _Known(BaseSubscriber):  # pyright: ignore[reportUntypedBaseClass]  # the SDK has no types
    """Tells a download the size and etag of the object. This saves a request, and pins the version that is read."""

    def __init__(self, stat: ObjectStat) -> None:
        self._stat = stat

    def on_queued(self, future: _Future, **_: object) -> None:
        future.meta.provide_transfer_size(self._stat.bytes)
        future.meta.provide_object_etag(f'"{self._stat.etag}"')


def download(
    client: S3Client, bucket: str, key: str, file: BinaryIO, stat: ObjectStat, moved: OnBytes, *, attempts: int
) -> None:
    """Write the version that `stat` describes to `file`; after a broken connection, try up to `attempts` times."""
    progress = _Progress(moved)
    # Every download goes by range, because only ranged requests name the version they want (If-Match).
    with _transfers(client, _PART_BYTES, threshold=1, attempts=attempts) as transfers:
        future = transfers.download(bucket, key, file, subscribers=[_Known(stat), progress])
        _result(future, progress)


def read_part(
    client: S3Client, bucket: str, key: str, stat: ObjectStat, start: int, size: int, *, attempts: int
) -> bytes:
    """`size` bytes from `start` on of the version that `stat` describes.

    After a broken connection, tries up to `attempts` times.
    """
    where = {"Bucket": bucket, "Key": key, "IfMatch": f'"{stat.etag}"', "Range": f"bytes={start}-{start + size - 1}"}
    while True:
        attempts -= 1
        answer = client.get_object(**where)
        with closing(cast(_Body, answer["Body"])) as body:
            # Some servers ignore If-Match, and one that ignores Range would send everything.
            if answer["ETag"].strip('"') != stat.etag or answer["ContentLength"] != size:
                raise transfer.S3DownloadFailedError(f"{key} was replaced.")
            try:
                return body.read()
            except _BROKEN_OFF:
                if attempts <= 0:
                    raise


def upload(client: S3Client, path: Path, bucket: str, key: str, content_type: str, moved: OnBytes) -> None:
    """Store the file under `key`; the parts of an upload that failed are removed from the server."""
    progress = _Progress(moved)
    with _transfers(client, _PART_BYTES, threshold=2 * _PART_BYTES) as transfers:
        extra = {"ContentType": content_type}
        future = transfers.upload(str(path), bucket, key, extra_args=extra, subscribers=[progress])
        _result(future, progress)


def copy_object(client: S3Client, source_bucket: str, source_key: str, bucket: str, key: str) -> None:
    """Have the server copy an object, content type and all."""
    with _transfers(client, _COPY_PART_BYTES, threshold=2 * _COPY_PART_BYTES) as transfers:
        transfers.copy({"Bucket": source_bucket, "Key": source_key}, bucket, key).result()


@contextmanager
def _transfers(client: S3Client, part_bytes: int, *, threshold: int, attempts: int = 1) -> Generator[_Transfers]:
    config = TransferConfig(
        multipart_threshold=threshold,
        multipart_chunksize=part_bytes,
        max_request_concurrency=CONCURRENCY,
        max_submission_concurrency=1,
        max_io_queue_size=_IO_QUEUE_CHUNKS,
        num_download_attempts=attempts,
    )
    bodies = _BodyClosingClient(client)
    try:
        with TransferManager(bodies, config) as manager:
            yield cast(_Transfers, manager)
    finally:
        bodies.close_bodies()


def _result(future: _Future, progress: _Progress) -> None:
    try:
        future.result()
    except transfer.CancelledError:
        if progress.fault is None:
            raise
    if progress.fault:
        raise progress.fault
