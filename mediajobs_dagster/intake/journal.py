"""A journal on disk of the uploads that are being stored, so that objects of a killed process can be removed."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from mediajobs_dagster.errors import SettingsError, StorageError
from mediajobs_dagster.history import History
from mediajobs_dagster.models import new_id
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, upload_source_key

_log = logging.getLogger(__name__)

_SUFFIX = ".uploads"


def journals_of(settings: Settings) -> Path:
    """The folder for the journals of this history and this storage.

    Each history has its own folder, because only that history knows which of the uploads are registered.
    """
    place = hashlib.sha256(f"{settings.database_url}\n{settings.storage_url}".encode()).hexdigest()
    return settings.home / "intake" / place[:16]


class Journal:
    """The ids of uploads that are being stored and are not registered yet. Threads may share it.

    It is a file with one id per line. The kernel releases its lock when the process ends, however it ends.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._lock = Lock()
        self._open: set[str] = set()

    @classmethod
    @contextmanager
    def keep(cls, folder: Path) -> Generator[Journal]:
        """A new journal in `folder`, which is created if it does not exist. Raises SettingsError.

        At the end it is removed, unless some uploads are not settled; then `sweep` settles them later.
        """
        path = folder / f"{new_id()}{_SUFFIX}"
        unlocked = path.with_name(f".{path.name}")  # `sweep` ignores this name until the file is locked
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(unlocked, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(
                f"{folder} cannot be written to: {error.strerror}. Point MEDIAJOBS_HOME at a folder that this user may "
                "write to."
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            unlocked.rename(path)
            journal = cls(file)
            yield journal
            if not journal._open:
                path.unlink(missing_ok=True)
        finally:
            os.close(file)

    def begin(self, upload_id: str) -> None:
        """Note an upload before the first byte of it is stored."""
        with self._lock:
            os.write(self._file, f"{upload_id}\n".encode())
            self._open.add(upload_id)

    def settle(self, upload_id: str) -> None:
        """Note that the upload is registered, or that nothing of it is stored."""
        with self._lock:
            self._open.discard(upload_id)


def sweep(folder: Path, history: History, storage: Storage) -> int:
    """Remove the objects that killed processes stored but did not register; returns how many uploads.

    If an object cannot be removed, the journal stays for the next sweep.
    """
    swept = 0
    for path in folder.glob(f"*{_SUFFIX}"):
        if path.name.startswith("."):
            continue
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # its writer has just removed it, or it is another user's
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ids = path.read_text().split("\n")[:-1]  # an unfinished last line is an upload that had not begun
            for upload_id in sorted(set(ids) - history.uploads.existing(ids)):
                storage.abandon(upload_source_key(upload_id))
                swept += 1
            path.unlink(missing_ok=True)
        except BlockingIOError:
            pass  # its writer is alive
        except StorageError as error:
            _log.warning("An unfinished upload could not be removed; the next sweep tries again. %s", error)
        finally:
            os.close(file)
    return swept
