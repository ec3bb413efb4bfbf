"""Opening, migrating, and what is said when the database is busy, gone or not ours."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mediajobs_dagster.errors import DatabaseBusyError, DatabaseUnavailableError, SettingsError
from mediajobs_dagster.history import AttemptFilter, History, JobFilter, migrations
from mediajobs_dagster.history.schema import SCHEMA_VERSION, metadata
from tests.history.factories import NOON, THUMB, a_new_job, an_attempt
from tests.servers.postgres import running_postgres, start_postgres


def test_an_empty_database_gets_the_schema_and_keeps_its_rows(empty_url: str) -> None:
    with History.open(empty_url) as history:
        history.jobs.enqueue([a_new_job()])
    with History.open(empty_url) as history:
        assert len(history.jobs.list(JobFilter())) == 1


def test_check_names_the_engine_and_the_schema(history: History, history_url: str) -> None:
    engine = "SQLite 3." if history_url.startswith("sqlite") else "PostgreSQL 1"
    assert history.check().startswith(engine)
    assert history.check().endswith(f", schema {SCHEMA_VERSION}")


def test_the_folder_of_a_sqlite_file_is_made(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there yet" / "history.db"
    with History.open(f"sqlite:///{path}"):
        assert path.exists()


def test_sqlite_reads_beside_a_writer_and_enforces_references(tmp_path: Path) -> None:
    """It runs in WAL mode with foreign keys on."""
    path = tmp_path / "history.db"
    with History.open(f"sqlite:///{path}") as history, closing(sqlite3.connect(path)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert history.jobs.list(JobFilter()) == []
        writer.rollback()
        with pytest.raises(sa.exc.IntegrityError, match="FOREIGN KEY"):
            history.jobs.enqueue([a_new_job(parent_job_id="nobody")])


def open_and_record(url: str, attempts: int) -> int:
    with History.open(url, timeout_s=60) as history:
        return sum(history.attempts.record(an_attempt()) for _ in range(attempts))


def test_many_processes_may_start_on_an_empty_database_at_once(empty_url: str) -> None:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(open_and_record, [empty_url] * 3, [3] * 3)) == [3] * 3
    with History.open(empty_url) as history:
        assert len(history.attempts.list(AttemptFilter())) == 9


def schema_of(engine: sa.Engine) -> set[str]:
    """Every table and index of a database, in its own words."""
    statement = (
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name != 'alembic_version'"
        if engine.dialect.name == "sqlite"
        else "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename != 'alembic_version'"
    )
    with engine.connect() as connection:
        return {" ".join(row.replace('"', "").split()) for row in connection.scalars(sa.text(statement))}


@pytest.fixture
def engine(history: History, history_url: str) -> Iterator[sa.Engine]:
    """A plain engine on a migrated database."""
    engine = sa.create_engine(history_url)
    yield engine
    engine.dispose()


def test_the_migrations_build_what_the_code_believes(engine: sa.Engine) -> None:
    """But for SQLite's descending indexes, which it does not reflect as such; the next test has them."""

    def is_comparable(item: object, name: str | None, kind: str, *_: object) -> bool:
        return not (engine.dialect.name == "sqlite" and kind == "index" and str(name).startswith("jobs_to_assign"))

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": is_comparable})
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("history_url", ["sqlite"], indirect=True)
def test_the_migrations_build_the_same_partial_and_descending_indexes(engine: sa.Engine, tmp_path: Path) -> None:
    """Alembic does not compare conditions and directions of indexes; the databases' own words do."""
    direct = sa.create_engine(f"sqlite:///{tmp_path / 'direct.db'}")
    metadata.create_all(direct)
    indexes = {sql for sql in schema_of(engine) if "INDEX" in sql}
    assert indexes == {sql for sql in schema_of(direct) if "INDEX" in sql}
    assert any("priority DESC" in sql and "WHERE" in sql for sql in indexes)
    direct.dispose()


def test_the_newest_migration_is_the_schema_the_code_names() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert script.get_current_head() == SCHEMA_VERSION


def test_a_newer_schema_is_refused(history: History, history_url: str) -> None:
    engine = sa.create_engine(history_url)

    def set_version(version: str) -> None:
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = :v"), {"v": version})

    set_version("9999")
    try:
        with pytest.raises(DatabaseUnavailableError, match="newer"):
            History.open(history_url)
        with pytest.raises(DatabaseUnavailableError, match="9999"):
            history.check()
    finally:
        set_version(SCHEMA_VERSION)
        engine.dispose()


def test_a_damaged_file_says_how_to_restore(tmp_path: Path) -> None:
    """A file that was cut, or overwritten in its middle."""
    path = tmp_path / "jobs.db"
    History.open(f"sqlite:///{path}").close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))
    with (
        pytest.raises(DatabaseUnavailableError, match=r"backup.*\.recover"),
        History.open(f"sqlite:///{path}") as history,
    ):
        history.jobs.counts()


def test_a_file_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Be its tables called as ours are, or not."""
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE tunes (name TEXT)")
        database.commit()
    before = path.read_bytes()
    with pytest.raises(DatabaseUnavailableError, match=r"another program.*tunes"):
        History.open(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_tables_of_ours_beside_those_of_another_program_are_made_on_a_server(postgres_url: str) -> None:
    """But not where one has a name of ours."""
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE tunes (name TEXT)"))
        connection.execute(sa.text("CREATE TABLE jobs (name TEXT)"))
    with pytest.raises(DatabaseUnavailableError, match=r"another program.*jobs"):
        History.open(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE jobs"))
    History.open(postgres_url).close()
    engine.dispose()


@pytest.mark.parametrize("url", ["mysql://h/db", "not a url", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="MEDIAJOBS_DATABASE_URL"):
        History.open(url)


def test_a_locked_sqlite_file_is_busy_within_its_timeout(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with History.open(f"sqlite:///{path}", timeout_s=2) as history, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        with pytest.raises(DatabaseBusyError, match=r"did not answer within 2 s"):
            history.leases.assign(THUMB, limit=1, lease_s=60)
        assert 1.9 < time.monotonic() - start < 9, "ten seconds are what it takes unless told otherwise"
        other.rollback()
        assert history.leases.assign(THUMB, limit=1, lease_s=60) is None


def test_a_locked_postgres_row_is_busy_within_its_timeout(cleared_postgres: str) -> None:
    other = sa.create_engine(cleared_postgres)
    with History.open(cleared_postgres, timeout_s=2) as history:
        [enqueued] = history.jobs.enqueue([a_new_job()])
        with other.begin() as holder:
            holder.execute(sa.text("SELECT id FROM jobs FOR UPDATE"))
            start = time.monotonic()
            with pytest.raises(DatabaseBusyError):
                history.jobs.cancel(enqueued.job.id)
            assert 1.9 < time.monotonic() - start < 9, "ten seconds are what it takes unless told otherwise"
            assert history.leases.assign(THUMB, limit=1, lease_s=60) is None  # skipped, not waited for
        history.jobs.cancel(enqueued.job.id)
    other.dispose()


def test_a_claim_does_not_pass_over_a_job_that_somebody_holds_for_a_moment(cleared_postgres: str) -> None:
    """It would be left assigned, and wait for its lease to run out."""
    other = sa.create_engine(cleared_postgres)
    with History.open(cleared_postgres, timeout_s=2) as history:
        history.jobs.enqueue([a_new_job()], dispatch_id="d", lease_s=60)
        with other.begin() as holder:
            holder.execute(sa.text("SELECT id FROM jobs FOR UPDATE"))
            with pytest.raises(DatabaseBusyError):
                history.leases.claim("d", run_id=None, host="h", lease_s=60)
        assert history.leases.claim("d", run_id=None, host="h", lease_s=60) is not None
    other.dispose()


def test_a_server_that_stops_is_unavailable_and_one_that_returns_is_used_again() -> None:
    with running_postgres() as server, History.open(server.get_uri(), timeout_s=5) as history:
        history.jobs.enqueue([a_new_job()])
        server.stop()
        with pytest.raises(DatabaseUnavailableError, match="MEDIAJOBS_DATABASE_URL"):
            history.jobs.list(JobFilter())
        with pytest.raises(DatabaseUnavailableError):
            History.open(server.get_uri(), timeout_s=5)
        start_postgres(server)
        assert len(history.jobs.list(JobFilter())) == 1


def test_a_refused_connection_is_unavailable_and_tells_no_password() -> None:
    with pytest.raises(DatabaseUnavailableError) as caught:
        History.open("postgresql://me:secret@127.0.0.1:1/db", timeout_s=2)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("content", [b"this is no database, but it is quite long" * 100, None])
def test_a_file_that_is_no_database_is_unavailable_and_left_alone(tmp_path: Path, content: bytes | None) -> None:
    """Nor is a folder."""
    path = tmp_path / "history.db"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(DatabaseUnavailableError):
        History.open(f"sqlite:///{path}")
    assert path.is_dir() if content is None else path.read_bytes() == content


def test_sqlite_has_planning_figures_for_every_index(tmp_path: Path) -> None:
    """A new index without its line in a migration would never be used, or always."""
    path = tmp_path / "history.db"
    History.open(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection:
        indexes = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name != 'alembic_version'"
        )
        figures = connection.execute("SELECT idx, stat FROM sqlite_stat1").fetchall()
        assert {name for (name,) in indexes} == {name for name, _ in figures}
        for name, stat in figures:
            columns = connection.execute("SELECT count(*) FROM pragma_index_info(?)", (name,)).fetchone()
            assert len(stat.split()) == 1 + columns[0], name


@pytest.mark.parametrize("history_url", ["sqlite"], indirect=True)
def test_no_query_of_the_queue_reads_a_table_from_end_to_end(history: History) -> None:
    """Each poll, claim and freshness check finds its rows by an index that fits it, also in an empty database."""
    plans: dict[str, str] = {}

    def explain(_connection: object, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "WITH", "UPDATE")):
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans[statement] = " | ".join(row[3] for row in cursor.fetchall())

    sa.event.listen(sa.Engine, "before_cursor_execute", explain)
    try:
        history.leases.assign(THUMB, limit=5, lease_s=60)
        history.leases.claim("d", run_id=None, host="h", lease_s=60)
        history.leases.renew("d", lease_s=60)
        history.leases.release("d")
        history.leases.lost()
        history.leases.expired_dispatches()
        history.jobs.active(THUMB)
        history.jobs.next_due([THUMB])
        history.current.of(THUMB, "upload-1")
        history.attempts.last_success_at(THUMB)
        history.attempts.operator_failures(THUMB, since=NOON)
        history.attempts.list(AttemptFilter(job_name=THUMB, error_code="STALLED"))
        history.attempts.list(AttemptFilter(job_name=THUMB, trace_id="t"))
        history.naming.uploads("talk", limit=5)
        history.uploads.with_stems(["talk", "reel"], limit=5)
        history.webhooks.is_due()
        history.webhooks.claim(hold_s=30)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", explain)
    assert len(plans) >= 13
    used = " ".join(plans.values())
    for index in (
        "jobs_to_assign",
        "jobs_to_assign_of_trace",
        "jobs_of_dispatch",
        "jobs_leased",
        "jobs_active",
        "jobs_due",
        "webhook_deliveries_due",
        "webhook_deliveries_waiting",
        "job_history_of_job",
        "job_history_completed",
        "job_history_of_error",
        "job_history_of_trace",
        "uploads_named_in_any_case",
    ):
        assert f"{index} " in used, plans
    for plan in plans.values():
        assert not {"SCAN jobs", "SCAN job_history", "SCAN uploads"} & set(plan.split(" | ")), plans
