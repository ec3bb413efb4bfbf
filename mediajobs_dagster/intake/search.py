"""Searches for media files: in folders, and among the objects of a bucket."""

from __future__ import annotations

import os
import re
import stat as modes
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from mediajobs_dagster.errors import KeyRefusedError, RequestError
from mediajobs_dagster.intake.candidates import Candidate, FileCandidate, ObjectCandidate, Skipped, shown, unreadable
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.storage import ObjectStat, Storage, upload_source_key
from mediajobs_dagster.storage.redaction import redact_address

_SCHEME = "s3://"
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(https?):/")

Find = Candidate | Skipped


@dataclass(frozen=True)
class Search:
    """Finds the files that may be added. Only a probe can tell whether a file is media."""

    storage: Storage
    job_types: tuple[JobType, ...] = ()
    """The outputs of these job types are not added again."""
    off_limits: tuple[Path, ...] = ()
    """Folders of our own files."""
    include: tuple[str, ...] = ()
    """Shell patterns of file names or of paths below the folder; empty: all."""
    exclude: tuple[str, ...] = ()
    """Shell patterns of files and folders to leave out; they are not reported as skipped."""
    follow: bool = False
    """Whether links are followed that lead out of the folder that was asked for."""

    def find(self, locations: Iterable[str]) -> Iterator[Find]:
        """Find the files at `locations`: files, folders, `s3://` addresses, and those ending with `/` (all below them).

        A file that is reached in several ways is found once. If a location does not exist, RequestError or StorageError
        is raised before the first file is returned.
        """
        started = [self._start(location) for location in locations]
        return _each_once(find for finds in started for find in finds)

    def file(self, location: str) -> Candidate:
        """The one file at `location`. Raises RequestError when there is none, and StorageError."""
        if is_folder(location):
            raise RequestError(f"{location} is not a file. Give the path of a media file, or an s3:// address.")
        [found] = self.find([location])
        assert isinstance(found, Candidate)  # only a folder has other entries
        return found

    def origin_of(self, location: str) -> str:
        """The origin of the one file at `location`, which identifies its content. Raises as `file`."""
        return self.file(location).origin

    def _start(self, location: str) -> Iterator[Find]:
        if location.startswith(_SCHEME):
            return self._objects(location) if is_folder(location) else iter([self._object(location)])
        if scheme := _ADDRESS.match(location):
            kind = scheme[1] or scheme[2]
            raise RequestError(
                f"{redact_address(location)} cannot be added: {kind} addresses are not supported here. Download it, "
                "and give the path of the file, or give an s3:// address."
            )
        path = Path(location)
        try:
            path = path.expanduser()
            status = path.stat()
        except (ValueError, RuntimeError) as error:  # a zero character, or the home of an unknown user
            raise RequestError(f"{location!a} is not a path that this machine can use: {error}.") from error
        except OSError as error:
            raise RequestError(
                f"{shown(path)} does not exist or cannot be reached ({error.strerror}). Give the path of a media file "
                "or of a folder, or an s3:// address."
            ) from error
        if modes.S_ISDIR(status.st_mode):
            return self._files(path)
        if not modes.S_ISREG(status.st_mode):
            raise RequestError(f"{shown(path)} is neither a file nor a folder. Give the path of a media file.")
        return iter([FileCandidate(path, status)])

    # --- files -------------------------------------------------------------------------------------------------------

    def _files(self, top: Path) -> Iterator[Find]:
        off_limits = {folder.resolve() for folder in self.off_limits}
        inside = None if self.follow else top.resolve()
        seen: set[tuple[int, int]] = set()
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                status, entries = folder.stat(), sorted(os.listdir(folder))
            except OSError as error:
                yield _unreadable(folder, error)
                continue
            # Each folder is visited once, so a loop of links ends.
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            if off_limits and not off_limits.isdisjoint((resolved := folder.resolve(), *resolved.parents)):
                yield Skipped(shown(folder), "OURS", "mediajobs keeps its own files in this folder.")
                continue
            below: list[Path] = []
            for name in entries:
                find = self._entry(folder / name, top, inside)
                if isinstance(find, Path):
                    below.append(find)
                elif find:
                    yield find
            folders += reversed(below)

    def _entry(self, path: Path, top: Path, inside: Path | None) -> Find | Path | None:
        """What is at `path`: a candidate, a skipped file, a folder (its path), or None if the patterns leave it out.

        A link that leads out of `inside` is skipped.
        """
        below = str(path.relative_to(top))
        if _fits(below, self.exclude):
            return None
        if path.name.startswith("."):
            return _hidden(shown(path))
        try:
            status = path.stat()
            leads_out = inside is not None and path.is_symlink() and not path.resolve().is_relative_to(inside)
        except OSError as error:
            return _unreadable(path, error)
        if leads_out:
            return Skipped(shown(path), "LINK", "It is a link that leads out of the folder. --follow follows it.")
        if modes.S_ISDIR(status.st_mode):
            return path
        if not self._is_included(below):
            return None
        if not modes.S_ISREG(status.st_mode):
            return Skipped(shown(path), "NOT_A_FILE", "It is a pipe, a socket or a device.")
        return FileCandidate(path, status)

    # --- objects -----------------------------------------------------------------------------------------------------

    def _object(self, url: str) -> Candidate:
        if "/" not in url.removeprefix(_SCHEME):
            raise RequestError(f"{url} names no object. Give s3://bucket/key, or {url}/ for everything in it.")
        folder, slash, name = url.rpartition("/")
        place = self.storage.at(folder + slash)
        return ObjectCandidate(place, place.stat(name), self.storage.key_of(url))

    def _objects(self, url: str) -> Iterator[Find]:
        place = self.storage.at(url)
        return (find for stat in place.list("") if (find := self._listed(place, stat)))

    def _listed(self, place: Storage, stat: ObjectStat) -> Find | None:
        url = place.url + stat.key
        parts = stat.key.split("/")
        if any(_fits("/".join(parts[:length]), self.exclude) for length in range(1, len(parts) + 1)):
            return None
        if any(part.startswith(".") for part in parts):
            return _hidden(url)
        if not self._is_included(stat.key):
            return None
        try:
            key = self.storage.key_of(url)
        except KeyRefusedError as error:
            return Skipped(url, error.code, error.message)
        if key and is_made_here(key, self.job_types):
            return Skipped(url, "OURS", "mediajobs made it.")
        return ObjectCandidate(place, stat, key)

    def _is_included(self, below: str) -> bool:
        return not self.include or _fits(below, self.include)


def _fits(below: str, patterns: tuple[str, ...]) -> bool:
    """Whether the name or the path of a file or folder matches a pattern; `below` is relative to the location."""
    return any(fnmatchcase(text, pattern) for pattern in patterns for text in (below.rpartition("/")[2], below))


def is_made_here(key: str, job_types: Iterable[JobType]) -> bool:
    """Whether the object with this key in our storage is an output, or the copy of an upload: never a new upload."""
    if any(job_type.has_made(key) for job_type in job_types):
        return True
    for part in key.split("/"):
        with suppress(KeyRefusedError):  # this part is not an id
            if key == upload_source_key(part):
                return True
    return False


def is_folder(location: str) -> bool:
    """Whether `location` means everything below it."""
    return location.endswith("/") if location.startswith(_SCHEME) else os.path.isdir(os.path.expanduser(location))


def _each_once(finds: Iterable[Find]) -> Iterator[Find]:
    origins: set[str] = set()
    for find in finds:
        if isinstance(find, Candidate):
            if find.origin in origins:
                continue
            origins.add(find.origin)
        yield find


def _hidden(location: str) -> Skipped:
    return Skipped(location, "HIDDEN", "Its name begins with a dot.")


def _unreadable(path: Path, error: OSError) -> Skipped:
    fault = unreadable(path, error)
    return Skipped(shown(path), fault.code, fault.message)
