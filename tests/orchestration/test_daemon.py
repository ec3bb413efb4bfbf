"""The daemon's own dispatching, on a real code server."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import new_trace_id
from mediajobs_dagster.orchestration.serving.daemon import DispatchingCoordinator
from tests.clips import Clips
from tests.orchestration.conftest import PROJECT, DagsterPlatform

THUMB = Thumbnail.name
JOBS = 3


@pytest.fixture
def context(dagster_platform: DagsterPlatform) -> Iterator[WorkspaceProcessContext]:
    """What the daemon knows of the code: a server of its own, started from the project's workspace file."""
    workspace = WorkspaceFileTarget(paths=[str(PROJECT / "workspace.yaml")])
    with WorkspaceProcessContext(dagster_platform.instance, workspace) as opened:
        yield opened
    # It tells its server to end and does not wait for it, so Python may find it still running when it is thrown away.
    opened._grpc_server_registry.wait_for_processes()


def test_a_run_that_cannot_be_queued_leaves_nothing_behind(
    dagster_platform: DagsterPlatform,
    context: WorkspaceProcessContext,
    clips: Clips,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its jobs are free again, and so are all the others; the run is closed rather than left to wait for ever."""
    platform = dagster_platform
    upload = platform.register(clips.landscape())
    job_type = platform.registry[THUMB]
    wanted = [job_type.request(upload, trace_id=new_trace_id(), anew=True) for _ in range(JOBS)]
    platform.history.jobs.enqueue(wanted)
    daemon = DispatchingCoordinator(platform.media, interval_seconds=1)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(dg.DagsterInstance, "submit_run", refuse)
        with pytest.raises(OSError, match="database is locked"):
            daemon._dispatch(context)
    (run,) = platform.instance.get_runs()
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert [job.dispatch_id for job in platform.history.jobs.list(JobFilter())] == [None] * JOBS

    daemon._dispatch(context)
    queued = platform.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    assert len(queued) == JOBS
    assert {run.tags["mediajobs/job_type"] for run in queued} == {THUMB}
    assert all(job.dispatch_id for job in platform.history.jobs.list(JobFilter()))
