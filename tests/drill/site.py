"""The installations that a drill strikes at, and their processes of the moment."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Protocol

import psutil
import psycopg2

from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.system import MediaJobs
from tests.cluster.cluster import Cluster, Process, running_cluster
from tests.drill.world import outside_world
from tests.platform import Platform
from tests.processes import ffmpegs_below, is_gone
from tests.servers.mediajobs_up import MediajobsUp, running_up
from tests.servers.postgres import running_postgres
from tests.servers.redis import running_redis
from tests.servers.s3 import running_s3

Victims = dict[str, list[psutil.Process]]

WORKERS = ("machine-1", "machine-2")
SETTINGS = {"lease_s": "5", "retry_base_s": "0", "breaker_failures": "1000", "max_attempts": "50"}
"""A lease short enough to run out while a process is frozen. Strikes neither use up a job nor hold up the others."""
_ENVIRONMENT = {f"MEDIAJOBS_{name.upper()}": value for name, value in SETTINGS.items()}
_BREAKERS = {"MEDIAJOBS_BREAKER_FAILURES": "3", "MEDIAJOBS_BREAKER_COOLDOWN_S": "5"}
_PROGRAMS = "cluster"
"""The name by which PostgreSQL knows the programs of the cluster; the drill itself has another."""


class Site(Protocol):
    """An installation at work."""

    platform: Platform
    broken: tuple[str, ...]
    """The machines whose ffmpeg is broken."""

    def victims(self) -> Victims:
        """Its processes of the moment, by what they are."""
        ...

    def sever(self, seconds: float) -> None:
        """Take the database away from whoever works with it: cut the connections, or keep it locked for so long."""
        ...

    def mend(self) -> None:
        """Start again what an init system would: a part that is gone and that no other part watches."""
        ...

    def stop(self) -> None:
        """Stop it as its owner would, and wait until it is gone."""
        ...

    def survivors(self) -> list[psutil.Process]:
        """Its processes that are still there."""
        ...

    def unrecorded(self) -> list[Path]:
        """Ends of attempts that the database never got."""
        ...


class Embedded:
    """`mediajobs up` on a folder."""

    broken = ()

    def __init__(self, home: Path, world: Mapping[str, str]) -> None:
        self.home, self._world = home, world
        # A process that is frozen in mid-transaction holds SQLite's lock for as long.
        patient = {"database_timeout_s": "60"}
        self.platform = Platform(MediaJobs.open(_env_file=None, home=home, **SETTINGS, **patient))
        self._stack = ExitStack()
        self._locking: list[Thread] = []
        self._up = self._start()

    def victims(self) -> Victims:
        """The supervisor, its parts, the processes of runs, and ffmpeg."""
        up = self._up
        found = {
            "supervisor": lambda: [psutil.Process(up.pid)],
            "daemon": lambda: [up.part("daemon")],
            "code-server": lambda: [up.part("code-server")],
            "run": up.run_processes,
            "ffmpeg": lambda: ffmpegs_below(self.home),
        }
        return {kind: _there(look) for kind, look in found.items()}

    def sever(self, seconds: float) -> None:
        """A file has no connections to cut: it is locked, as by a backup."""
        locking = Thread(target=self._lock, args=(seconds,), name="lock")
        self._locking.append(locking)
        locking.start()

    def _lock(self, seconds: float) -> None:
        with closing(sqlite3.connect(self.home / "mediajobs.db", timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")

    def mend(self) -> None:
        """Start it again after its supervisor was killed."""
        if self._up.process.poll() is not None:
            self._stack.close()
            self._up = self._start()

    def stop(self) -> None:
        """Ctrl-C."""
        for locking in self._locking:
            locking.join()
        self._up.stop(signal.SIGINT)
        self._stack.close()

    def survivors(self) -> list[psutil.Process]:
        """Whatever works on its folder."""
        return _working_below(self.home)

    def unrecorded(self) -> list[Path]:
        """In its home."""
        return _unrecorded_below(self.home)

    def _start(self) -> MediajobsUp:
        return self._stack.enter_context(running_up(self.home, **_ENVIRONMENT, **self._world))


class Clustered:
    """Two machines of Celery workers, a daemon and a code server, on PostgreSQL, Redis and S3."""

    def __init__(self, cluster: Cluster, broken: tuple[str, ...] = ()) -> None:
        self.platform, self.broken = cluster.platform, broken
        self._cluster = cluster
        self._no_ffmpeg = _broken_ffmpeg(cluster.folder)
        for name in WORKERS:
            self._start_worker(name)

    def victims(self) -> Victims:
        """The machines, their processes of runs, the other parts, and ffmpeg."""
        cluster = self._cluster
        workers = [worker.popen.pid for worker in cluster.workers.values()]
        return {
            "worker": _there(lambda: [psutil.Process(pid) for pid in workers]),
            "run": _there(lambda: [each for pid in workers for each in psutil.Process(pid).children()]),
            "daemon": _there(lambda: [psutil.Process(cluster.part("daemon").popen.pid)]),
            "code-server": _there(lambda: [psutil.Process(cluster.part("code-server").popen.pid)]),
            "ffmpeg": _there(cluster.ffmpegs),
        }

    def sever(self, seconds: float) -> None:
        """All connections of the cluster's programs, those of Dagster included; new ones are let in at once."""
        del seconds
        others = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{_PROGRAMS}'"
        with closing(psycopg2.connect(self._cluster.postgres.get_uri())) as connection, connection.cursor() as cursor:
            cursor.execute(others)

    def mend(self) -> None:
        """Start each part again that is gone."""
        for name, worker in list(self._cluster.workers.items()):
            if worker.popen.poll() is not None:
                _end_group(worker)
                self._start_worker(name)
        for name in ("code-server", "daemon"):
            part = self._cluster.part(name)
            if part.popen.poll() is not None:
                _end_group(part)
                self._cluster.restart(name)

    def _start_worker(self, name: str) -> None:
        more = {"MEDIAJOBS_FFMPEG_PATH": str(self._no_ffmpeg)} if name in self.broken else {}
        self._cluster.start_worker(name, **more)

    def stop(self) -> None:
        """Tell every part to stop."""
        self._cluster.stop()

    def survivors(self) -> list[psutil.Process]:
        """Whatever works below its folder; the servers do not."""
        return _working_below(self._cluster.folder)

    def unrecorded(self) -> list[Path]:
        """In the homes of all machines."""
        return _unrecorded_below(self._cluster.folder)


@contextmanager
def embedded(folder: Path) -> Iterator[Site]:
    """An embedded installation, until the block ends."""
    with outside_world() as world:
        site = Embedded(folder / "home", world)
        try:
            yield site
        finally:
            site.stop()
            site.platform.media.close()


@contextmanager
def clustered(folder: Path) -> Iterator[Site]:
    """A cluster with servers of its own, until the block ends."""
    with _cluster(folder, _ENVIRONMENT) as cluster:
        yield Clustered(cluster)


@contextmanager
def half_broken(folder: Path) -> Iterator[Site]:
    """A cluster in which ffmpeg is broken on one of the machines; its breakers open, for a short time."""
    with _cluster(folder, _ENVIRONMENT | _BREAKERS) as cluster:
        yield Clustered(cluster, broken=WORKERS[1:])


@contextmanager
def _cluster(folder: Path, environment: Mapping[str, str]) -> Iterator[Cluster]:
    os.environ.setdefault("PGAPPNAME", "drill")
    (folder / "cluster").mkdir()
    (folder / "s3").mkdir()
    with (
        outside_world() as world,
        running_postgres() as postgres,
        running_redis(folder / "redis") as redis,
        running_s3(folder / "s3") as s3,
        running_cluster(folder / "cluster", postgres, redis, s3, PGAPPNAME=_PROGRAMS, **environment, **world) as found,
    ):
        yield found


def _broken_ffmpeg(folder: Path) -> Path:
    """An ffmpeg that tells its version and dies at all else, as one that was built for another processor does."""
    script = folder / "broken-ffmpeg"
    real = find_tools().ffmpeg
    told = "*-version*|*-filters*|*-encoders*"
    script.write_text(f'#!/bin/sh\ncase "$*" in {told}) exec "{real}" "$@";; esac\nkill -ILL $$\n')
    script.chmod(0o755)
    return script


def _there(look: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """What a look finds that is alive; nothing while a part is between two lives."""
    try:
        return [process for process in look() if not is_gone(process)]
    except (psutil.Error, AssertionError):
        return []


def _working_below(folder: Path) -> list[psutil.Process]:
    """The processes of installations whose home is that folder, or in it, and the ffmpeg processes at work there."""

    def works(process: psutil.Process) -> bool:
        try:
            home = process.environ().get("MEDIAJOBS_HOME", "")
            return process.pid != os.getpid() and not is_gone(process) and Path(home).is_relative_to(folder)
        except psutil.Error:
            return False

    return [*filter(works, psutil.process_iter()), *ffmpegs_below(folder)]


def _unrecorded_below(folder: Path) -> list[Path]:
    return list(folder.rglob("unrecorded/*.json"))


def _end_group(process: Process) -> None:
    """What an init system does with the rest of a service whose first process died."""
    with suppress(ProcessLookupError):
        process.kill()
