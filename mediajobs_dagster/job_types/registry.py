"""The list of job types. Assets, jobs, sensors and the command line are derived from it.

Another installed package adds a job type with an entry point in the group `mediajobs.job_types`, which names an
instance.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint

from mediajobs_dagster import job_types
from mediajobs_dagster.errors import RequestError, SettingsError
from mediajobs_dagster.job_types.base import JobType, Schedule
from mediajobs_dagster.models import SubjectKind
from mediajobs_dagster.plugins import JOB_TYPES, installed
from mediajobs_dagster.resilience.retry import RetryPolicy
from mediajobs_dagster.settings import KEPT_KINDS, Settings


class Registry:
    """The job types, by name. Iterates in alphabetical order."""

    def __init__(self, types: Iterable[JobType]) -> None:
        self._types: dict[str, JobType] = {}
        for job_type in sorted(types, key=lambda each: each.name):
            if job_type.name in self._types:
                raise SettingsError(f"Two job types are called {job_type.name}. Uninstall the package of one of them.")
            self._types[job_type.name] = job_type

    @classmethod
    def standard(cls) -> Registry:
        """Every job type that a module of this folder defines as `JOB_TYPE`, and those of other packages.

        Raises SettingsError when one of another package cannot be used.
        """
        modules = (
            importlib.import_module(f"{job_types.__name__}.{found.name}")
            for found in pkgutil.iter_modules(job_types.__path__)
        )
        own = [module.JOB_TYPE for module in modules if hasattr(module, "JOB_TYPE")]
        return cls([*own, *(_loaded(point) for point in installed(JOB_TYPES))])

    def with_types(self, *types: JobType) -> Registry:
        """A copy of the registry with these job types added; they replace those of the same name."""
        named = {job_type.name: job_type for job_type in (*self, *types)}
        return Registry(named.values())

    def of_uploads(self) -> tuple[JobType, ...]:
        """The job types whose subject is an upload."""
        return tuple(job_type for job_type in self if job_type.subject is SubjectKind.UPLOAD)

    def schedules(self, settings: Settings) -> dict[JobType, Schedule]:
        """The job types that have a schedule, and when it asks for jobs.

        Raises SettingsError when MEDIAJOBS_SCHEDULES names another one.
        """
        found = {each: schedule for each in self if (schedule := each.schedule_in(settings))}
        known = [each.name for each in found]
        if unknown := [name for name in settings.schedule_changes if name not in known]:
            raise SettingsError(
                f"MEDIAJOBS_SCHEDULES names {', '.join(unknown)}, but only these have a schedule: {', '.join(known)}. "
                "Correct the names."
            )
        return found

    def faulty_settings(self, settings: Settings) -> dict[str, SettingsError]:
        """What is wrong with settings that scheduled jobs work with, by the job type, or by the setting."""
        checks: dict[str, Callable[[Settings], object]] = {
            "MEDIAJOBS_SCHEDULES": self.schedules,
            "MEDIAJOBS_RETENTION": self.check_retention,
        }
        checks |= {each.name: each.check_settings for each in self if each.is_configured(settings)}
        found: dict[str, SettingsError] = {}
        for name, check in checks.items():
            try:
                check(settings)
            except SettingsError as error:
                found[name] = error
        return found

    def check_retention(self, settings: Settings) -> None:
        """Raise SettingsError when MEDIAJOBS_RETENTION names what is neither a job type nor a kind of things."""
        known = (*KEPT_KINDS, *(each.name for each in self))
        if unknown := [name for name in settings.retention_days_by_name if name not in known]:
            raise SettingsError(
                f"MEDIAJOBS_RETENTION names {', '.join(unknown)}. Known are job types and {', '.join(KEPT_KINDS)}. "
                "Correct the names."
            )

    def retry_policy(self, name: str, default: RetryPolicy) -> RetryPolicy:
        """The job type's own retry policy, else `default`; also for a type that is not installed any more."""
        job_type = self._types.get(name)
        return (job_type and job_type.retry) or default

    def noun(self, name: str) -> str:
        """What a job type makes, in short: the name of its asset; the name itself of a type that is not installed."""
        found = self._types.get(name)
        return found.asset if found else name

    def name_of(self, text: str) -> str:
        """The name of the job type that `text` names, by its name or its asset. Raises RequestError."""
        named = (each.name for each in self if text in (each.name, each.asset))
        return next(named, None) or self[text].name

    def __getitem__(self, name: str) -> JobType:
        try:
            return self._types[name]
        except KeyError:
            known = ", ".join(f"{each.name} ({each.asset})" for each in self)
            raise RequestError(f"There is no job type {name!r}. Known are: {known}.") from None

    def __iter__(self) -> Iterator[JobType]:
        return iter(self._types.values())

    def __len__(self) -> int:
        return len(self._types)


def load_planners() -> None:
    """Import every module of this folder. Job types import what they plan with when it is needed; forks should not."""
    for found in pkgutil.walk_packages(job_types.__path__, f"{job_types.__name__}."):
        importlib.import_module(found.name)


def _loaded(point: EntryPoint) -> JobType:
    try:
        job_type = point.load()
    except Exception as error:  # whatever another package raises as it is imported
        raise SettingsError(f"The job type {point.name} ({point.value}) cannot be loaded: {error}.") from error
    if not isinstance(job_type, JobType):
        raise SettingsError(f"{point.value} is not a job type: name an instance of a subclass of JobType.")
    return job_type
