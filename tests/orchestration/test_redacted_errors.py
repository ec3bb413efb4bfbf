"""What Dagster keeps of an exception holds no secret."""

from __future__ import annotations

import traceback

import dagster as dg
import pytest
import sqlalchemy as sa

from mediajobs_dagster.errors import DatabaseUnavailableError, InternalError, StorageError
from mediajobs_dagster.orchestration.assets import worker_resource
from mediajobs_dagster.orchestration.redacted_errors import redacted_errors
from mediajobs_dagster.orchestration.sensors import uploads_sensor
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs

ADDRESS = "https://me:hunter2@host/clip.mp4?X-Amz-Signature=hunter3"


def told(error: BaseException) -> str:
    """All that is told of an error, without the lines of this file."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(line for line in lines if not line.startswith("    "))


def fail() -> None:
    """Fail by an error with a cause that has a context, each with a secret."""
    try:
        try:
            raise KeyError(ADDRESS)
        except KeyError:
            raise ValueError("read " + ADDRESS)  # noqa: B904  # the other is to be its context, not its cause
    except ValueError as error:
        raise StorageError(f"{ADDRESS} is gone") from error


def test_an_error_and_all_its_causes() -> None:
    """Its type and its causes stay."""
    with pytest.raises(StorageError) as caught, redacted_errors():
        fail()
    assert "hunter" not in told(caught.value)
    assert "KeyError" in told(caught.value)
    assert caught.value.message == "https://<redacted>@host/clip.mp4?<redacted> is gone"


def test_an_error_whose_text_is_made_of_other_things() -> None:
    """Such as the parameters of a statement."""
    engine = sa.create_engine("sqlite://")
    with (
        pytest.raises(InternalError, match="OperationalError") as caught,
        redacted_errors(),
        engine.connect() as database,
    ):
        database.execute(sa.text("SELECT x FROM y WHERE z = :origin"), {"origin": ADDRESS})
    assert "hunter" not in told(caught.value)


def test_an_error_without_secrets_is_the_same() -> None:
    error = ValueError("no", 3)
    with pytest.raises(ValueError, match="no") as caught, redacted_errors():
        raise error
    assert caught.value is error
    assert error.args == ("no", 3)


def unreachable() -> MediaJobs:
    url = "postgresql://me@127.0.0.1:1/x?password=hunter2"
    return MediaJobs(Settings.load(_env_file=None, database_url=url))


def test_a_tick_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Dagster stores the error of a tick."""
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance) as context,
        pytest.raises(DatabaseUnavailableError) as caught,
    ):
        uploads_sensor(unreachable())(context)
    assert "hunter" not in told(caught.value)
    assert "hunter" not in caplog.text


def test_a_run_whose_worker_does_not_open() -> None:
    """Nor does one of its events tell a secret."""

    @dg.op(required_resource_keys={"worker"})
    def work() -> None: ...

    @dg.job(resource_defs={"worker": worker_resource(unreachable())})
    def job() -> None:
        work()

    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        records = instance.all_logs(result.run_id)
    assert not result.success
    events = "\n".join(str(record) for record in records)
    assert "DATABASE_UNAVAILABLE" in events or "DatabaseUnavailableError" in events
    assert "hunter" not in events
