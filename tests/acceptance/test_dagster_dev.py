"""`dagster dev` in the project folder, used as any Dagster user would: by its daemon, its backfills and its GraphQL."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history import AttemptFilter, JobFilter
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips, real_footage
from tests.platform import Platform, usual
from tests.servers.dagster_dev import DagsterDev, running_dagster_dev

THUMB = Thumbnail.name

pytestmark = pytest.mark.timeout(600)  # the start of a server, and many waits


RUNS = """query($filter: RunsFilter!) {
  runsOrError(filter: $filter) { ... on Runs { results { runId jobName status tags { key value } } } }
}"""

LAUNCH = """mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""

TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"

BACKFILL = "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"

CHECKS = """query($key: AssetKeyInput!, $name: String!) {
  assetCheckExecutions(assetKey: $key, checkName: $name, limit: 20) {
    runId status evaluation { success partition metadataEntries { label ... on IntMetadataEntry { intValue } } }
  }
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder that the server and the tests share."""
    return tmp_path_factory.mktemp("dagster_dev") / "home"


@pytest.fixture(scope="module")
def dev(home: Path) -> Iterator[DagsterDev]:
    """The server, for all tests of this module."""
    # The backfill's days are older than anything that there is when the server starts.
    with running_dagster_dev(home, MEDIAJOBS_FIRST_DAY="2026-01-01") as server:
        yield server


@pytest.fixture
def shared(home: Path) -> Iterator[Platform]:
    """The platform on the server's data folder; the server's daemon does the work."""
    with MediaJobs.open(_env_file=None, home=home) as media:
        yield Platform(media)


def ended(shared: Platform, trace_id: str, count: int) -> list[Job] | None:
    """The jobs of a trace, once there are so many and all are over."""
    jobs = shared.history.jobs.list(JobFilter(trace_id=trace_id))
    return jobs if len(jobs) == count and all(job.status.is_final for job in jobs) else None


def test_daemon_runs_what_is_added_and_runs_are_found_by_trace(dev: DagsterDev, shared: Platform, clips: Clips) -> None:
    """The sensors start a run for each job; filtering by `traceId` gives exactly the runs of that trace."""
    upload = shared.add(real_footage("bigbuckbunny.mp4"))
    other = shared.add(clips.landscape(), THUMB)
    jobs = dev.wait_for(lambda: ended(shared, upload.trace_id, len(usual(shared.registry))), timeout_s=120)
    dev.wait_for(lambda: ended(shared, other.trace_id, 1), timeout_s=120)
    assert {job.status for job in jobs} == {JobStatus.COMPLETED}

    def runs_of(trace_id: str) -> list[dict[str, str]]:
        tags = [{"key": "traceId", "value": trace_id}]
        return dev.ask(RUNS, filter={"tags": tags})["runsOrError"]["results"]

    found = runs_of(upload.trace_id)
    recorded = {attempt.run_id for job in jobs for attempt in shared.history.attempts.of_job(job.id)}
    assert {run["runId"] for run in found} == recorded
    assert {run["jobName"] for run in found} == {job.job_type for job in jobs}
    assert [run["jobName"] for run in runs_of(other.trace_id)] == [THUMB]
    assert runs_of("f" * 32) == []


def test_light_jobs_never_wait_behind_encodes(dev: DagsterDev, shared: Platform, clips: Clips) -> None:
    """With a queue full of encodes, a thumbnail that was asked for last is done before them."""
    upload = shared.register(clips.detailed(60))
    proxy, thumb = shared.registry[EditProxy.name], shared.registry[THUMB]
    proxies = [proxy.request(upload, trace_id=f"{number:032x}", force=True) for number in range(1, 4)]
    shared.history.jobs.enqueue(proxies)
    shared.history.jobs.enqueue([thumb.request(upload, trace_id="9" * 32)])
    (light,) = dev.wait_for(lambda: ended(shared, "9" * 32, 1), timeout_s=120)
    heavy = [job for each in proxies for job in shared.history.jobs.list(JobFilter(trace_id=each.trace_id))]
    over = [job for job in heavy if job.status.is_final and job.updated_at < light.updated_at]
    assert len(heavy) == 3
    assert len(over) <= 1
    dev.wait_for(lambda: any(shared.history.attempts.of_job(job.id) for job in heavy), timeout_s=120)
    for job in heavy:
        with suppress(IllegalTransitionError):  # it is done already
            shared.history.jobs.cancel(job.id)
    at_work = AttemptFilter(statuses=(AttemptStatus.RUNNING,))
    dev.wait_for(lambda: not shared.history.attempts.list(at_work) and not shared.leftovers(), timeout_s=120)


def test_terminating_a_run_stops_its_work(dev: DagsterDev, shared: Platform, tools: Tools, tmp_path: Path) -> None:
    """Terminated from the UI in mid-ffmpeg: the attempt and the job are cancelled, and the run is CANCELED."""
    long = tmp_path / "long.mp4"
    graph = "testsrc2=size=1920x1080:rate=30:d=120"
    encode = ["-f", "lavfi", "-i", graph, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(long)]
    subprocess.run([tools.ffmpeg, "-v", "error", *encode], check=True)
    upload = shared.add(long, EditProxy.name)
    job_id = shared.job(upload, EditProxy.name).id

    def at_work() -> str | None:
        running = [attempt.run_id for attempt in shared.history.attempts.of_job(job_id)]
        return running[0] if running else None

    run_id = dev.wait_for(at_work, timeout_s=120)
    dev.wait_for(lambda: list(shared.settings.scratch.glob("worker-*/attempt-*/edit_proxy.mp4")), timeout_s=90)
    dev.ask(TERMINATE, id=run_id)
    (job,) = dev.wait_for(lambda: ended(shared, upload.trace_id, 1), timeout_s=120)
    assert job.status is JobStatus.CANCELLED
    (attempt,) = shared.history.attempts.of_job(job_id)
    assert attempt.status is AttemptStatus.CANCELLED
    query = {"runIds": [run_id]}
    (run,) = dev.wait_for(
        lambda: [run for run in dev.ask(RUNS, filter=query)["runsOrError"]["results"] if is_over(run)], timeout_s=120
    )
    assert run["status"] == "CANCELED"
    assert shared.leftovers() == []


def test_backfill_over_three_days_reports_only_the_corrupt_upload(
    dev: DagsterDev, shared: Platform, clips: Clips
) -> None:
    """Three days of uploads, one of them corrupt: the backfill completes, and only the corrupt one is reported."""
    days = [datetime(2026, 3, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    good = [shared.register(path, created_at=day) for day in days for path in (clips.landscape(), clips.no_audio())]
    corrupt = shared.register(clips.text_named_mp4(), created_at=days[1])
    params = {
        "selector": {
            "partitionSetName": f"{THUMB}_partition_set",
            "repositorySelector": {"repositoryLocationName": "mediajobs", "repositoryName": "__repository__"},
        },
        "partitionNames": [day.date().isoformat() for day in days],
    }
    launched = dev.ask(LAUNCH, params=params)["launchPartitionBackfill"]
    backfill_id = launched["backfillId"]

    def status() -> str | None:
        found = dev.ask(BACKFILL, id=backfill_id)["partitionBackfillOrError"]["status"]
        return found if found not in ("REQUESTED",) else None

    assert dev.wait_for(status, timeout_s=180) in ("COMPLETED", "COMPLETED_SUCCESS")
    tags = [{"key": "dagster/backfill", "value": backfill_id}]

    def all_runs() -> list[dict[str, str]] | None:
        found = dev.ask(RUNS, filter={"tags": tags})["runsOrError"]["results"]
        return found if len(found) == len(days) and all(is_over(run) for run in found) else None

    runs = dev.wait_for(all_runs, timeout_s=120)
    assert [run["status"] for run in runs] == ["SUCCESS"] * 3

    assert {shared.job(upload, THUMB).status for upload in good} == {JobStatus.COMPLETED}
    assert shared.job(corrupt, THUMB).error_code == "INPUT_NOT_MEDIA"
    checks = dev.ask(CHECKS, key={"path": ["thumbnail"]}, name="every_subject_has_its_output")["assetCheckExecutions"]
    ours = {run["runId"] for run in runs}
    evaluations = {check["evaluation"]["partition"]: check["evaluation"] for check in checks if check["runId"] in ours}
    verdicts = {day: evaluation["success"] for day, evaluation in evaluations.items()}
    assert verdicts == {"2026-03-01": True, "2026-03-02": False, "2026-03-03": True}
    figures = {entry["label"]: entry.get("intValue") for entry in evaluations["2026-03-02"]["metadataEntries"]}
    assert (figures["failed"], figures["subjects"]) == (1, 3)


def is_over(run: dict[str, str]) -> bool:
    """Whether the run has ended."""
    return run["status"] in ("SUCCESS", "FAILURE", "CANCELED")
