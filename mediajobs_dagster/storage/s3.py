"""Objects in a bucket of Amazon S3 or of another server that speaks its protocol."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from typing_extensions import override

from mediajobs_dagster.errors import RequestError, StorageDeniedError, StorageError, StorageMissingError
from mediajobs_dagster.storage import s3_transfer
from mediajobs_dagster.storage.base import ObjectStat, OnBytes, Storage, Unfinished
from mediajobs_dagster.storage.keys import check_key
from mediajobs_dagster.storage.redaction import redact
from mediajobs_dagster.storage.s3_client import ClientPerProcess, Response, S3Access, make_client
from mediajobs_dagster.storage.s3_errors import SDK_ERRORS, storage_error
from mediajobs_dagster.storage.trash import Undo

_SCHEME = "s3://"


class S3Storage(Storage):
    """Each object has the S3 key `prefix` + its own key. May be opened before a fork, and used by several threads."""

    def __init__(self, bucket: str, prefix: str, access: S3Access) -> None:
        """`prefix` is empty or ends with a slash."""
        super().__init__(bucket)
        self._prefix = prefix
        self._access = access
        self._client = ClientPerProcess(partial(make_client, access))

    @property
    @override
    def url(self) -> str:
        return f"{_SCHEME}{self.bucket}/{self._prefix}"

    @override
    def local_path(self, key: str) -> None:
        return None

    @override
    def reader_url(self, key: str, *, expires_s: int = 3600) -> str:
        where = {"Bucket": self.bucket, "Key": self._prefix + check_key(key)}
        with self._faults(f"sign an address for {self.url}{key}"):
            return self._client().generate_presigned_url("get_object", Params=where, ExpiresIn=expires_s)

    @override
    def key_of(self, url: str) -> str | None:
        return check_key(url.removeprefix(self.url)) if url.startswith(self.url) and url != self.url else None

    @override
    def at(self, url: str) -> S3Storage:
        bucket, slash, prefix = _split(url)
        if not (url.startswith(_SCHEME) and bucket and slash) or (prefix and not prefix.endswith("/")):
            raise RequestError(f"{url} is not the address of a folder in a bucket. Give it as s3://bucket/prefix/.")
        return S3Storage(bucket, prefix, self._access)

    @override
    def _import(self, url: str, key: str) -> ObjectStat:
        bucket, slash, source_key = _split(url)
        if not (url.startswith(_SCHEME) and bucket and slash and source_key):
            raise RequestError(f"{url} is not the address of an object. Give it as s3://bucket/key.")
        return self._copy_from(bucket, source_key, key)

    @override
    def _copy(self, source_key: str, key: str) -> ObjectStat:
        return self._copy_from(self.bucket, self._prefix + source_key, key)

    def _copy_from(self, bucket: str, source_key: str, key: str) -> ObjectStat:
        with self._faults(f"copy {_SCHEME}{bucket}/{source_key} to {self.url}{key}"):
            s3_transfer.copy_object(self._client(), bucket, source_key, self.bucket, self._prefix + key)
        return self._head(key)

    @override
    def _head(self, key: str) -> ObjectStat:
        with self._faults(f"read {self.url}{key}"):
            answer = self._client().head_object(Bucket=self.bucket, Key=self._prefix + key)
        return _stat_of(key, answer["ContentLength"], answer)

    @override
    def _fetch(self, key: str, file: BinaryIO, moved: OnBytes, *, limit: int | None) -> ObjectStat:
        stat = self._head(key)
        self._check_limit(stat, limit)
        with self._faults(f"read {self.url}{key}"):
            s3_transfer.download(
                self._client(), self.bucket, self._prefix + key, file, stat, moved, attempts=self._access.max_attempts
            )
        return stat

    @override
    def _read_part(self, stat: ObjectStat, start: int, size: int) -> bytes:
        with self._faults(f"read {self.url}{stat.key}"):
            return s3_transfer.read_part(
                self._client(),
                self.bucket,
                self._prefix + stat.key,
                stat,
                start,
                size,
                attempts=self._access.max_attempts,
            )

    @override
    def _store(self, path: Path, key: str, content_type: str, moved: OnBytes) -> ObjectStat:
        size = path.stat().st_size
        with self._faults(f"write {self.url}{key}"):
            s3_transfer.upload(self._client(), path, self.bucket, self._prefix + key, content_type, moved)
        stat = self._head(key)
        self._check_size(stat, size)
        return stat

    @override
    def _list_page(self, prefix: str, page: str) -> tuple[list[ObjectStat], str | None]:
        where = {"ContinuationToken": page} if page else {}
        with self._faults(f"list {self.url}{prefix}"):
            answer = self._client().list_objects_v2(Bucket=self.bucket, Prefix=self._prefix + prefix, **where)
        found = cast(list[Response], answer.get("Contents", []))
        stats = [_stat_of(item["Key"].removeprefix(self._prefix), item["Size"], item) for item in found]
        # Other tools mark folders with empty objects whose keys end with a slash. Keys of mediajobs never do.
        stats = [stat for stat in stats if stat.key and not stat.key.endswith("/")]
        return stats, cast(str, answer["NextContinuationToken"]) if answer.get("IsTruncated") else None

    @override
    def _remove(self, key: str) -> None:
        with self._faults(f"delete {self.url}{key}"):
            self._client().delete_object(Bucket=self.bucket, Key=self._prefix + key)

    @override
    def _remove_parts(self, key: str) -> None:
        for found in self._unfinished(key):
            if found.key == key:
                self._remove_unfinished(found)

    @override
    def _remove_unfinished(self, found: Unfinished) -> None:
        where = {"Bucket": self.bucket, "Key": self._prefix + found.key}
        with suppress(StorageMissingError), self._faults(f"delete the parts of {self.url}{found.key}"):
            self._client().abort_multipart_upload(**where, UploadId=found.handle)

    def _unfinished(self, prefix: str) -> Iterator[Unfinished]:
        page: dict[str, str] | None = {}
        while page is not None:
            # A server without multipart uploads, or one that forbids listing them, has its own rule for when parts go.
            try:
                with self._faults(f"list the unfinished parts of {self.url}{prefix}"):
                    answer = self._client().list_multipart_uploads(
                        Bucket=self.bucket, Prefix=self._prefix + prefix, **page
                    )
            except (StorageMissingError, StorageDeniedError):
                return
            for upload in cast(list[Response], answer.get("Uploads", [])):
                since = cast(datetime, upload["Initiated"]).astimezone(UTC)
                yield Unfinished(upload["Key"].removeprefix(self._prefix), since, upload["UploadId"])
            page = None
            if answer.get("IsTruncated"):
                page = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    @override
    def _remove_folder(self, key: str) -> None:
        """There are no folders."""

    @override
    def undo(self) -> Undo:
        try:
            with self._faults(f"ask whether {self.url} keeps versions"):
                answer = self._client().get_bucket_versioning(Bucket=self.bucket)
        except StorageError:  # not every server knows the question, and not every key may ask it
            return Undo.UNKNOWN
        return Undo.VERSIONS if answer.get("Status") == "Enabled" else Undo.NEVER

    @override
    def walk(self, prefix: str = "") -> Iterator[ObjectStat | Unfinished]:
        yield from self.list(prefix)
        yield from self._unfinished(prefix)

    @contextmanager
    def _faults(self, doing: str) -> Generator[None]:
        try:
            yield
        except SDK_ERRORS as error:
            raise storage_error(error, doing, self._access.secrets) from error


def _split(url: str) -> tuple[str, str, str]:
    """Bucket, slash and key. Raises RequestError for an address that holds credentials."""
    bucket, slash, key = url.removeprefix(_SCHEME).partition("/")
    if url.startswith(_SCHEME) and not {":", "@"}.isdisjoint(
        bucket
    ):  # no bucket has such a name; a secret key may have a slash in it
        raise RequestError(
            f"{redact(url)} holds credentials. Set MEDIAJOBS_S3_ACCESS_KEY_ID and MEDIAJOBS_S3_SECRET_ACCESS_KEY, and "
            "give s3://bucket/key."
        )
    return bucket, slash, key


def _stat_of(key: str, size: int, answer: dict[str, Any]) -> ObjectStat:
    # A header has whole seconds, a listing may have fractions: the same object must always show the same time.
    modified = cast(datetime, answer["LastModified"]).astimezone(UTC).replace(microsecond=0)
    return ObjectStat(key=key, bytes=size, etag=cast(str, answer["ETag"]).strip('"'), modified=modified)
