"""What runs need to start fast, as names in strings: importing this module does not import Dagster."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.machinery import PathFinder
from importlib.metadata import version

HOOK = "_mp_ctx"
"""Attribute of `DagsterApiServer`: the multiprocessing context that it starts runs with. Ours forks them."""

RUN_MODULES = (
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
    "upath.implementations.local",
    "watchdog.observers.polling",
)
"""Modules that Dagster imports only during a run. Found by comparing the loaded modules before and after a run."""


def missing_run_modules() -> list[str]:
    """The `RUN_MODULES` that are not installed. It only looks for their files, which takes a few milliseconds."""
    return [name for name in RUN_MODULES if not _is_installed(name)]


def slow_start(modules: Iterable[str]) -> str:
    """The warning that `modules` cannot be loaded before a run, with what to do."""
    return (
        f"Dagster {version('dagster')} has other modules than the version that mediajobs is locked to: "
        f"{', '.join(modules)} cannot be loaded before a run, so runs start slowly. Everything else works. "
        "Install the Dagster version that mediajobs is locked to."
    )


def _is_installed(module: str) -> bool:
    # Not importlib.util.find_spec: it would import the module's parent packages.
    folders, name = None, ""
    for part in module.split("."):
        name = f"{name}.{part}".lstrip(".")
        spec = PathFinder.find_spec(name, folders)
        if spec is None:
            return False
        folders = spec.submodule_search_locations or []
    return True
