"""Which uploads are being stored right now, on disk, so that a killed process leaves no object that nobody knows."""

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
    """The folder for the journals of intakes into this history and this storage.

    Those into another history are kept apart: here, nobody could tell which of their uploads are registered.
    """
    place = hashlib.sha256(f"{settings.database_url}\n{settings.storage_url}".encode()).hexdigest()
    return settings.home / "intake" / place[:16]


class Journal:
    """The ids of uploads that are being stored and are not registered yet. Safe to use from any thread.

    It is a file with an id a line, held by a lock that the kernel drops when the process ends, however it ends.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._lock = Lock()
        self._open: set[str] = set()

    @classmethod
    @contextmanager
    def keep(cls, folder: Path) -> Generator[Journal]:
        """A new journal in `folder`, which is made if need be. Raises SettingsError.

        At the end it is removed, unless some uploads are still open: then `sweep` settles them.
        """
        path = folder / f"{new_id()}{_SUFFIX}"
        unborn = path.with_name(f".{path.name}")  # no sweeper looks at it before it is locked
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(unborn, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(
                f"{folder} cannot be written to: {error.strerror}. Point MEDIAJOBS_HOME at a folder that this user may "
                "write to."
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            unborn.rename(path)
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
        """The upload is registered, or nothing of it is stored."""
        with self._lock:
            self._open.discard(upload_id)


def sweep(folder: Path, history: History, storage: Storage) -> int:
    """Remove what the writers of journals stored and, being killed, never registered; returns how many uploads.

    Where the storage does not let it, the journal stays for the next time.
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
            ids = path.read_text().split("\n")[:-1]  # what follows the last line's end was cut off: it had not begun
            for upload_id in sorted(set(ids) - history.uploads.existing(ids)):
                storage.abandon(upload_source_key(upload_id))
                swept += 1
            path.unlink(missing_ok=True)
        except BlockingIOError:
            pass  # its writer lives
        except StorageError as error:
            _log.warning("An upload that was never finished could not be removed yet. %s", error)
        finally:
            os.close(file)
    return swept
