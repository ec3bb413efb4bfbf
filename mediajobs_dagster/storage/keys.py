"""The keys of objects. They are built from ids, never from the names that users give their files."""

from __future__ import annotations

import re

from mediajobs_dagster.errors import KeyRefusedError

CHECKPOINTS = "checkpoints/"
"""Where results lie that attempts go on from."""
_MAX_KEY_BYTES = 1024
"""Amazon S3's own limit."""
_SHOWN_CHARS = 80
_REFUSED = re.compile(r"[\\\x00-\x1f\x7f-\x9f]")
"""A backslash, or a character of the category `Cc`."""
_NO_NAMES = frozenset({"", ".", ".."})
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


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


def checkpoint_key(job_type: str, subject_id: str, fingerprint: str) -> str:
    """The key of a result that attempts at jobs of one type on one subject share. Raises KeyRefusedError."""
    if fault := next((part for part in (job_type, subject_id, fingerprint) if not _ID.fullmatch(part)), None):
        raise KeyRefusedError(f"{fault[:_SHOWN_CHARS]!a} is not an id, so no key is built from it.")
    return f"{CHECKPOINTS}{job_type}/{subject_id}/{fingerprint}.json"


def attempt_key(key: str, attempt_id: str) -> str:
    """The key under which one attempt publishes what belongs under `key`: its id comes before the file name.

    No other attempt writes there. A key that has the id in that place already stays as it is.
    """
    folder, slash, name = key.rpartition("/")
    return key if attempt_of(key) == attempt_id else f"{folder}{slash}{attempt_id}/{name}"


def attempt_of(key: str) -> str | None:
    """The id before the file name in `key`: that of the attempt that wrote it, if there is such an attempt."""
    owner = key.rpartition("/")[0].rpartition("/")[2]
    return owner if _UUID.fullmatch(owner) else None


def without_attempt(key: str) -> str:
    """`key` without the id before the file name: `attempt_key` backwards. A key without one stays as it is."""
    folder, _, name = key.rpartition("/")
    owner = attempt_of(key)
    return key if owner is None else f"{folder.removesuffix(owner)}{name}"


def _fault_of(key: str) -> str | None:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if not key:
        return "is empty"
    if size > _MAX_KEY_BYTES:
        return f"has {size} bytes, more than {_MAX_KEY_BYTES}"
    if _REFUSED.search(key):
        return "has a backslash or a control character"
    if not _NO_NAMES.isdisjoint(key.split("/")):
        return "is absolute, or has an empty segment, `.` or `..`"
    return None
