"""Opens the Dagster instance that the command line works with: the same one that `dagster dev` uses."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from mediajobs_dagster.orchestration.defaults import INSTANCE, folder_with
from mediajobs_dagster.orchestration.embedded import dagster_folder
from mediajobs_dagster.orchestration.internals.core import InstanceRef
from mediajobs_dagster.settings import Settings, check_settings_file


def open_instance(settings: Settings, config_dir: Path | None = None) -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME if that is set, else the one that `dagster.yaml` in `config_dir` describes.

    `config_dir` defaults to the working folder, as for `dagster dev`. Where that has no such file, the one of the
    package counts. Raises SettingsError when the file cannot be read at once.
    """
    if home := os.getenv("DAGSTER_HOME"):  # Dagster's own variable, read as Dagster reads it
        if (file := Path(home).expanduser() / INSTANCE).exists():
            check_settings_file(file)
        return dg.DagsterInstance.get()
    folder = config_dir or folder_with(INSTANCE)
    check_settings_file(folder / INSTANCE)
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(dagster_folder(settings)), config_dir=str(folder)))
