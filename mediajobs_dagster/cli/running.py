"""What a running `mediajobs up` on the same home works with, as far as other processes can tell."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from mediajobs_dagster.supervisor.exclusive import used_with
from mediajobs_dagster.system import MediaJobs

_LOOK_S = 2.0
"""How often `up` looks whether its database file is the one that it began with, seconds."""
_GONE = (
    "The database file {file} was removed or replaced while mediajobs is up, which still works with the one of before: "
    "it does not see what is added now. Stop mediajobs up, put the file back, and start it again."
)


def file_mark(file: Path | None) -> str:
    """Tells a file from any other that gets its name later; empty if there is none."""
    try:
        status = file.stat() if file else None
    except OSError:
        return ""
    return f"{status.st_dev}:{status.st_ino}" if status else ""


def database_fault(media: MediaJobs) -> str | None:
    """In a sentence, that a running `up` works with another database file than this process; None if all is well."""
    file = media.history.file
    used = used_with(media.settings.home)
    return _GONE.format(file=file) if file and used and used != file_mark(file) else None


@contextmanager
def watching_database(file: Path | None, say: Callable[[str], None]) -> Generator[None]:
    """While the block runs, `say` once that the file is not the one of the beginning any more."""
    mark, stop = file_mark(file), threading.Event()

    def watch() -> None:
        while not stop.wait(_LOOK_S):
            if file_mark(file) != mark:
                say(_GONE.format(file=file))
                return

    if mark:
        threading.Thread(target=watch, name="database-watch", daemon=True).start()
    try:
        yield
    finally:
        stop.set()
