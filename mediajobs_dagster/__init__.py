"""mediajobs runs a video product's media jobs on Dagster and explains every one of them.

The names in `__all__` are for programs of your own. Each is imported from its module when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediajobs_dagster.attempts.outcome import AttemptEnded
    from mediajobs_dagster.errors import (
        InputError,
        MediaJobsError,
        NotFoundError,
        OutputInvalidError,
        ParametersError,
        RequestError,
        SettingsError,
        StorageError,
        TimelineError,
    )
    from mediajobs_dagster.history import AttemptFilter, JobFilter
    from mediajobs_dagster.history.job_log import JobLogger, create_default_logger
    from mediajobs_dagster.history.job_log_entry import JobLogEntry
    from mediajobs_dagster.job_types.base import JobType, Lane, Params, Schedule, UploadJobType
    from mediajobs_dagster.job_types.bench import Bench
    from mediajobs_dagster.job_types.material import Access, Material, Source, SourceUse
    from mediajobs_dagster.job_types.plan import Call, Check, Child, Expected, Output, Plan, Run
    from mediajobs_dagster.job_types.video_export.encoding import ExportParams
    from mediajobs_dagster.models import Subject, SubjectKind, Upload
    from mediajobs_dagster.records import Record
    from mediajobs_dagster.resilience.retry import RetryPolicy
    from mediajobs_dagster.services.base import ServiceClient, ServiceContext
    from mediajobs_dagster.services.http import HttpClient
    from mediajobs_dagster.settings import Settings
    from mediajobs_dagster.system import MediaJobs

__version__ = "0.2.0"

__all__ = [
    "Access",
    "AttemptEnded",
    "AttemptFilter",
    "Bench",
    "Call",
    "Check",
    "Child",
    "Expected",
    "ExportParams",
    "HttpClient",
    "InputError",
    "JobFilter",
    "JobLogEntry",
    "JobLogger",
    "JobType",
    "Lane",
    "Material",
    "MediaJobs",
    "MediaJobsError",
    "NotFoundError",
    "Output",
    "OutputInvalidError",
    "ParametersError",
    "Params",
    "Plan",
    "Record",
    "RequestError",
    "RetryPolicy",
    "Run",
    "Schedule",
    "ServiceClient",
    "ServiceContext",
    "Settings",
    "SettingsError",
    "Source",
    "SourceUse",
    "StorageError",
    "Subject",
    "SubjectKind",
    "TimelineError",
    "Upload",
    "UploadJobType",
    "create_default_logger",
]

_MODULES = {
    "system": ("MediaJobs",),
    "settings": ("Settings",),
    "history": ("AttemptFilter", "JobFilter"),
    "history.job_log": ("JobLogger", "create_default_logger"),
    "history.job_log_entry": ("JobLogEntry",),
    # What a job type of your own needs.
    "job_types.base": ("JobType", "Lane", "Params", "Schedule", "UploadJobType"),
    "job_types.bench": ("Bench",),
    "job_types.material": ("Access", "Material", "Source", "SourceUse"),
    "job_types.plan": ("Call", "Check", "Child", "Expected", "Output", "Plan", "Run"),
    "job_types.video_export.encoding": ("ExportParams",),
    "models": ("Subject", "SubjectKind", "Upload"),
    # What a listener is told.
    "attempts.outcome": ("AttemptEnded",),
    "records": ("Record",),
    "resilience.retry": ("RetryPolicy",),
    "services.base": ("ServiceClient", "ServiceContext"),
    "services.http": ("HttpClient",),
    "errors": (
        "InputError",
        "MediaJobsError",
        "NotFoundError",
        "OutputInvalidError",
        "ParametersError",
        "RequestError",
        "SettingsError",
        "StorageError",
        "TimelineError",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    # Importing the package must stay cheap: every command, worker and fork server does it.
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found
