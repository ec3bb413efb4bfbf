"""Dagster's own storage in the embedded default: all of it below MEDIAJOBS_HOME, whatever the working folder is.

`dagster.yaml` names these classes, so that it needs no path of a machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import DagsterInstance
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from typing_extensions import override

from mediajobs_dagster.settings import Settings


def dagster_folder(settings: Settings) -> Path:
    """Where Dagster keeps what it keeps, made if need be."""
    folder = settings.home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class _Embedded(ConfigurableClass):
    """A part of a Dagster instance that takes no configuration: MEDIAJOBS_HOME says it all."""

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


class EmbeddedStorage(_Embedded, DagsterStorage[DagsterInstance]):
    """Runs, events, and schedule state in SQLite.

    The events of all runs share one file. Dagster's default is a file a run, each with its own schema to set up, which
    costs more than a small media job.
    """

    def __init__(self) -> None:
        folder = dagster_folder(Settings.load())
        self._runs = SqliteRunStorage.from_local(str(folder / "history"))
        self._events = ConsolidatedSqliteEventLogStorage(str(folder / "events"))
        self._schedules = SqliteScheduleStorage.from_local(str(folder / "schedules"))

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


class EmbeddedComputeLogs(_Embedded, LocalComputeLogManager):
    """What runs print, in files."""

    def __init__(self) -> None:
        LocalComputeLogManager.__init__(self, str(dagster_folder(Settings.load()) / "logs"))


class EmbeddedArtifacts(_Embedded, LocalArtifactStorage):
    """What Dagster itself keeps in files."""

    def __init__(self) -> None:
        LocalArtifactStorage.__init__(self, str(dagster_folder(Settings.load()) / "artifacts"))
