"""Opens the storage that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

from mediajobs_dagster.errors import KeyRefusedError, SettingsError
from mediajobs_dagster.storage.base import Storage
from mediajobs_dagster.storage.keys import check_key
from mediajobs_dagster.storage.local import LocalStorage
from mediajobs_dagster.storage.redaction import redact


class StorageSettings(Protocol):
    """The settings that concern storage."""

    @property
    def storage_url(self) -> str: ...
    @property
    def s3_endpoint_url(self) -> str | None: ...
    @property
    def s3_region(self) -> str: ...
    @property
    def s3_path_style(self) -> bool: ...
    @property
    def s3_access_key_id(self) -> str | None: ...
    @property
    def s3_secret_access_key(self) -> SecretStr | None: ...
    @property
    def s3_max_attempts(self) -> int: ...
    @property
    def s3_timeout_s(self) -> float: ...


def open_storage(settings: StorageSettings) -> Storage:
    """The storage at `storage_url`, `file:///folder` or `s3://bucket/prefix`. It is not contacted yet.

    Raises SettingsError when the address is neither.
    """
    address = _split(settings.storage_url)
    if address.scheme == "s3" and not {":", "@"}.isdisjoint(address.netloc):
        raise SettingsError(
            "MEDIAJOBS_STORAGE_URL holds credentials. Put them into MEDIAJOBS_S3_ACCESS_KEY_ID and "
            "MEDIAJOBS_S3_SECRET_ACCESS_KEY, and leave s3://bucket/prefix."
        )
    if address.scheme == "file" and address.netloc in ("", "localhost") and address.path.strip("/"):
        return LocalStorage(Path(unquote(address.path)))
    if address.scheme == "s3" and address.netloc and not (address.query or address.fragment):
        return _open_s3(address.netloc, address.path.strip("/"), settings)
    raise _refused(settings.storage_url)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets that do not close
        raise _refused(url) from None


def _refused(url: str) -> SettingsError:
    shown = redact(url)
    return SettingsError(f"MEDIAJOBS_STORAGE_URL is {shown!r}. Set it to file:///folder or s3://bucket/prefix.")


def _open_s3(bucket: str, folder: str, settings: StorageSettings) -> Storage:
    try:
        _ = urlsplit(settings.s3_endpoint_url or "").port
    except ValueError:  # it quotes a part of the address, which may hold a password
        raise SettingsError("MEDIAJOBS_S3_ENDPOINT_URL has a bad host or port. Use https://host:9000.") from None
    # Imported here, because importing the SDK takes time, which users of a local folder need not spend.
    from mediajobs_dagster.storage.s3 import S3Storage
    from mediajobs_dagster.storage.s3_client import S3Access

    try:
        prefix = f"{check_key(folder)}/" if folder else ""
    except KeyRefusedError as error:
        raise SettingsError(f"The prefix in MEDIAJOBS_STORAGE_URL cannot be used. {error.message}") from error
    secret = settings.s3_secret_access_key
    access = S3Access(
        region=settings.s3_region,
        endpoint_url=settings.s3_endpoint_url,
        path_style=settings.s3_path_style,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=secret.get_secret_value() if secret else None,
        max_attempts=settings.s3_max_attempts,
        timeout_s=settings.s3_timeout_s,
    )
    return S3Storage(bucket, prefix, access)
