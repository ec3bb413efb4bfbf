"""The one list of job types, from which assets, jobs, sensors, the command line and the docs are derived."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator

from mediajobs_dagster import job_types
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.job_types.base import JobType, UploadJobType


class Registry:
    """The job types, by name. Iterates in alphabetical order."""

    def __init__(self, types: Iterable[JobType]) -> None:
        self._types = {job_type.name: job_type for job_type in sorted(types, key=lambda each: each.name)}

    @classmethod
    def standard(cls) -> Registry:
        """Every job type that a module of this folder defines as `JOB_TYPE`."""
        modules = (
            importlib.import_module(f"{job_types.__name__}.{found.name}")
            for found in pkgutil.iter_modules(job_types.__path__)
        )
        return cls(module.JOB_TYPE for module in modules if hasattr(module, "JOB_TYPE"))

    def with_types(self, *types: JobType) -> Registry:
        """A registry that knows these job types too."""
        return Registry([*self, *types])

    def of_uploads(self) -> tuple[UploadJobType, ...]:
        """Those whose subject is one upload: what can be asked for of any media file."""
        return tuple(job_type for job_type in self if isinstance(job_type, UploadJobType))

    def __getitem__(self, name: str) -> JobType:
        try:
            return self._types[name]
        except KeyError:
            known = ", ".join(self._types)
            raise RequestError(f"There is no job type {name!r}. Known are: {known}.") from None

    def __iter__(self) -> Iterator[JobType]:
        return iter(self._types.values())

    def __len__(self) -> int:
        return len(self._types)
