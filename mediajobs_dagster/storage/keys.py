"""The keys of objects. They are built from ids, never from the names that users give their files."""

from __future__ import annotations

import re
import unicodedata

from mediajobs_dagster.errors import KeyRefusedError

_MAX_KEY_BYTES = 1024
"""Amazon S3's own limit."""
_SHOWN_CHARS = 80
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_key(key: str) -> str:
    """Return `key` if an object may have it. The rule is the same for every storage.

    A key is relative and has 1 to 1024 bytes of UTF-8, in segments separated by `/`. No segment is empty, `.` or `..`,
    and there is no backslash and no control character. Raises KeyRefusedError.
    """
    fault = _fault_of(key)
    if fault:
        raise KeyRefusedError(f"The key {key[:_SHOWN_CHARS]!a} is refused: it {fault}. Build keys from ids.")
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` if keys can begin with it: it is empty, or a key, with or without a `/` at its end.

    Raises KeyRefusedError.
    """
    if prefix:
        check_key(prefix.removesuffix("/"))
    return prefix


def upload_source_key(upload_id: str) -> str:
    """The key of an upload's media file. Raises KeyRefusedError when `upload_id` is not an id."""
    if not _ID.fullmatch(upload_id):
        raise KeyRefusedError(f"{upload_id[:_SHOWN_CHARS]!a} is not an id, so no key is built from it.")
    return f"uploads/{upload_id}/source"


def _fault_of(key: str) -> str | None:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if not key:
        return "is empty"
    if size > _MAX_KEY_BYTES:
        return f"has {size} bytes, more than {_MAX_KEY_BYTES}"
    if "\\" in key or any(unicodedata.category(char) == "Cc" for char in key):
        return "has a backslash or a control character"
    if any(segment in ("", ".", "..") for segment in key.split("/")):
        return "is absolute, or has an empty segment, `.` or `..`"
    return None
