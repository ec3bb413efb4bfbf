"""Imported by the fork server, so that every run process finds it done: Dagster, the definitions, the code of a run."""

from importlib import import_module

import PIL.Image

from mediajobs_dagster.definitions import defs

# What a run imports only when it comes to it, found by comparing what was loaded before a run and after it.
for _module in (
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.secrets.env_file",
    "dagster._core.secrets.loader",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.storage.upath_io_manager",
    "dagster._core.system_config.composite_descent",
    "dagster._core.utility_ops",
    "dagster._grpc.impl",
    "dagster._grpc.server",
    "fsspec.implementations.local",
    "mediajobs_dagster.orchestration.embedded",
    "upath.implementations.local",
    "watchdog.observers.polling",
):
    import_module(_module)
PIL.Image.preinit()

# Once here, so that no run has to build the jobs of the repository again.
defs.get_repository_def().load_all_definitions()
