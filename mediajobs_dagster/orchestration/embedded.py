"""Dagster's own storage in the embedded setup: everything below MEDIAJOBS_HOME, whatever the working folder is.

`dagster.yaml` names these classes, so it needs no paths.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster
import sqlalchemy as sa
from dagster import DagsterInstance
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from typing_extensions import override

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.orchestration.folders import remove_if_empty
from mediajobs_dagster.orchestration.internals.core import ConfigurableClass, ConfigurableClassData
from mediajobs_dagster.orchestration.internals.storage import (
    IO_TYPE_EXTENSION,
    CapturedLogContext,
    ComputeIOType,
    ConsolidatedSqliteEventLogStorage,
    DagsterStorage,
    LocalArtifactStorage,
    LocalComputeLogManager,
    SqliteRunStorage,
    SqliteScheduleStorage,
    create_db_conn_string,
    redirect_to_file,  # pyright: ignore[reportUnknownVariableType]  # it is typed in part
)
from mediajobs_dagster.orchestration.kept_events import KeptEvents
from mediajobs_dagster.orchestration.packed_text import pack_texts
from mediajobs_dagster.settings import Settings

_RUNS, _EVENTS, _SCHEDULES = "history", "events", "schedules"

_BUSY_TIMEOUT_S = 20
"""How long to wait for a lock, seconds; Dagster's 5 s for runs and schedules are too short on a busy machine."""


_LARGEST_REWRITE = 256 << 20
"""The largest file that is rewritten, bytes: nobody can write meanwhile, and it takes a second or two."""
_WORTH_IT = 0.1


def dagster_folder(settings: Settings) -> Path:
    """The folder of Dagster's own data; created if it does not exist. Raises SettingsError when it cannot be."""
    folder = settings.home / "dagster"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"The folder {folder} cannot be made: {error.strerror}. Point MEDIAJOBS_HOME at a folder that this user "
            "may write to."
        ) from error
    return folder


class _Embedded(ConfigurableClass):
    """A part of a Dagster instance without configuration: MEDIAJOBS_HOME is all it needs."""

    _data: ConfigurableClassData | None = None

    @property
    @override
    def inst_data(self) -> ConfigurableClassData | None:
        return self._data

    @classmethod
    @override
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    @override
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Any:
        made = cls()
        made._data = inst_data
        return made


class _OneEngine:
    """A SQLite storage that keeps its engine and its connections, and packs what it stores.

    Dagster's own storages make an engine for every statement: each statement is compiled again, and closing the last
    connection to a file checkpoints its whole write-ahead log.
    """

    _conn_string: str

    @cached_property
    def engine(self) -> sa.Engine:
        """The engine. The first statement opens it, in the process that needs it: it must not be shared by a fork."""
        engine = sa.create_engine(self._conn_string, connect_args={"timeout": _BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _without_waiting_for_the_disk)
        pack_texts(engine)
        return engine

    @contextmanager
    def connect(self) -> Generator[sa.Connection]:
        """A connection within a transaction."""
        with self.engine.begin() as connection:
            yield connection

    def give_back(self) -> None:
        """Rewrite the file without its free pages, unless they are few or the file is large."""
        with self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            free, pages, size = (
                driver.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count", "page_size")
            )
            if free > _WORTH_IT * pages and pages * size <= _LARGEST_REWRITE:
                driver.execute("VACUUM")

    def dispose(self) -> None:
        """Close the connections."""
        self.engine.dispose()


def _without_waiting_for_the_disk(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # With a write-ahead log, a crash of the machine can lose the latest events, but corrupts nothing.
    connection.cursor().execute("PRAGMA synchronous = NORMAL")


class _Runs(_OneEngine, SqliteRunStorage):
    pass


class _Schedules(_OneEngine, SqliteScheduleStorage):
    pass


class _Events(KeptEvents, _OneEngine, ConsolidatedSqliteEventLogStorage):
    @contextmanager
    @override
    def _connect(self) -> Generator[sa.Connection]:
        with self.connect() as connection:
            yield connection


class EmbeddedStorage(_Embedded, DagsterStorage[DagsterInstance]):
    """Runs, events, and schedule state in SQLite.

    The events of all runs share one file. By default Dagster has one file per run, each with a schema to create, which
    costs more than a small media job.
    """

    def __init__(self) -> None:
        folder = dagster_folder(Settings.load())
        _set_up(folder)
        self._runs = _Runs(create_db_conn_string(str(folder / _RUNS), "runs"))
        self._events = _Events(str(folder / _EVENTS))
        self._schedules = _Schedules(create_db_conn_string(str(folder / _SCHEDULES), "schedules"))

    @property
    @override
    def run_storage(self) -> SqliteRunStorage:
        return self._runs

    @property
    @override
    def event_log_storage(self) -> ConsolidatedSqliteEventLogStorage:
        return self._events

    @property
    @override
    def schedule_storage(self) -> SqliteScheduleStorage:
        return self._schedules

    @override
    def register_instance(self, instance: DagsterInstance) -> None:
        super().register_instance(instance)
        for storage in (self._runs, self._events, self._schedules):
            if not storage.has_instance:
                storage.register_instance(instance)

    def dispose(self) -> None:
        """Close the files."""
        for storage in (self._runs, self._events, self._schedules):
            storage.dispose()


def _set_up(folder: Path) -> None:
    """Let Dagster create or migrate its databases. Done once for each of its versions, because it takes 0.1 s."""
    done = folder / f".set-up-by-dagster-{dagster.__version__}"
    files = (folder / _RUNS / "runs.db", folder / _EVENTS / "event_log.db", folder / _SCHEDULES / "schedules.db")
    if done.exists() and all(file.exists() for file in files):
        return
    with (folder / ".set-up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes must not create the same tables at once
        _make_databases(folder)
        done.touch()


def _make_databases(folder: Path) -> None:
    SqliteRunStorage.from_local(str(folder / _RUNS))
    ConsolidatedSqliteEventLogStorage(str(folder / _EVENTS))
    SqliteScheduleStorage.from_local(str(folder / _SCHEDULES))


class EmbeddedComputeLogs(_Embedded, LocalComputeLogManager):
    """What runs print, in files. A run that prints nothing leaves none.

    Dagster's own class repeats it on the terminal, with four helper processes per step: more CPU than a small job.
    """

    def __init__(self) -> None:
        LocalComputeLogManager.__init__(self, str(dagster_folder(Settings.load()) / "logs"))

    @contextmanager
    @override
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Send what is printed inside the block to the files of `log_key`."""
        paths = self._paths(log_key)
        try:
            with ExitStack() as redirected:
                for path, stream in zip(paths, (sys.stdout, sys.stderr), strict=True):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    redirected.enter_context(redirect_to_file(stream, str(path)))
                yield CapturedLogContext(log_key)
        finally:
            if _without_empty(paths):
                # It tells Dagster's UI that no more will come.
                Path(self.complete_artifact_path(log_key)).touch()  # pyright: ignore[reportUnknownMemberType]  # not typed

    @override
    def is_capture_complete(self, log_key: Sequence[str]) -> bool:
        """Whether no more will come. Without a file nothing was printed: they are there while a run goes on."""
        return super().is_capture_complete(log_key) or not any(path.exists() for path in self._paths(log_key))

    def _paths(self, log_key: Sequence[str]) -> list[Path]:
        """The files of standard output and standard error."""
        kinds = (ComputeIOType.STDOUT, ComputeIOType.STDERR)
        return [Path(self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind])) for kind in kinds]


def _without_empty(paths: Sequence[Path]) -> bool:
    """Remove the empty ones of a run's files, and the run's folders if none is left. Returns whether one is left."""
    written = [path for path in paths if path.exists() and path.stat().st_size > 0]
    for path in paths:
        if path not in written:
            path.unlink(missing_ok=True)
    if not written:
        remove_if_empty(paths[0].parent, paths[0].parent.parent)
    return bool(written)


class EmbeddedArtifacts(_Embedded, LocalArtifactStorage):
    """The artifacts that Dagster keeps in files."""

    def __init__(self) -> None:
        LocalArtifactStorage.__init__(self, str(dagster_folder(Settings.load()) / "artifacts"))


def give_back(instance: DagsterInstance) -> None:
    """Give room that removed rows left in the embedded files back to the system, where it is much and quickly done."""
    for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
        if isinstance(storage, _OneEngine):
            storage.give_back()
