"""Runs on Celery workers of many machines: the launcher sends them, `mediajobs worker` carries them out.

It needs the extra `cluster`; without it, the import raises ExtraMissingError.
"""

from __future__ import annotations

from importlib import import_module

from mediajobs_dagster.errors import ExtraMissingError

try:
    for _name in ("celery", "redis", "mediajobs_dagster.orchestration.internals.celery"):
        import_module(_name)
except ModuleNotFoundError:
    raise ExtraMissingError.of("Runs on Celery workers need", "cluster") from None
