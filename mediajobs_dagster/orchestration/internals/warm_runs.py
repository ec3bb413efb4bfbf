"""What runs need to start at once. All of it is names in strings: importing this module imports no Dagster."""

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
"""What Dagster imports only when a run comes to it. Found by comparing what was loaded before a run and after it."""


def missing_run_modules() -> list[str]:
    """Those of `RUN_MODULES` that are not installed. Looks for their files only, so it takes a few milliseconds."""
    return [name for name in RUN_MODULES if not _is_installed(name)]


def slow_start(modules: Iterable[str]) -> str:
    """What it means that `modules` cannot be loaded before a run, and what to do."""
    return (
        f"Dagster {version('dagster')} has other modules than the one that mediajobs is locked to: "
        f"{', '.join(modules)} cannot be loaded before a run, so runs start slowly. Everything else works. "
        "Install the Dagster version that mediajobs is locked to."
    )


def _is_installed(module: str) -> bool:
    # Not importlib.util.find_spec: it imports the packages that the module lies in.
    folders, name = None, ""
    for part in module.split("."):
        name = f"{name}.{part}".lstrip(".")
        spec = PathFinder.find_spec(name, folders)
        if spec is None:
            return False
        folders = spec.submodule_search_locations or []
    return True
