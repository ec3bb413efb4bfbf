"""The deployed configuration on real servers: PostgreSQL for history and Dagster, S3 for objects and logs.

The runs are carried out in this process; tests/cluster has the workers.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster_postgres import PostgresRunStorage

from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, JobStatus
from mediajobs_dagster.orchestration.build import build_definitions
from mediajobs_dagster.orchestration.celery.launcher import LaneRunLauncher
from mediajobs_dagster.orchestration.local_runs import LocalRuns
from mediajobs_dagster.orchestration.s3_logs import ClusterComputeLogs
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs
from tests.clips import Clips
from tests.platform import Platform, usual
from tests.servers.faulty_s3 import FaultyS3
from tests.servers.postgres import fresh_database
from tests.servers.s3 import S3Server

DEPLOY = Path(__file__).parents[2] / "deploy"

T = dg.DagsterEventType
KEPT = {
    *(T.ASSET_MATERIALIZATION_PLANNED, T.ASSET_CHECK_EVALUATION_PLANNED, T.RUN_START, T.LOGS_CAPTURED, T.STEP_START),
    *(None, T.ASSET_CHECK_EVALUATION, T.ASSET_MATERIALIZATION, T.STEP_SUCCESS, T.RUN_SUCCESS),
}
"""What a run of this process leaves in the event log, once each; None is a line of the log."""


def test_jobs_run_on_postgres_and_s3(
    postgres_server: str,
    s3_server: S3Server,
    s3_settings: Settings,
    clips: Clips,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An upload's three jobs: outputs in the bucket, runs in PostgreSQL, and nothing for ever that nobody reads."""
    logs = s3_server.make_bucket()
    staging = tmp_path / "staging"  # where Dagster keeps what a run prints until it is on S3
    staging.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(staging))
    with ExitStack() as stack:
        dagster_url, history_url = (stack.enter_context(fresh_database(postgres_server)) for _ in range(2))
        environment = {
            "DAGSTER_POSTGRES_URL": dagster_url,
            "DAGSTER_LOGS_BUCKET": logs,
            "AWS_ENDPOINT_URL_S3": s3_server.endpoint,
            "AWS_ACCESS_KEY_ID": s3_server.access_key,
            "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "MEDIAJOBS_CELERY_URL": "redis://127.0.0.1:1/0",  # nobody is there, and nobody asks
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings = s3_settings.model_copy(update={"database_url": history_url})
        reference = InstanceRef.from_dir(str(tmp_path), config_dir=str(DEPLOY), config_filename="dagster.celery.yaml")
        instance = stack.enter_context(dg.DagsterInstance.from_ref(reference))
        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert isinstance(instance.compute_log_manager, ClusterComputeLogs)
        assert isinstance(instance.run_launcher, LaneRunLauncher)

        media = stack.enter_context(MediaJobs(settings))
        platform = Platform(media)
        upload = platform.add(clips.landscape())
        LocalRuns(media, build_definitions(media), instance).work_off()

        for job_type in usual(platform.registry):
            assert platform.job(upload, job_type.name).status is JobStatus.COMPLETED
            (key,) = platform.current_keys(upload, job_type.name)
            assert platform.storage.stat(key).bytes > 0
            manifest = platform.manifest(upload, job_type.name)
            assert {op.bucket for op in manifest.s3_ops} == {platform.storage.bucket}
        runs = instance.get_runs(dg.RunsFilter(tags={"traceId": upload.trace_id}))
        assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 3
        for run in runs:
            kept = instance.all_logs(run.run_id)
            assert {entry.dagster_event_type for entry in kept} == KEPT
            assert len(kept) == len(KEPT)
            (captured,) = [each.dagster_event for each in kept if each.dagster_event_type is T.LOGS_CAPTURED]
            assert captured
            log_key = [run.run_id, "compute_logs", captured.logs_captured_data.file_key]
            assert instance.compute_log_manager.is_capture_complete(log_key)
            assert instance.compute_log_manager.get_log_metadata(log_key).stdout_download_url is None
        assert list((s3_server.root / logs).rglob("*")) == []
        assert list(staging.glob("*/compute_logs")) == []


_PRINTING = """
import sys
from mediajobs_dagster.orchestration.s3_logs import ClusterComputeLogs

logs = ClusterComputeLogs(sys.argv[1], local_dir=sys.argv[3], endpoint_url=sys.argv[2], skip_empty_files=True)
with logs.capture_logs(["run", "compute_logs", "step"]):
    assert not logs.is_capture_complete(["run", "compute_logs", "step"])
    sys.stderr.write("said")
"""


def test_what_a_run_prints_is_readable_from_any_host(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file on S3, under the run; nothing stays on the machine that carried the run out."""
    access = {"aws_access_key_id": s3_server.access_key, "aws_secret_access_key": s3_server.secret_key}
    for name, value in {**access, "aws_default_region": "us-east-1"}.items():
        monkeypatch.setenv(name.upper(), value)
    bucket, worker = s3_server.make_bucket(), tmp_path / "worker"
    # In a process of its own: pytest has a way with standard error that no run knows.
    subprocess.run([sys.executable, "-c", _PRINTING, bucket, s3_server.endpoint, worker], check=True, timeout=120)
    assert list(worker.rglob("*")) == []
    assert [path.name for path in (s3_server.root / bucket).rglob("step*")] == ["step.err"]
    reader = str(tmp_path / "reader")
    logs = ClusterComputeLogs(bucket, local_dir=reader, endpoint_url=s3_server.endpoint, skip_empty_files=True)
    assert logs.is_capture_complete(["run", "compute_logs", "step"])
    assert logs.get_log_data(["run", "compute_logs", "step"]).stderr == b"said"


def test_thumbnail_reads_a_part_of_the_object(
    open_platform: Callable[..., Platform], s3_settings: Settings, faulty_s3: FaultyS3, clips: Clips
) -> None:
    """From S3 a thumbnail reads by range: a small part of a large object, counted at a proxy and in the ledger."""
    settings = faulty_s3.settings(s3_settings).model_dump(exclude={"home", "scratch_dir", "database_url"})
    platform = open_platform(**settings)
    upload = platform.add(clips.detailed(), Thumbnail.name)
    before = faulty_s3.bytes_sent
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS
    read = [op for op in outcome.manifest.s3_ops if op.op == "range_read"]
    assert all(op.key == upload.storage_key for op in read)
    assert 0 < sum(op.bytes for op in read) < upload.bytes / 4
    assert faulty_s3.bytes_sent - before < upload.bytes / 4
    assert outcome.manifest.metrics.s3_bytes_in == sum(op.bytes for op in read)
    assert [op.op for op in outcome.manifest.s3_ops if op.op == "get"] == []
