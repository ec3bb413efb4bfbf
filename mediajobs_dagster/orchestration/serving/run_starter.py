"""Starts the run of a run request without a sensor, as Dagster does for the requests of a sensor."""

# The making of a run has no public interface in Python, and is typed in part:
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from mediajobs_dagster.orchestration import tags
from mediajobs_dagster.orchestration.defaults import LOCATION
from mediajobs_dagster.orchestration.internals.core import (
    JobSubsetSelector,
    make_new_run_id,
)
from mediajobs_dagster.orchestration.internals.workspace import (
    BaseWorkspaceRequestContext,
    CodeLocation,
    IWorkspaceProcessContext,
    RemoteRepository,
)


@dataclass(frozen=True)
class RunStarter:
    """Starts runs of our jobs, as the code server currently defines them."""

    instance: dg.DagsterInstance
    workspace: BaseWorkspaceRequestContext
    location: CodeLocation
    repository: RemoteRepository

    @classmethod
    def of(cls, context: IWorkspaceProcessContext[Any]) -> RunStarter:
        """The starter for a workspace.

        Raises DagsterCodeLocationLoadError or DagsterCodeLocationNotFoundError while the code server is out of reach.
        """
        workspace: BaseWorkspaceRequestContext = context.create_request_context()
        location: CodeLocation = workspace.get_code_location(LOCATION)
        (repository,) = location.get_repositories().values()  # Definitions make one repository
        return cls(context.instance, workspace, location, repository)

    def start(self, request: dg.RunRequest, *, launched_by: str) -> str:
        """Create the run and hand it to the run coordinator; returns the run id.

        `launched_by` is the sensor that would have asked for it.
        """
        assert request.job_name  # every request of ours names its job
        name = request.job_name
        job = self.location.get_job(JobSubsetSelector(self.location.name, self.repository.name, name, None))
        plan = self.location.get_execution_plan(
            job, request.run_config, step_keys_to_execute=None, known_state=None, instance=self.instance
        )
        run = self.instance.create_run(
            job_name=name,
            run_id=make_new_run_id(),
            run_config=request.run_config,
            status=dg.DagsterRunStatus.NOT_STARTED,
            tags={**job.run_tags, **request.tags, tags.LAUNCHED_BY_SENSOR: launched_by},
            resolved_op_selection=job.resolved_op_selection,
            step_keys_to_execute=None,
            op_selection=None,
            root_run_id=None,
            parent_run_id=None,
            job_snapshot=job.job_snapshot,
            execution_plan_snapshot=plan.execution_plan_snapshot,
            parent_job_snapshot=job.parent_job_snapshot,
            remote_job_origin=job.get_remote_origin(),
            job_code_origin=job.get_python_origin(),
            asset_selection=None,
            asset_check_selection=None,
            asset_graph=self.repository.asset_graph,
        )
        try:
            self.instance.submit_run(run.run_id, self.workspace)
        except BaseException as error:
            # Otherwise it would stay for ever, and count among the runs that wait to start.
            self.instance.report_run_failed(run, f"It could not be handed to the run coordinator: {error}")
            raise
        return run.run_id
