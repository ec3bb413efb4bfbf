"""Whether the installed Dagster still has the private names that we use, as we use them.

It imports nothing of ours that needs one of them, so that a name that is gone fails its own test and no other.
"""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import mediajobs_dagster
from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.internals import warm_runs

PROJECT = Path(__file__).parents[1]
PACKAGE = Path(mediajobs_dagster.__file__).parent
FOLDER = PACKAGE / "orchestration" / "internals"


def private_names() -> dict[str, str]:
    """The module that each private name comes from, by name: read from the source, nothing is imported."""
    return {
        alias.name: node.module
        for path in sorted(FOLDER.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("dagster")
        for alias in node.names
    }


NAMES = private_names()


def call(*positional: str, **keywords: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Arguments as we pass them; a string stands for each, since only their places and names matter."""
    return positional, keywords


def named(*keywords: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Arguments that we pass by name only."""
    return (), dict.fromkeys(keywords, "")


def method(*positional: str, by_name: tuple[str, ...] = ()) -> tuple[tuple[str, ...], dict[str, str]]:
    """Arguments of a method that is looked up on its class, so `self` comes first."""
    return ("self", *positional), dict.fromkeys(by_name, "")


CALLED = {
    "CapturedLogContext": call("log_key"),
    "CeleryRunLauncher.__init__": method(
        by_name=("default_queue", "broker", "backend", "config_source", "inst_data"),
    ),
    "CeleryRunLauncher._launch_celery_task_run": method("run", "task_signature", "routing_key"),
    "CheckRunHealthResult": call("status", "message"),
    "CodeLocation.get_execution_plan": method(
        "remote_job", "run_config", by_name=("step_keys_to_execute", "known_state", "instance")
    ),
    "CodeLocation.get_job": method("selector"),
    "CodeLocation.get_repositories": method(),
    "ConsolidatedSqliteEventLogStorage": call("base_dir"),
    "ConsolidatedSqliteEventLogStorage.get_logs_for_run": method("run_id", by_name=("of_type", "limit")),
    "DaemonErrorCapture.process_exception": call("exc_info", logger="", log_message=""),
    "DagsterApiServer.__init__": method(
        by_name=(
            "server_termination_event",
            "logger",
            "loadable_target_origin",
            "location_name",
            "container_image",
            "server_threadpool_executor",
        )
    ),
    "DagsterGrpcClient": named("host", "port", "socket"),
    "DagsterGrpcClient.ping": method("echo"),
    "DagsterGrpcServer": named(
        "server_termination_event", "dagster_api_servicer", "logger", "threadpool_executor", "host", "port", "socket"
    ),
    "DagsterGrpcServer.serve": method(),
    "FuturesAwareThreadPoolExecutor": named("thread_name_prefix"),
    "IWorkspaceProcessContext.create_request_context": method(),
    "BaseWorkspaceRequestContext.get_code_location": method("location_name"),
    "InMemoryJob": call("job_def"),
    "InstanceRef.from_dir": call("base_dir", config_dir=""),
    "JobSubsetSelector": call("location_name", "repository_name", "job_name", "op_selection"),
    "LocalArtifactStorage.__init__": method("base_dir"),
    "LocalComputeLogManager.__init__": method("base_dir"),
    "LocalComputeLogManager.complete_artifact_path": method("log_key"),
    "LocalComputeLogManager.get_captured_local_path": method("log_key", "extension"),
    "DagsterPostgresStorage.__init__": method(
        "postgres_url", by_name=("should_autocreate_tables", "inst_data", "token_provider")
    ),
    "PostgresEventLogStorage": call("postgres_url", should_autocreate_tables="", token_provider=""),
    "QueuedRunCoordinatorDaemon.__init__": method("interval_seconds"),
    "QueuedRunCoordinatorDaemon.run_iteration": method("workspace_process_context"),
    "S3ComputeLogManager.cloud_storage_has_logs": method("log_key", "io_type"),
    "SqliteRunStorage": call("conn_string"),
    "SqliteRunStorage.from_local": call("base_dir"),
    "SqliteScheduleStorage": call("conn_string"),
    "SqliteScheduleStorage.from_local": call("base_dir"),
    "WorkspaceProcessContext": call("instance", "workspace_load_target"),
    "WorkspaceProcessContext.get_current_workspace": method(),
    "WorkspaceRequestContext": named(
        "instance", "current_workspace", "process_context", "version", "source", "read_only"
    ),
    "capture_interrupts": call(),
    "create_app_from_workspace_process_context": call("context", lifespan=""),
    "create_daemons_from_instance": call("instance"),
    "create_db_conn_string": call("base_dir", "db_name"),
    "get_token_provider_from_config": call("config_value"),
    "pg_url_from_config": call("config_value"),
    "daemon_controller_from_instance": call("instance", "workspace_load_target", gen_daemons="", log_level=""),
    "execute_run_iterator": call("job", "dagster_run", "instance"),
    "make_app": call("app_args"),
    "make_new_run_id": call(),
    "schedule_execution_time_iterator": call("start_timestamp", "cron_schedule", "execution_timezone", ascending=""),
    "redirect_to_file": call("stream", "path"),
    # Dagster shows the class, and documents not all of its methods:
    "DagsterInstance.all_instigator_state": method(by_name=("instigator_type",)),
    "DagsterInstance.add_run_tags": method("run_id", "new_tags"),
    "DagsterInstance.create_run": method(
        by_name=(
            *("job_name", "run_id", "run_config", "status", "tags", "resolved_op_selection", "step_keys_to_execute"),
            *("op_selection", "root_run_id", "parent_run_id", "job_snapshot", "execution_plan_snapshot"),
            *("parent_job_snapshot", "remote_job_origin", "job_code_origin", "asset_selection"),
            *("asset_check_selection", "asset_graph"),
        )
    ),
    "DagsterInstance.from_ref": call("instance_ref"),
    "DagsterInstance.get_run_by_id": method("run_id"),
    "DagsterInstance.get_run_records": method("filters", by_name=("limit",)),
    "DagsterInstance.get_runs_count": method("filters"),
    "DagsterInstance.report_run_canceled": method("dagster_run", "message"),
    "DagsterInstance.report_run_canceling": method("run"),
    "DagsterInstance.report_run_failed": method("dagster_run", "message"),
    "DagsterInstance.submit_run": method("run_id", "workspace"),
}
"""What we call, and how: it has to take these arguments, and to ask for no others."""

OVERRIDDEN = {
    "WorkspaceProcessContext.create_request_context": "self source",
    "CeleryRunLauncher.check_run_worker_health": "self run",
    "CeleryRunLauncher.get_run_worker_debug_info": "self run include_container_logs",
    "CeleryRunLauncher.launch_run": "self context",
    "CeleryRunLauncher.terminate": "self run_id",
    "ConfigurableClass.config_type": "",
    "ConfigurableClass.from_config_value": "inst_data config_value",
    "ConsolidatedSqliteEventLogStorage._connect": "self",
    "DagsterApiServer.ReloadCode": "self _request _context",
    "DagsterPostgresStorage.from_config_value": "inst_data config_value",
    "DagsterStorage.register_instance": "self instance",
    "LocalComputeLogManager.capture_logs": "self log_key",
    "LocalComputeLogManager.is_capture_complete": "self log_key",
    "QueuedRunCoordinatorDaemon._get_in_progress_run_records": "self instance",
    "QueuedRunCoordinatorDaemon._priority_sort": "self runs",
    "QueuedRunCoordinatorDaemon.core_loop": "self workspace_process_context shutdown_event",
    "S3ComputeLogManager.capture_logs": "self log_key",
    "S3ComputeLogManager.download_url_for_type": "self log_key io_type",
    "S3ComputeLogManager.is_capture_complete": "self log_key",
    "SqlEventLogStorage.store_event": "self event",
    "SqliteRunStorage.connect": "self",
    "SqliteScheduleStorage.connect": "self",
}
"""What our subclasses replace, and its parameters: under another name, Dagster would not call ours."""

READ = (
    "CeleryRunLauncher._instance",
    "CeleryRunLauncher.supports_resume_run",
    "ComputeIOType.STDERR",
    "ComputeIOType.STDOUT",
    "ConfigurableClass.inst_data",
    "DagsterEventType.RUN_CANCELING",
    "DagsterInstance.event_log_storage",
    "DagsterInstance.run_launcher",
    "DagsterStorage.event_log_storage",
    "DagsterStorage.run_storage",
    "DagsterStorage.schedule_storage",
    "InstigatorState.instigator_data",
    "InstigatorState.instigator_name",
    "InstigatorState.status",
    "InstigatorStatus.STOPPED",
    "InstigatorType.SCHEDULE",
    "IWorkspaceProcessContext.instance",
    "WorkspaceProcessContext.version",
    "LaunchRunContext.dagster_run",
    "RemoteRepository.asset_graph",
    "RemoteRepository.name",
    "DagsterPostgresStorage.event_log_storage",
    "S3ComputeLogManager.has_instance",
    "S3ComputeLogManager.local_manager",
    "SqliteRunStorage.has_instance",
    "WorkerStatus.FAILED",
    "WorkerStatus.RUNNING",
)
"""What we read of a class or its objects, or put our own property in place of."""

SET_BY = {
    "CeleryRunLauncher.__init__": "celery",
    "ConsolidatedSqliteEventLogStorage.__init__": "_conn_string",
    "DagsterApiServer.StartRun": warm_runs.HOOK,  # where it is used; the next line: where it is made
    "DagsterApiServer.__init__": warm_runs.HOOK,
    "SqliteRunStorage.__init__": "_conn_string",
    "SqliteScheduleStorage.__init__": "_conn_string",
}
"""Attributes that objects get only while they are made."""

MADE = {
    "GrpcServerTarget": {"host": "localhost", "port": 4000, "socket": None, "location_name": "mediajobs"},
    "LoadableTargetOrigin": {"executable_path": "python", "module_name": "jobs", "working_directory": "/"},
    "ScheduleInstigatorData": {"cron_schedule": "0 3 * * *", "start_timestamp": 1.5},
    "WorkspaceFileTarget": {"paths": ["workspace.yaml"]},
}
"""Records, whose signature says nothing: they are made as we make them."""

CONSTANTS = {
    "DAGSTER_CELERY_QUEUE_TAG": str,
    "DAGSTER_CELERY_TASK_ID_TAG": str,
    "IO_TYPE_EXTENSION": dict,
    "PARTITION_NAME_TAG": str,
    "PARTITION_SET_TAG": str,
}

CAUGHT = ("DagsterExecutionInterruptedError", "DagsterUserCodeUnreachableError", "PreviewWarning")

ONLY_TYPES = {"ConfigurableClassData", "DaemonIterator", "DagsterDaemon", "ReloadCodeReply"} | {
    *("UnresolvedAssetJobDefinition", "WorkspaceLoadTarget")
}
"""Used in annotations, or made of nothing: it is enough that they are there."""


def complaint(what: str) -> str:
    """A fault, and which Dagster has it."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = next(each for each in project["dependencies"] if re.match(r"dagster\b[^-]", each))
    locked = re.search(r"^dagster==(\S+)", (PROJECT / "requirements.lock").read_text(), re.MULTILINE)
    assert locked is not None
    return f"{what}. Installed: Dagster {version('dagster')}. Wanted: {wanted}; locked: {locked[1]}."


def find(path: str) -> Any:
    """What stands behind a name, or a name of a class and one of its attributes. Fails with a complaint."""
    name, *attributes = path.split(".")
    origin = NAMES.get(name, "dagster")
    try:
        found = getattr(import_module(origin), name)
        for attribute in attributes:
            found = getattr(found, attribute)
    except (ImportError, AttributeError) as error:
        pytest.fail(complaint(f"{origin} has no {path}: {error}"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_it_is_there(name: str) -> None:
    """Each private name can be imported from where we import it."""
    assert find(name) is not None


@pytest.mark.parametrize("path", CALLED)
def test_it_takes_what_we_pass(path: str) -> None:
    """It has the parameters that we fill, and none besides that has to be filled."""
    positional, keywords = CALLED[path]
    signature = inspect.signature(find(path))
    try:
        signature.bind(*positional, **keywords)
    except TypeError as error:
        pytest.fail(complaint(f"{path}{signature} cannot be called as we call it: {error}"))


@pytest.mark.parametrize("path", OVERRIDDEN)
def test_it_is_called_as_ours_is(path: str) -> None:
    """A method that ours takes the place of has the parameters that ours has."""
    parameters = " ".join(inspect.signature(find(path)).parameters)
    assert parameters == OVERRIDDEN[path], complaint(f"{path} has other parameters than ours")


@pytest.mark.parametrize("path", READ)
def test_it_can_be_read(path: str) -> None:
    """Attributes and properties that we read, and members of enumerations."""
    name, attribute = path.split(".")
    declared = {field for kind in find(name).__mro__ for field in getattr(kind, "__annotations__", {})}
    if attribute not in declared:
        find(path)


@pytest.mark.parametrize("path", SET_BY)
def test_it_is_set(path: str) -> None:
    """Attributes that no class declares are still named where they are set, or used."""
    owner, _, _ = path.partition(".")
    names = find(path).__code__.co_names
    assert SET_BY[path] in names, complaint(f"{path} does not set or use {owner}.{SET_BY[path]} any more")


@pytest.mark.parametrize("name", MADE)
def test_it_can_be_made(name: str) -> None:
    """Records take the fields that we give and no others."""
    fields = MADE[name]
    try:
        made = find(name)(**fields)
    except Exception as error:  # noqa: BLE001  # whatever a record that has changed raises
        pytest.fail(complaint(f"{name} cannot be made of {', '.join(fields)}: {error}"))
    assert {field: getattr(made, field) for field in fields} == fields


@pytest.mark.parametrize("name", CONSTANTS)
def test_it_is_a_constant(name: str) -> None:
    """Tags are strings, and suffixes are looked up."""
    assert isinstance(find(name), CONSTANTS[name]), complaint(f"{name} is no {CONSTANTS[name].__name__}")


@pytest.mark.parametrize("name", CAUGHT)
def test_it_can_be_caught(name: str) -> None:
    """An interrupt is no `Exception`, or Dagster would take it for a fault of the job."""
    kind = find(name)
    assert issubclass(kind, BaseException)
    assert (name == "DagsterExecutionInterruptedError") is not issubclass(kind, Exception), complaint(name)


@pytest.mark.parametrize(
    ("ours", "module", "name"),
    [
        (tags.PRIORITY, "dagster._core.storage.tags", "PRIORITY_TAG"),
        (tags.PARENT_RUN, "dagster._core.storage.tags", "PARENT_RUN_ID_TAG"),
        (tags.IMPLICIT_ASSET_JOB, "dagster._core.definitions.assets.job.asset_job", "IMPLICIT_ASSET_JOB_NAME"),
    ],
)
def test_names_that_we_spell_out_are_dagsters(ours: str, module: str, name: str) -> None:
    """Tags and names that are written as text have Dagster's value."""
    assert getattr(import_module(module), name, None) == ours, complaint(f"{module}.{name} is not {ours!r}")


def test_each_name_has_its_test() -> None:
    """A private name that is new is held to what we need of it; one that is gone is struck off."""
    tested = {path.split(".")[0] for table in (CALLED, OVERRIDDEN, READ, SET_BY) for path in table}
    tested |= MADE.keys() | CONSTANTS.keys() | set(CAUGHT) | ONLY_TYPES
    assert tested - {"DagsterInstance"} == NAMES.keys()


@pytest.mark.parametrize("module", sorted(FOLDER.glob("[!_]*.py")), ids=lambda path: path.stem)
def test_each_name_is_exported_with_its_use(module: Path) -> None:
    """A module exports exactly what it imports from Dagster, each with a word on what it is for."""
    source = module.read_text()
    imported = {
        alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster")
        for alias in node.names
    }
    assert set(re.findall(r'^    "(\w+)",  # \w', source, re.MULTILINE)) == imported
