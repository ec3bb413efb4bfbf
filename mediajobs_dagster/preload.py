"""What the fork server imports once: Dagster, the definitions, and the code of a run. Run processes are its forks."""

from __future__ import annotations

import logging
from importlib import import_module

import PIL.Image

from mediajobs_dagster.definitions import defs
from mediajobs_dagster.job_types.registry import load_planners
from mediajobs_dagster.orchestration.internals.warm_runs import RUN_MODULES, slow_start

_log = logging.getLogger(__name__)


def _load_run_modules() -> None:
    missing: list[str] = []
    for module in RUN_MODULES:
        try:
            import_module(module)
        except ImportError as error:
            missing.append(f"{module} ({error})")
    if missing:
        _log.warning(slow_start(missing))


import_module("mediajobs_dagster.orchestration.embedded")  # `dagster.yaml` names it, so only a run would import it
_load_run_modules()
load_planners()
PIL.Image.preinit()

# Built once here, so that no run has to build the repository's jobs again.
defs.get_repository_def().load_all_definitions()
