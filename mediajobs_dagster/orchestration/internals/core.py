"""Names in modules that `import dagster` loads anyway."""

from __future__ import annotations

from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.selector import JobSubsetSelector
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterUserCodeUnreachableError
from dagster._core.events import DagsterEventType
from dagster._core.execution.api import execute_run_iterator
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import PARTITION_NAME_TAG, PARTITION_SET_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import FuturesAwareThreadPoolExecutor, make_new_run_id
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster._utils.interrupts import capture_interrupts
from dagster_shared.utils.warnings import PreviewWarning

__all__ = [
    "PARTITION_NAME_TAG",  # on a run that we make: its partition
    "PARTITION_SET_TAG",  # on a run that we make: what its partition is one of
    "CheckRunHealthResult",  # what our launcher answers when it is asked about a run
    "ConfigurableClass",  # the base of what `dagster.yaml` names
    "ConfigurableClassData",  # what `dagster.yaml` says of it
    "DagsterEventType",  # to look for the event of a termination
    "DagsterExecutionInterruptedError",  # what an interrupt becomes inside a run
    "DagsterUserCodeUnreachableError",  # what a ping of a code server raises while there is none
    "FuturesAwareThreadPoolExecutor",  # the threads of the code server
    "InMemoryJob",  # lets a Celery worker execute a job that it built before the fork
    "InstanceRef",  # opens an instance by a `dagster.yaml` in one folder and its data in another
    "JobSubsetSelector",  # says which job a run that we make is of
    "LaunchRunContext",  # what our launcher is handed
    "LoadableTargetOrigin",  # tells the code server which module holds the definitions
    "PreviewWarning",  # silenced where we use partitions of checks
    "UnresolvedAssetJobDefinition",  # the type of what `define_asset_job` returns
    "WorkerStatus",  # part of what a launcher says about a run
    "capture_interrupts",  # turns signals into interrupts while a Celery worker executes a run
    "execute_run_iterator",  # executes a run in the process of a Celery worker
    "make_new_run_id",  # the id of a run that we make
]
