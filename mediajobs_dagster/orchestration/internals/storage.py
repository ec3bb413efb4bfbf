"""Dagster's own storage, which the embedded default builds on."""

from __future__ import annotations

from dagster._core.execution.compute_logs import (
    redirect_to_file,  # pyright: ignore[reportUnknownVariableType]  # it is typed in part
)
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage, SqlEventLogStorage
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import create_db_conn_string

__all__ = [
    "IO_TYPE_EXTENSION",  # the suffix of the file that holds the output of a stream
    "CapturedLogContext",  # what capturing output yields
    "ComputeIOType",  # standard output or standard error
    "ConsolidatedSqliteEventLogStorage",  # events of all runs in one file; ours keeps its connections
    "DagsterStorage",  # the base of the three storages together
    "LocalArtifactStorage",  # files that Dagster keeps
    "LocalComputeLogManager",  # what runs print, in files
    "SqlEventLogStorage",  # events in any SQL database; ours leaves out those that nobody reads
    "SqliteRunStorage",  # runs; ours keeps its connections
    "SqliteScheduleStorage",  # the state of sensors and schedules; ours keeps its connections
    "create_db_conn_string",  # the address of a SQLite database in a folder
    "redirect_to_file",  # sends a stream into a file while a step runs
]
