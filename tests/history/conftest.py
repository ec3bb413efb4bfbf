"""Every test that asks for `history` runs on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mediajobs_dagster.history import History
from mediajobs_dagster.history.schema import metadata
from tests.servers.postgres import fresh_database
from tests.servers.sqlite import put_history

ENGINES = ["sqlite", "postgres"]
COUNTS = ("job_counts", "upload_days", "metric_entries", "metric_totals", "metric_hosts", "metric_series")


@pytest.fixture(params=ENGINES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without a schema, on each engine in turn."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'history.db'}"


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> Iterator[str]:
    """The URL of a database with the newest schema, which tests use one after the other."""
    with fresh_database(postgres_server) as url:
        History.open(url).close()
        yield url


@pytest.fixture
def cleared_postgres(migrated_postgres: str) -> Iterator[str]:
    """The URL of a database with the newest schema and no rows; much quicker than a fresh one."""
    yield migrated_postgres
    engine = sa.create_engine(migrated_postgres)
    with engine.begin() as connection:
        # Whatever refers to others first; the counts last, because the others' triggers write there.
        others = [table.name for table in reversed(metadata.sorted_tables) if table.name not in COUNTS]
        for table in (*others, *COUNTS):
            connection.execute(sa.text(f"DELETE FROM {table}"))
    engine.dispose()


@pytest.fixture(params=ENGINES)
def history_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without rows, on each engine in turn."""
    if request.param == "postgres":
        return request.getfixturevalue("cleared_postgres")
    put_history(tmp_path / "history.db")
    return f"sqlite:///{tmp_path / 'history.db'}"


@pytest.fixture
def history(history_url: str) -> Iterator[History]:
    """An open history with the newest schema and nothing in it."""
    # Many write at once in some tests, and SQLite lets them through in no order: one may wait for all the others.
    with History.open(history_url, timeout_s=60) as opened:
        yield opened
