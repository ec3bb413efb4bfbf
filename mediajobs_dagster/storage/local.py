"""Objects as files of a local folder: the embedded default."""

from __future__ import annotations

import errno
import os
import stat as modes
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

from typing_extensions import override

from mediajobs_dagster.errors import (
    KeyRefusedError,
    RequestError,
    StorageDeniedError,
    StorageError,
    StorageMissingError,
    StorageUnavailableError,
)
from mediajobs_dagster.storage.base import MiB, ObjectStat, OnBytes, Storage, Unfinished
from mediajobs_dagster.storage.trash import TRASH, Undo
from mediajobs_dagster.storage.whole_file import DISK_FULL_ERRNOS, is_partial, whole_file

_CHUNK_BYTES = 1 * MiB
_KERNEL_CHUNK_BYTES = 64 * MiB
"""Bytes copied in one call: few enough that progress shows and an interrupt is noticed soon."""
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_SUCH_FILE = frozenset({errno.ENOENT, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP})


class _Source(Protocol):
    def fileno(self) -> int: ...
    def read(self, size: int, /) -> bytes: ...


class _InputFile:
    """A file to be stored. It remembers its read error, which is not an error of this storage."""

    def __init__(self, file: BinaryIO) -> None:
        self.fault: OSError | None = None
        self._file = file

    def fileno(self) -> int:
        return self._file.fileno()

    def read(self, size: int, /) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.fault = error
            raise


class LocalStorage(Storage):
    """Each object is a file below `root`, with its key as path. Storing the first object creates `root`.

    A file is synced before it gets its name; its folder is not. So after a power cut an object may be missing, but is
    never empty or cut. Files take their modes from the umask. Content types are not kept. A folder stays when its last
    object is deleted, because another writer may be about to use it; it goes with what a dead writer left.
    """

    def __init__(self, root: Path) -> None:
        super().__init__("local")
        self.root = root.absolute()

    @property
    @override
    def url(self) -> str:
        return self.root.as_uri()

    @override
    def place(self, key: str) -> str:
        return str(self._path(key))

    @override
    def local_path(self, key: str) -> Path:
        self.stat(key)  # which checks the path
        return self.root / key

    @override
    def reader_url(self, key: str, *, expires_s: int = 3600) -> None:
        return None

    @override
    def key_of(self, url: str) -> NoReturn:
        raise RequestError(
            f"{url} cannot be reached: objects are kept in the folder {self.root}. Set MEDIAJOBS_STORAGE_URL to an "
            "s3:// address, and the MEDIAJOBS_S3_… settings, to work with objects on S3."
        )

    @override
    def at(self, url: str) -> NoReturn:
        self.key_of(url)

    @override
    def _import(self, url: str, key: str) -> NoReturn:
        self.key_of(url)

    @override
    def _head(self, key: str) -> ObjectStat:
        with self._faults("read", key):
            return _stat_of(key, self._path(key).stat())

    @override
    def _fetch(self, key: str, file: BinaryIO, moved: OnBytes, *, limit: int | None) -> ObjectStat:
        with self._faults("read", key), self._path(key).open("rb") as source:
            stat = _stat_of(key, os.fstat(source.fileno()))
            self._check_limit(stat, limit)
            _pour(source, file, moved)
        return stat

    @override
    def _read_part(self, stat: ObjectStat, start: int, size: int) -> bytes:
        with self._faults("read", stat.key), self._path(stat.key).open("rb") as source:
            if _stat_of(stat.key, os.fstat(source.fileno())) != stat:
                raise StorageUnavailableError(f"{stat.key} in {self.root} was replaced meanwhile. Try again.")
            return os.pread(source.fileno(), size, start)

    @override
    def _store(self, path: Path, key: str, content_type: str, moved: OnBytes) -> ObjectStat:
        with path.open("rb") as file:
            source = _InputFile(file)
            try:
                return self._write(source, key, moved)
            except StorageError:
                if source.fault:
                    raise source.fault from None
                raise

    @override
    def _copy(self, source_key: str, key: str) -> ObjectStat:
        with self._faults("read", source_key):
            source = self._path(source_key).open("rb")
        with source:
            return self._write(source, key, lambda _size: None)

    def _write(self, source: _Source, key: str, moved: OnBytes) -> ObjectStat:
        path = self._path(key)
        with self._faults("write", key):
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial, partial.open("xb") as file:
                _pour_in_kernel(source, file, moved)
                _pour(source, file, moved)
                file.flush()
                # The kernel's timestamps are some milliseconds coarse, but the etag has to tell two versions apart.
                now = time.time_ns()
                os.utime(file.fileno(), ns=(now, now))
                os.fsync(file.fileno())
                return _stat_of(key, os.fstat(file.fileno()))

    @override
    def _remove(self, key: str) -> None:
        path = self._path(key)
        with self._faults("remove", key):
            if path.is_file():
                path.unlink(missing_ok=True)

    @override
    def _remove_parts(self, key: str) -> None:
        with self._faults("remove", key), suppress(FileNotFoundError):
            for entry in os.scandir(self._path(key).parent):
                if is_partial(entry.name):
                    os.unlink(entry.path)

    @override
    def _remove_unfinished(self, found: Unfinished) -> None:
        path = self.root / found.key
        if not is_partial(path.name):
            raise KeyRefusedError(f"The key {found.key} is refused: its name is not that of a file being written.")
        with self._faults("remove", found.key):
            path.unlink(missing_ok=True)

    @override
    def _remove_folder(self, key: str) -> None:
        folder = self._folder_of(key)
        with suppress(OSError):  # it is not empty, or gone
            while folder != self.root:
                folder.rmdir()
                if not key.startswith(TRASH):
                    return
                folder = folder.parent

    @override
    def undo(self) -> Undo:
        return Undo.TRASH

    @override
    def _set_aside(self, key: str, trash: str) -> None:
        path, target = self._path(key), self._path(trash)
        with self._faults("remove", key), suppress(FileNotFoundError):
            if path.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)  # it keeps its time, and so its etag

    @override
    def _put_back(self, trash: str, key: str) -> bool:
        path = self._path(key)
        with self._faults("write", key):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                return False
            self._path(trash).rename(path)
            return True

    @override
    def walk(self, prefix: str = "") -> Iterator[ObjectStat | Unfinished]:
        folder = self._folder_of(prefix)
        with self._faults("list", prefix):
            yield from (found for found in self._walk(folder) if found.key.startswith(prefix))

    def _folder_of(self, prefix: str) -> Path:
        """The folder that has all objects whose keys begin with a prefix."""
        return self._path(prefix.rpartition("/")[0]) if "/" in prefix else self.root

    @override
    def _list_page(self, prefix: str, page: str) -> tuple[list[ObjectStat], None]:
        folder = self._folder_of(prefix)
        with self._faults("list", prefix):
            found = (each for each in self._walk(folder) if isinstance(each, ObjectStat))
            stats = [stat for stat in found if stat.key.startswith(prefix)]
        return sorted(stats, key=lambda stat: stat.key.encode()), None

    def _walk(self, folder: Path) -> Iterator[ObjectStat | Unfinished]:
        """The objects below `folder`, and the files that are not whole; skips links. Folders are read bit by bit."""
        entries = None
        with self._faults("list", f"{self._key_of_file(str(folder))}/"):
            try:
                entries = os.scandir(folder)
            except FileNotFoundError:  # removed meanwhile, or not made yet
                pass
            except NotADirectoryError:
                if folder == self.root:
                    raise
        if entries is None:  # removed meanwhile
            return
        with entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # removed since the folder was read
                        stat = _stat_of(self._key_of_file(entry.path), entry.stat(follow_symlinks=False))
                        yield Unfinished(stat.key, stat.modified) if is_partial(entry.name) else stat

    def _key_of_file(self, path: str) -> str:
        return Path(path).relative_to(self.root).as_posix()

    def _path(self, key: str) -> Path:
        """The object's file. `key` is checked already; links are resolved to see that they stay below the root."""
        path = self.root / key
        if is_partial(path.name):
            raise KeyRefusedError(f"The key {key} is refused: its name is that of a file being written.")
        try:
            resolved = path.resolve()
        except (OSError, RuntimeError) as error:  # a loop of links, in Python up to 3.12 a RuntimeError
            raise KeyRefusedError(f"The key {key} is refused: it leads into a loop of links in {self.root}.") from error
        if resolved != path and not resolved.is_relative_to(self.root.resolve()):
            raise KeyRefusedError(
                f"The key {key} is refused: a link leads it out of {self.root}. Mount the other folder instead of "
                "linking it."
            )
        return path

    def _file_on_the_way(self, key: str) -> Path | None:
        """The file that stands where a folder of the object has to be, if any."""
        folders = [folder for folder in self._path(key).parents if folder.is_relative_to(self.root)]
        return next((folder for folder in reversed(folders) if folder.is_file()), None)

    @property
    @override
    def is_there(self) -> bool:
        return self.root.is_dir()

    @contextmanager
    def _faults(self, verb: str, key: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in DISK_FULL_ERRNOS:
                raise  # `whole_file` knows which disk it was
            raise self._fault(verb, key, error) from error

    def _fault(self, verb: str, key: str, error: OSError) -> StorageError:
        reason = os.strerror(error.errno or 0)
        if error.errno in _DENIED:
            return StorageDeniedError(
                f"Not allowed to {verb} {key} in {self.root}: {reason}. Give this user access to the folder."
            )
        if error.errno in _NO_SUCH_FILE and verb == "write" and not self.root.is_dir():
            return StorageError(
                f"The folder {self.root} cannot be made: {reason}. Point MEDIAJOBS_HOME, or MEDIAJOBS_STORAGE_URL, at "
                "a folder that this user may write to."
            )
        if error.errno == errno.ENOTDIR and self.root.is_file():
            return StorageUnavailableError(f"{self.root} is a file, where the storage folder has to be. Put it back.")
        if error.errno in _NO_SUCH_FILE and verb == "write":
            if error.errno == errno.ENOTDIR and (blocking := self._file_on_the_way(key)):
                return StorageError(
                    f"{blocking} is a file, and {key} needs a folder there. Move it away, then retry what failed."
                )
            return KeyRefusedError(f"The folder {self.root} cannot hold an object {key}: {reason}.")
        if error.errno in _NO_SUCH_FILE:
            gone = "" if self.is_there else f" The folder {self.root} itself is not there: is its disk mounted?"
            return StorageMissingError(f"There is no object {key} in {self.root}: {reason}.{gone}")
        return StorageError(f"Could not {verb} {key} in {self.root}: {reason}. Check the disk.")


def _stat_of(key: str, status: os.stat_result) -> ObjectStat:
    if not modes.S_ISREG(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)
    return ObjectStat(
        key=key,
        bytes=status.st_size,
        etag=f"{status.st_size:x}-{status.st_mtime_ns:x}",
        modified=datetime.fromtimestamp(status.st_mtime, UTC),
    )


def _pour(source: _Source, target: BinaryIO, moved: OnBytes) -> None:
    while chunk := source.read(_CHUNK_BYTES):
        target.write(chunk)
        moved(len(chunk))


def _pour_in_kernel(source: _Source, target: BinaryIO, moved: OnBytes) -> None:
    """Let the kernel copy what it can. On Btrfs and XFS it shares the blocks instead of copying them.

    A shared block is copied when either file is written to. A hard link would not be safe: a source that is edited in
    place would change the object.
    """
    while count := _moved_in_kernel(source.fileno(), target.fileno()):
        moved(count)


def _moved_in_kernel(source: int, target: int) -> int:
    if not hasattr(os, "copy_file_range"):
        return 0  # macOS
    try:
        return os.copy_file_range(source, target, _KERNEL_CHUNK_BYTES)
    except OSError as error:
        if error.errno in DISK_FULL_ERRNOS:
            raise
        return 0  # two file systems, no such call, or a disk error: plain reading and writing tells which
